"""The model's edit blocks -> new texts of files, or for each block that does not fit the reason, with what to do.

A block names a file, lines that stand there once, and the lines that take their place; without lines to search for it
makes a new file. Under the engine's grammar a block always fits; other servers' answers are read leniently: code
fences, stray words, spaces at line ends, another indentation. What is not clear is never guessed. Pure; knows no disk.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches

from qwen_lsp.text.diff import split
from qwen_lsp.text.lines import line_end
from qwen_lsp.text.secrets import masked, restored

SEARCH, DIVIDE, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
MAX_ANSWER_CHARS = 2_000_000
MAX_BLOCKS = 200
SHOWN_LINES = 12  # of a file, around what a failed block may have meant
SCANNED_LINES = 20_000  # of a file, for that

_SEARCH = re.compile(r"<{5,9} ?(SEARCH|ORIGINAL|OLD|HEAD)?\W*", re.IGNORECASE)
_DIVIDE = re.compile(r"={5,9}[ \t]*")
_REPLACE = re.compile(r">{5,9} ?(REPLACE|UPDATED|NEW|END)?\W*", re.IGNORECASE)
_FENCE = re.compile(r"[ \t]*(```|~~~)[\w+.#-]*[ \t]*")
_LEAD = re.compile(r"(?i)(file|path|filename)\s*[:=]\s*")
_ENDS = "\r\n"


@dataclass(frozen=True, slots=True)
class Block:
    """Lines without their ends."""

    path: str
    search: tuple[str, ...] = field(repr=False)
    replace: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """A block that does not fit, in words for the model; they may quote the file."""

    path: str
    reason: str
    hint: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A file that blocks may change. `shown`: the lines that the model has seen, from and to; None: all of it."""

    text: str = field(repr=False)
    shown: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """`texts` has the files that blocks fit, `n_blocks` how many did."""

    texts: Mapping[str, str] = field(repr=False)
    failures: tuple[Failure, ...]
    n_blocks: int


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
    divide = end = None
    for number in range(at, len(lines)):
        line = lines[number]
        if divide is None and _DIVIDE.fullmatch(line):
            divide = number
        elif _REPLACE.fullmatch(line):
            end = number
            break
        elif _SEARCH.fullmatch(line) and "SEARCH" in line.upper():
            reason = "has no end" if divide is not None else f"has no line {DIVIDE}"
            return Failure(path, f"a block {reason}"), number
    if end is None:
        return Failure(path, "the answer is cut off within a block"), len(lines)
    if divide is None:
        return Failure(path, f"a block has no line {DIVIDE}"), end + 1
    if not path:
        return Failure(path, "a block does not say which file it is for"), end + 1
    return Block(path, _bare(lines[at:divide]), _bare(lines[divide + 1 : end])), end + 1


def _bare(lines: Sequence[str]) -> tuple[str, ...]:
    """Without a code fence around all of it."""
    if len(lines) >= 2 and _FENCE.fullmatch(lines[0]) and lines[-1].strip() in ("```", "~~~"):
        return tuple(lines[1:-1])
    return tuple(lines)


