"""Holes cut from commits: what a person wrote, taken out again, with nothing of what came after it. Pure.

A hole lies in lines that its commit added. The file around it is the parent's, with the commit's changes made as far as
the hole and not behind it; so neither the file nor the tree of the parent holds the answer or anything written later.
A hole whose answer holds a credential is none: prompts show stars there. Does not know git, models or scores.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from qwen_lsp.eval.history import Change, Commit
from qwen_lsp.index.grammars import encode
from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.rules import bytes_rule, data_rule, file_rule
from qwen_lsp.index.symbols import extract
from qwen_lsp.prompt.hunks import Hunk, lines, patched
from qwen_lsp.text.secrets import masked

Kind = Literal["line", "lines", "block", "hunk"]
KINDS: tuple[Kind, ...] = ("line", "lines", "block", "hunk")

LEAST_CHARS = 3  # of an answer, white space aside: a bracket says nothing
MOST_CHARS = 1_500
LINES = (2, 5)  # of a hole of kind "lines", both included
MOST_LINES = 20
PER_COMMIT = 2  # of one kind: holes of one commit say much the same
MOST_EARLIER = 8  # files changed before the hole


@dataclass(frozen=True, slots=True)
class Hole:
    """`answer` stood at `offset` of `text`, which was `opened` before the commit's first change of it.

    earlier: the commit's changes of other files, made before it. kind: the rest of a line, whole lines, a function's
    body, or all that a hunk put in.
    """

    id: str
    kind: Kind
    parent: str  # the commit whose tree lies around it
    time: int  # of the commit that wrote the answer, seconds since 1970
    path: str
    text: str = field(repr=False)
    offset: int
    answer: str = field(repr=False)
    earlier: tuple[Change, ...] = field(repr=False)
    opened: str = field(repr=False, default="")  # empty: the commit adds the file

    @property
    def commit(self) -> str:
        """That wrote the answer: holes of one commit are not independent of each other."""
        return self.id.partition(":")[0]

    @property
    def before(self) -> str:
        return self.text[: self.offset]

    @property
    def after(self) -> str:
        return self.text[self.offset :]


def holes(commit: Commit, changes: Sequence[Change], seed: int, kinds: Sequence[Kind] = KINDS) -> tuple[Hole, ...]:
    """Some holes of each kind, at most PER_COMMIT; the same ones for the same seed."""
    rng = random.Random(f"{seed} {commit.id}")
    counting = [change for change in changes if counts(change)]
    found: list[Hole] = []
    for kind in kinds:
        places = [place for at in range(len(counting)) for place in _places(kind, counting, at, rng)]
        found += sorted(_drawn(places, kind, commit, rng), key=lambda hole: hole.id)
    return tuple(found)


def counts(change: Change) -> bool:
    """Whether people complete code in a file like this one."""
    name = change.path.rpartition("/")[2]
    language = language_of(change.path)
    if language is None or not language.identifiers or file_rule(name) or data_rule(name):
        return False
    return bytes_rule(change.after.encode()) is None


@dataclass(frozen=True, slots=True)
class _Cut:
    """Of a hunk's new lines: how many stand before the hole, the column in the next one, the answer, what closes it."""

    n_lines: int
    column: int
    answer: str
    closing: str = "\n"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hole can be: the changed file, those changed before it, its hunks above, and the cut in the next one."""

    change: Change
    earlier: tuple[Change, ...]
    done: Sequence[Hunk]
    hunk: Hunk
    cut: _Cut


def _places(kind: Kind, changes: Sequence[Change], at: int, rng: random.Random) -> Iterator[_Place]:
    change, earlier = changes[at], tuple(changes[max(0, at - MOST_EARLIER) : at])
    hunks = change.hunks()
    for number, hunk in enumerate(hunks):
        for cut in _cuts(kind, change, hunk, rng):
            if len("".join(cut.answer.split())) >= LEAST_CHARS and len(cut.answer) <= MOST_CHARS:
                yield _Place(change, earlier, hunks[:number], hunk, cut)


def _drawn(places: Sequence[_Place], kind: Kind, commit: Commit, rng: random.Random) -> list[Hole]:
    """PER_COMMIT of them. Only these are made: a commit may have thousands of places in a long file."""
    left = list(range(len(places)))
    while True:
        drawn = rng.sample(left, min(len(left), PER_COMMIT))
        made = {number: _hole(places[number], kind, commit) for number in drawn}
        secret = {number for number, hole in made.items() if _is_secret(hole)}
        if not secret:
            return list(made.values())
        left = [number for number in left if number not in secret]


def _is_secret(hole: Hole) -> bool:
    """Whether the answer holds a credential, or a part of one that begins before it."""
    return masked(hole.before + hole.answer)[hole.offset :] != hole.answer


def _hole(place: _Place, kind: Kind, commit: Commit) -> Hole:
    change, cut = place.change, place.cut
    text, offset = _around(change.before, place.done, place.hunk, cut)
    name = f"{commit.id[:12]}:{change.path}:{place.hunk.at + cut.n_lines}:{cut.column}:{kind}"
    earlier, opened = place.earlier, change.before
    return Hole(name, kind, commit.parent, commit.time, change.path, text, offset, cut.answer, earlier, opened)


def _cuts(kind: Kind, change: Change, hunk: Hunk, rng: random.Random) -> Iterator[_Cut]:
    match kind:
        case "line":
            yield from _line_cuts(hunk, rng)
        case "lines":
            yield from _lines_cuts(hunk, rng)
        case "block":
            yield from _block_cuts(change, hunk)
        case "hunk":
            yield from _hunk_cuts(hunk)


def _line_cuts(hunk: Hunk, rng: random.Random) -> Iterator[_Cut]:
    """One place in each line, anywhere behind its first character: people ask in the middle of a word, too."""
    for number, line in enumerate(hunk.new):
        bare = line.rstrip()
        first = _indent(bare) + 1
        if len(bare) - first >= LEAST_CHARS:
            column = rng.randrange(first, len(bare) - LEAST_CHARS + 1)
            yield _Cut(number, column, bare[column:])


def _lines_cuts(hunk: Hunk, rng: random.Random) -> Iterator[_Cut]:
    """Runs of lines from the indentation of the first one on, none of which overlap."""
    number = 0
    while number + LINES[0] <= len(hunk.new):
        n_lines = min(rng.randint(*LINES), len(hunk.new) - number)
        run = hunk.new[number : number + n_lines]
        if all(line.strip() for line in (run[0], run[-1])):
            indent = _indent(run[0])
            yield _Cut(number, indent, "".join(run)[indent:].rstrip("\n"))
        number += n_lines


def _hunk_cuts(hunk: Hunk) -> Iterator[_Cut]:
    """All that it put in, from the first line that is not blank on."""
    first = next((number for number, line in enumerate(hunk.new) if line.strip()), None)
    if first is not None and len(hunk.new) <= MOST_LINES:
        indent = _indent(hunk.new[first])
        yield _Cut(first, indent, "".join(hunk.new[first:])[indent:].rstrip())


def _block_cuts(change: Change, hunk: Hunk) -> Iterator[_Cut]:
    """Bodies of functions that the hunk wrote whole, among what stood there; an editor has closed the braces."""
    if hunk.old:
        return
    language = language_of(change.path)
    assert language is not None  # `counts` asked
    first = sum(map(len, lines(change.after)[: hunk.at]))
    new = "".join(hunk.new)
    for each in extract(encode(change.after), language).definitions:
        if each.kind not in ("function", "method") or each.body_start is None:
            continue
        start, end = _inside(change.after, each.body_start, each.end, language) or (0, 0)
        if not (first <= each.start and start < end <= first + len(new)):
            continue
        answer = change.after[start:end]
        if answer.count("\n") < MOST_LINES:
            before = new[: start - first]
            closing = change.after[end : each.end].rstrip() + "\n"
            yield _Cut(before.count("\n"), len(before) - before.rfind("\n") - 1, answer, closing)


def _inside(text: str, start: int, end: int, language: Language) -> tuple[int, int] | None:
    """A body without its braces and the white space at its ends; None where it is no block."""
    body = text[start:end]
    if body.startswith("{") and body.endswith("}"):
        start, body = start + 1, body[1:-1]
    elif language.name not in ("python", "ruby", "lua", "shellscript"):
        return None
    start += len(body) - len(body.lstrip())
    return start, start + len(body.strip())


def _around(before: str, done: Sequence[Hunk], hunk: Hunk, cut: _Cut) -> tuple[str, int]:
    """The parent's text with the hunks `done`, then of `hunk` what stands before the hole; what it replaced is gone.

    The offset of the hole is returned with it. The hole's line ends where the answer does.
    """
    line = hunk.new[cut.n_lines]
    head = "".join(hunk.new[: cut.n_lines]) + line[: cut.column]
    rows = lines(before)
    above = patched("".join(rows[: hunk.line]), done)
    below = "".join(rows[hunk.line + len(hunk.old) :])
    closing = cut.closing if line.endswith("\n") else cut.closing.rstrip("\n")
    return above + head + closing + below, len(above) + len(head)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
