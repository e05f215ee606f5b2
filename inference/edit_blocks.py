"""The text of a Lark grammar for answers of edit blocks. Knows no llguidance and no tokens.

Right-linear, so that what may come depends on where the last block ended. Names begin with what a state means; the
first number is a file's, the second a line's or a start's: a place where a SEARCH may begin.

    f0          blocks of this file or of later ones
    s0_5 g0_32  a SEARCH of this file begins at this start or a later one (g: the first of a group of starts)
    t0_32       at one of this group
    c0_3_6      what began stands once when the lines 3 to 5 have come: those come
    u0_6        it stands once: it goes on with the line 6, or ends before it, and blocks from there on may follow

A state's parameter, `::_`, counts the blocks before. A file costs three rules a line, more where its lines repeat.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from inference.errors import BadRequest
from inference.line_runs import least_ends

SEARCH, DIVIDE, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
MAX_BLANKS = 200  # spaces and tabs in a row of a replacement: unbounded white space lets a weak model loop
MAX_BLANK_LINES = 8
MAX_LINES = 20_000  # of all files together
MAX_RULES = 65_000  # llguidance has room for some 500 more
GROUP = 32  # starts that are one rule: llguidance looks through all that may come for each that has come
_LINE_END = re.compile(r"\r\n|\n|\r")
_ANYWAY = "%if ge(_, 0)"  # llguidance refuses a state whose parameter nothing looks at


def lines_of(text: str) -> list[str]:
    """Without their ends (LF, CRLF or CR); a text that ends with one has no empty line after it."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def is_marker(line: str) -> bool:
    """Not so for a longer row of equals signs: it underlines a heading in some formats."""
    return line.startswith((SEARCH, REPLACE)) or line.rstrip(" \t") == DIVIDE


def lark(files: Mapping[str, str], creates: Sequence[str], max_blocks: int) -> str:
    """For blocks in these files, in this order, then for new files. Raises BadRequest where no grammar is possible."""
    split = {path: lines_of(text) for path, text in files.items()}
    if (n_lines := sum(map(len, split.values()))) > MAX_LINES:
        raise BadRequest(f"grammar has files of {n_lines} lines; at most {MAX_LINES}", "grammar")
    starts = {path: found for path, lines in split.items() if (found := _starts(lines))}
    paths = [*starts, *(path for path in dict.fromkeys(creates) if path not in starts)]
    if not paths:
        raise BadRequest("grammar has no file with a line to search for", "grammar")
    names: dict[str, str] = {}
    rules = _frame(max_blocks)
    for number, path in enumerate(paths):
        rules.append(f"h{number}: {_quoted(f'{_checked_path(path)}\n{SEARCH}\n')}")
        states = _States(number, number + 1 < len(paths), names)
        rules += states.made() if path not in starts else states.searched(split[path], starts[path])
    rules += [f"{name}: {_quoted(line + '\n')}" for line, name in names.items()]
    if len(rules) > MAX_RULES:
        raise BadRequest("grammar has files with too many lines that repeat", "grammar")
    return "\n".join([*rules, ""])


def _frame(max_blocks: int) -> list[str]:
    """`e` is a block from its DIVIDE on, `f0` blocks of the first file or a later one."""
    markers = f"{DIVIDE}[ \\t]*|({SEARCH}|{REPLACE})[^\\n]*"  # as `is_marker` has it
    blanks = f"[ \\t]{{0,{MAX_BLANKS}}}"
    return [
        "start: f0::0 N?",
        'N: "\\n"',
        f"n::_: N %if lt(_, {max_blocks - 1})",
        f"e: DIVIDE BLANK{{0,{MAX_BLANK_LINES}}} (TEXT BLANK{{0,{MAX_BLANK_LINES}}})* REPLACE",
        f"DIVIDE: {_quoted(DIVIDE + '\n')}",
        f"REPLACE: {_quoted(REPLACE)}",
        f"BLANK: /{blanks}\\n/",
        f"TEXT: /({blanks}[^ \\t\\n\\r])+{blanks}\\n/ & ~/({markers})\\n/",
    ]