def applied(blocks: Sequence[Block], targets: Mapping[str, Target], creates: Sequence[str] = ()) -> Applied:
    """Each block in the text that `targets` has, all of them apart. `creates`: files that may be made."""
    failures: list[Failure] = []
    places: dict[str, list[_Placed]] = {}
    made: dict[str, str] = {}
    n_fitting = 0
    for block in dict.fromkeys(blocks):
        path = _meant(block.path, (*targets, *creates))
        if path is None:
            failures.append(Failure(block.path, f"{_shown(block.path)} is not among the files that may change"))
        elif path not in targets:
            made[path] = made.get(path, "") + "".join(line + "\n" for line in block.replace)
            n_fitting += 1
        else:
            placed = _place(block, path, targets[path])
            others = places.setdefault(path, [])
            if isinstance(placed, _Placed) and any(placed.meets(other) for other in others):
                placed = Failure(path, "a block changes lines that another block changes, too: say it in one block")
            if isinstance(placed, Failure):
                failures.append(placed)
            else:
                others.append(placed)
                n_fitting += 1
    texts = {
        path: restored(_changed(targets[path].text, found), targets[path].text)
        for path, found in places.items()
        if found
    }
    return Applied({**texts, **made}, tuple(failures), n_fitting)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Lines from `first` to `last` of a file become `new`, with their ends."""

    first: int
    last: int
    new: tuple[str, ...]

    def meets(self, other: "_Placed") -> bool:
        return self.first < other.last and other.first < self.last


def _meant(path: str, names: Sequence[str]) -> str | None:
    """The file of this name, or the only one whose path ends with it."""
    if path in names:
        return path
    bare = path.removeprefix("./").replace("\\", "/")
    found = [name for name in dict.fromkeys(names) if name == bare or name.endswith("/" + bare)]
    return found[0] if bare and len(found) == 1 else None


def _place(block: Block, path: str, target: Target) -> _Placed | Failure:
    raw = split(target.text)
    lines = [line.rstrip(_ENDS) for line in split(masked(target.text))]  # as the model has seen them
    is_empty = not any(line.strip() for line in lines)
    if not block.search and not is_empty:
        return Failure(path, "a block has no line to search for, and the file is not empty")
    if is_empty and not any(line.strip() for line in block.search):
        return _Placed(0, len(raw), _with_ends(block.replace, (), (), line_end(target.text)))
    for search, replace, rows in _readings(block, lines):
        places = [at for at in _places(search, rows) if _seen(at, at + len(search), target.shown)]
        if len(places) == 1:
            first, last = places[0], places[0] + len(search)
            written = _indented(replace, lines[first:last], block.search)
            new = _with_ends(written, lines[first:last], raw[first:last], line_end(target.text))
            return _Placed(first, last, new)
        if places:
            where = ", ".join(str(at + 1) for at in places[:5])
            reason = f"the lines of a SEARCH stand {len(places)} times (at lines {where}): add lines around them"
            return Failure(path, reason)
    return Failure(path, "the lines of a SEARCH do not stand in the file", _nearest(block.search, lines, target))


type _Reading = tuple[tuple[str, ...], tuple[str, ...], Sequence[str]]


def _readings(block: Block, lines: Sequence[str]) -> Iterator[_Reading]:
    """Exactly; but for spaces at line ends; but for the indentation."""
    yield block.search, block.replace, lines
    yield tuple(line.rstrip() for line in block.search), block.replace, [line.rstrip() for line in lines]
    yield tuple(line.strip() for line in block.search), block.replace, [line.strip() for line in lines]


def _places(search: Sequence[str], lines: Sequence[str]) -> list[int]:
    first, n = search[0], len(search)
    wanted = list(search)
    return [at for at in range(len(lines) - n + 1) if lines[at] == first and list(lines[at : at + n]) == wanted]


def _seen(first: int, last: int, shown: tuple[tuple[int, int], ...] | None) -> bool:
    return shown is None or any(start <= first and last <= end for start, end in shown)


def _indented(lines: tuple[str, ...], there: Sequence[str], searched: Sequence[str]) -> tuple[str, ...]:
    """`lines` moved as `searched` must be to be what is `there`; as they are where that differs from line to line."""
    pairs = [(_indent(one), _indent(other)) for one, other in zip(searched, there, strict=True) if one.strip()]
    if all(said == real for said, real in pairs):
        return lines
    if all(real.endswith(said) for said, real in pairs):
        lead = {real[: len(real) - len(said)] for said, real in pairs}
        if len(lead) == 1:
            (more,) = lead
            return tuple(more + line if line.strip() else line for line in lines)
    if all(said.endswith(real) for said, real in pairs):
        lead = {said[: len(said) - len(real)] for said, real in pairs}
        if len(lead) == 1:
            (less,) = lead
            return tuple(line.removeprefix(less) for line in lines)
    return lines


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _with_ends(lines: Sequence[str], there: Sequence[str], raw: Sequence[str], usual: str) -> tuple[str, ...]:
    """Lines that are `there` stay as the file has them, `raw`; new ones get the file's line end."""
    new = [line + usual for line in lines]
    for tag, first, last, begin, _ in SequenceMatcher(None, there, lines, autojunk=False).get_opcodes():
        if tag == "equal":
            new[begin : begin + last - first] = raw[first:last]
    return tuple(line if line[-1:] in ("\n", "\r") else line + usual for line in new)


def _changed(text: str, places: Sequence[_Placed]) -> str:
    """The file ends with a line end if it did before."""
    raw = split(text)
    had_end = not raw or raw[-1][-1] in _ENDS
    if not had_end:
        raw[-1] += line_end(text)
    for placed in sorted(places, key=lambda placed: placed.first, reverse=True):
        raw[placed.first : placed.last] = placed.new
    changed = "".join(raw)
    if had_end or not changed:
        return changed
    return changed[:-2] if changed.endswith("\r\n") else changed[:-1]


def _nearest(search: Sequence[str], lines: Sequence[str], target: Target) -> str:
    """The lines that come closest, as they stand there."""
    rows = [line.strip() for line in lines[:SCANNED_LINES]]
    wanted = [line.strip() for line in search if line.strip()]
    known: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        if row and _seen(at, at + 1, target.shown):
            known.setdefault(row, []).append(at)
    for line in wanted:
        close = [line] if line in known else get_close_matches(line, known, 1, 0.6) if len(known) < 3_000 else []
        if close:
            at = max(0, known[close[0]][0] - wanted.index(line))
            return "\n".join(lines[at : at + min(max(len(search), 3), SHOWN_LINES)])
    return ""


def _shown(path: str) -> str:
    return "".join(char for char in path[:120] if char.isprintable()) or "a file without a name"
