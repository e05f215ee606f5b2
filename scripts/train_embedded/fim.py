"""Fill-in-the-middle documents as plain text with special tokens spelled out. Pure.

The main form is the joint suffix-first one: `<|fim_prefix|><|fim_suffix|>S<|fim_middle|>PM<|endoftext|>`. The middle
continues the prefix with no marker between, so prefix and middle are tokenised as one text and the place of the
cursor is nowhere in the document: each token of PM is trained as the answer to a cursor before it. At use time the
prompt ends after P, backed up to the start of its last pre-token (healing).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

END = "<|endoftext|>"
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Hole:
    """A text cut in three: prefix + middle + suffix is the text."""

    prefix: str
    middle: str
    suffix: str


def line_end(text: str, at: int) -> int:
    """Offset of the end of the line that holds offset `at` (before its newline)."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def cut(text: str, rng: random.Random, at_line_end: float = 0.8) -> Hole:
    """A hole whose end is mostly a line's end, somewhere in the last three quarters of the text.

    The middle is the rest of a line or up to six lines; its start matters to the marked forms only.
    """
    end = rng.randrange(len(text) // 4, max(len(text) // 4 + 1, len(text) - 20))
    if rng.random() < at_line_end:
        end = line_end(text, end)
    start = max(0, text.rfind("\n", 0, max(0, end - rng.choice((0, 0, 0, 80, 200)))) + 1)
    start = rng.randrange(start, end + 1) if end > start else end
    return Hole(text[:start], text[start:end], text[end:])


def rest_of_line(text: str, at: int) -> Hole:
    """The hole from offset `at` to the end of its line."""
    end = line_end(text, at)
    return Hole(text[:at], text[at:end], text[end:])


def joint(hole: Hole, end: str = END) -> str:
    """The main form; with `end` empty and an empty middle it is the prompt."""
    return f"<|fim_prefix|><|fim_suffix|>{hole.suffix}<|fim_middle|>{hole.prefix}{hole.middle}{end}"


def prefix_first(hole: Hole) -> str:
    """The published models' form, a marker right before the middle."""
    return f"<|fim_prefix|>{hole.prefix}<|fim_suffix|>{hole.suffix}<|fim_middle|>{hole.middle}{END}"


def suffix_first(hole: Hole) -> str:
    """As above with the suffix first, so that typing only appends."""
    return f"<|fim_suffix|>{hole.suffix}<|fim_prefix|>{hole.prefix}<|fim_middle|>{hole.middle}{END}"


def repository(name: str, others: list[tuple[str, str]], path: str, last: str) -> str:
    """Other files as (path, text), then the file being written in one of the forms above."""
    parts = "".join(f"<|file_sep|>{where}\n{text.rstrip()}\n" for where, text in others)
    return f"<|repo_name|>{name}\n{parts}<|file_sep|>{path}\n{last}"


def window(text: str, start: int, size: int) -> str:
    """About `size` characters from the line that holds `start` on, cut at a line's end."""
    begin = text.rfind("\n", 0, start) + 1
    return text[begin : line_end(text, min(len(text), begin + size))]


DEFINITION = re.compile(r"^(?:async def|def|class) ([A-Za-z_][A-Za-z0-9_]{5,40})", re.M)


@dataclass(frozen=True, slots=True)
class CrossUse:
    """A name that file `user` uses at offset `at` and file `owner` of the same package defines at `defined`."""

    user: int
    at: int
    owner: int
    defined: int


def cross_uses(texts: list[str], per_file: int, rng: random.Random) -> list[CrossUse]:
    """Uses of names that exactly one other file of the package defines at its top level."""
    owners: dict[str, list[tuple[int, int]]] = {}
    for i, text in enumerate(texts):
        for match in DEFINITION.finditer(text):
            owners.setdefault(match[1], []).append((i, match.start()))
    unique = {name: places[0] for name, places in owners.items() if len(places) == 1}
    found = []
    for i, text in enumerate(texts):
        here = [(m.start(), unique[m[0]]) for m in IDENTIFIER.finditer(text) if m[0] in unique and unique[m[0]][0] != i]
        found += [CrossUse(i, at, owner, where) for at, (owner, where) in rng.sample(here, min(per_file, len(here)))]
    return found


def cross_file(texts: list[str], paths: list[str], name: str, use: CrossUse, rng: random.Random) -> str:
    """A repository-level document whose middle ends on the line of the use; files that do not matter stand around."""
    user, owner = texts[use.user], texts[use.owner]
    others = [(paths[use.owner], window(owner, use.defined, rng.randrange(150, 700)))]
    for i in rng.sample(range(len(texts)), min(len(texts), rng.choice((0, 0, 1, 2, 3)))):
        if i not in (use.user, use.owner):
            others.append((paths[i], window(texts[i], rng.randrange(len(texts[i])), rng.randrange(150, 1500))))
    rng.shuffle(others)
    end = line_end(user, use.at)
    prefix = window(user[:end], max(0, use.at - rng.randrange(200, 1500)), 4000)
    suffix = user[end : line_end(user, min(len(user), end + rng.randrange(60, 600)))]
    return repository(name, others, paths[use.user], joint(Hole(prefix, "", suffix)))
