"""A model's answer -> edit blocks as they are written in it, also carelessly. Knows no text of a file; pure.

Lines of a file may look like markers: a heading underlined with equals signs, a conflict that git left. Then a block
has several readings, and `blocks.py` finds the one that fits.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from qwen_lsp.text.diff import split

SEARCH, DIVIDE, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
MAX_ANSWER_CHARS = 2_000_000
MAX_BLOCKS = 200

_SEARCH = re.compile(r"<{5,9} ?(SEARCH|ORIGINAL|OLD|HEAD)?\W*", re.IGNORECASE)
_DIVIDE = re.compile(r"={5,9}[ \t]*")
_REPLACE = re.compile(r">{5,9} ?(REPLACE|UPDATED|NEW|END)?\W*", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(```|~~~)[\w+.#-]*[ \t]*")
_LEAD = re.compile(r"(?i)(file|path|filename)\s*[:=]\s*")
_ENDS = "\r\n"

type Lines = tuple[str, ...]  # without their ends


@dataclass(frozen=True, slots=True)
class Block:
    """`readings`: what is searched and what takes its place, the longest SEARCH first; as a rule there is one."""

    path: str
    readings: tuple[tuple[Lines, Lines], ...] = field(repr=False)

    @property
    def search(self) -> Lines:
        """Up to the first line that may divide."""
        return self.readings[-1][0]

    @property
    def replace(self) -> Lines:
        """Behind that line."""
        return self.readings[-1][1]


@dataclass(frozen=True, slots=True)
class Failure:
    """A block that does not fit, in words for the model; they may quote the file."""

    path: str
    reason: str
    hint: str = field(default="", repr=False)


def parse(answer: str, only: str = "") -> tuple[tuple[Block, ...], tuple[Failure, ...]]:
    """The blocks of an answer. `only`: the file that is meant where none is named."""
    if len(answer) > MAX_ANSWER_CHARS:
        return (), (Failure(only, f"the answer is longer than {MAX_ANSWER_CHARS:,} characters"),)
    found: list[Block] = []
    failures: list[Failure] = []
    lines = [line.rstrip(_ENDS) for line in split(answer)]
    path, at = only, 0
    while at < len(lines):
        if not _SEARCH.fullmatch(lines[at]):
            at += 1
            continue
        path = _named_above(lines[:at]) or path
        block, at = _block(path, lines, at + 1)
        if isinstance(block, Failure):
            failures.append(block)
        elif len(found) == MAX_BLOCKS:
            return tuple(found), (*failures, Failure(path, f"there are more than {MAX_BLOCKS} blocks"))
        else:
            found.append(block)
    if not found and not failures:
        failures.append(Failure(only, "the answer has no edit block"))
    return tuple(found), tuple(failures)


def _named_above(lines: Sequence[str]) -> str:
    """The path on the last line before a block, unless that is another block's end."""
    for line in reversed(lines[-4:]):
        if not line.strip() or _FENCE.fullmatch(line):
            continue
        if _REPLACE.fullmatch(line):
            return ""
        name = _LEAD.sub("", line.strip().lstrip("#*-> ").strip()).strip("`*\"' ").rstrip(":").strip("`*\"' ")
        return name if (name and " " not in name) or "/" in name else ""
    return ""


def _block(path: str, lines: Sequence[str], at: int) -> tuple[Block | Failure, int]:
    """What begins behind a SEARCH marker, and where to read on."""
    divides: list[int] = []
    end = None
    for number in range(at, len(lines)):
        line = lines[number]
        if _DIVIDE.fullmatch(line):
            divides.append(number)
        elif _REPLACE.fullmatch(line):
            end = number
            break
        elif _SEARCH.fullmatch(line) and "SEARCH" in line.upper():
            reason = "has no end" if divides else f"has no line {DIVIDE}"
            return Failure(path, f"a block {reason}"), number
    if end is None:
        return Failure(path, "the answer is cut off within a block"), len(lines)
    if not divides:
        return Failure(path, f"a block has no line {DIVIDE}"), end + 1
    if not path:
        return Failure(path, "a block does not say which file it is for"), end + 1
    plain = [number for number in divides if lines[number].rstrip() == DIVIDE]
    return Block(path, tuple(_parts(lines, at, number, end) for number in reversed(plain or divides))), end + 1


def _parts(lines: Sequence[str], at: int, divide: int, end: int) -> tuple[Lines, Lines]:
    return tuple(lines[at:divide]), tuple(lines[divide + 1 : end])


def fenced(lines: Lines) -> Lines | None:
    """What stands in the code fence around all of the lines; None where there is none. No line needs no fence."""
    if len(lines) >= 2 and _FENCE.fullmatch(lines[0]) and lines[-1].strip() in ("```", "~~~"):
        return lines[1:-1]
    return None if lines else ()