def _starts(lines: Sequence[str]) -> dict[int, int]:
    """Where a run may begin that stands once and holds no marker -> the line before which it stands once."""
    ends = least_ends(lines)
    bars = [at for at, line in enumerate(lines) if is_marker(line)]
    return {at: end for at, end in enumerate(ends) if bisect_left(bars, at) == bisect_left(bars, end)}


@dataclass(frozen=True, slots=True)
class _States:
    """One file's rules. `names`: what each line is called, shared by all files."""

    number: int
    has_later: bool
    names: dict[str, str]

    def made(self) -> Iterator[str]:
        """For a file that is not there yet: one block, without lines to search for."""
        n = self.number
        yield f"f{n}::_: h{n} u{n}_0::_{self._or_later()}"
        yield f"u{n}_0::_: {self._end(None)}"

    def searched(self, lines: Sequence[str], starts: Mapping[int, int]) -> Iterator[str]:
        """For a file with lines; `starts` as `_starts` has them, not empty."""
        n = self.number
        yield f"f{n}::_: h{n} g{n}_0::_{self._or_later()}"
        yield f"b{n}::_: n::_ h{n}"
        yield from self._begins([self._step(lines, at, end) for at, end in starts.items()])
        firsts: dict[int, int] = {}
        for at, end in starts.items():
            firsts.setdefault(end, at)
        for end, first in firsts.items():
            for at in range(first + 1, end):
                yield f"c{n}_{at}_{end}::_: {self._step(lines, at, end)}"
        yield from self._unique(lines, list(starts), frozenset(firsts))

    def _begins(self, steps: Sequence[str]) -> Iterator[str]:
        n = self.number
        for at, step in enumerate(steps):
            if at % GROUP:
                more = f" | {self._begin(at + 1)}::_" if at + 1 < len(steps) else ""
                yield f"s{n}_{at}::_: {step}{more}"
            else:
                more = f" | {self._begin(at + GROUP)}::_" if at + GROUP < len(steps) else ""
                yield f"g{n}_{at}::_: t{n}_{at}::_{more}"
                yield f"t{n}_{at}::_: {' | '.join(steps[at : at + GROUP])}"

    def _unique(self, lines: Sequence[str], begins: Sequence[int], entered: frozenset[int]) -> Iterator[str]:
        goes_on = False
        for at in range(1, len(lines) + 1):
            if goes_on or at in entered:
                after = bisect_left(begins, at)
                goes_on = at < len(lines) and not is_marker(lines[at])
                # first, since llguidance reads rules by recursion: so its depth is the file once
                more = f"{self._name(lines[at])} u{self.number}_{at + 1}::_ | " if goes_on else ""
                yield f"u{self.number}_{at}::_: {more}{self._end(after if after < len(begins) else None)}"

    def _begin(self, start: int) -> str:
        return f"s{self.number}_{start}" if start % GROUP else f"g{self.number}_{start}"

    def _step(self, lines: Sequence[str], at: int, end: int) -> str:
        """The line `at` of a run that stands once before the line `end`."""
        to = f"u{self.number}_{end}" if at + 1 == end else f"c{self.number}_{at + 1}_{end}"
        return f"{self._name(lines[at])} {to}::_"

    def _end(self, start: int | None) -> str:
        """A block's end, and what may come behind it: a block of this file from a start on, or of a later file."""
        blocks = [] if start is None else [f"b{self.number}::_ {self._begin(start)}"]
        blocks += [f"n::_ f{self.number + 1}"] if self.has_later else []
        return " | ".join(["e", *(f"e {block}::incr(_)" for block in blocks)]) if blocks else f"e {_ANYWAY}"

    def _or_later(self) -> str:
        return f" | f{self.number + 1}::_" if self.has_later else ""

    def _name(self, line: str) -> str:
        return self.names.setdefault(line, f"l{len(self.names)}")


def _checked_path(path: str) -> str:
    if not path.strip() or is_marker(path) or _LINE_END.search(path):
        raise BadRequest("grammar has a path that is blank, a marker or more than one line", "grammar")
    return path


def _quoted(text: str) -> str:
    """A Lark string that matches just this text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest("grammar has half of a surrogate pair in a file or path", "grammar") from None
    return json.dumps(text)
