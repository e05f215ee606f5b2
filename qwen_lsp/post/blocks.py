"""The model's edit blocks -> new texts of files, or for each block that does not fit the reason, with what to do.

A block names a file, lines that stand there once, and the lines that take their place; without lines to search for it
makes a new file. Under the engine's grammar a block always fits; of other servers' answers spaces at line ends, another
indentation and fences are forgiven. What is not clear is never guessed. Pure; knows no disk.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches

from qwen_lsp.post.answers import Block, Failure, Lines, fenced
from qwen_lsp.text.diff import split
from qwen_lsp.text.lines import line_end
from qwen_lsp.text.secrets import masked, restored

SHOWN_LINES = 12  # of a file, around what a failed block may have meant
SCANNED_LINES = 20_000  # of a file, for that
_ENDS = "\r\n"
_HAS_FENCES = re.compile(r"(?i).*\.(md|mdx|markdown|[rq]md)")


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
            new = block.replace if _HAS_FENCES.fullmatch(path) else fenced(block.replace) or block.replace
            made[path] = made.get(path, "") + "".join(line + "\n" for line in new)
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
        same = (self.first, self.last) == (other.first, other.last)  # of an empty file both are no line at all
        return same or (self.first < other.last and other.first < self.last)


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
    if not any(search for search, _ in block.readings) and not is_empty:
        return Failure(path, "a block has no line to search for, and the file is not empty")
    if is_empty and not any(line.strip() for line in block.search):
        return _Placed(0, len(raw), _with_ends(block.replace, (), (), line_end(target.text)))
    for searched, replace, search, rows in _readings(block, lines):
        places = [at for at in _places(search, rows) if _seen(at, at + len(search), target.shown)]
        if len(places) == 1:
            first, last = places[0], places[0] + len(search)
            written = _indented(replace, lines[first:last], searched)
            new = _with_ends(written, lines[first:last], raw[first:last], line_end(target.text))
            return _Placed(first, last, new)
        if places:
            where = ", ".join(str(at + 1) for at in places[:5])
            reason = f"the lines of a SEARCH stand {len(places)} times (at lines {where}): add lines around them"
            return Failure(path, reason)
    return Failure(path, "the lines of a SEARCH do not stand in the file", _nearest(block.search, lines, target))


type _Reading = tuple[Lines, Lines, Lines, Sequence[str]]  # what is searched, its replacement; how both are compared


def _readings(block: Block, lines: Sequence[str]) -> Iterator[_Reading]:
    """Exactly; but for spaces at line ends; but for the indentation. Then without fences around both parts.

    Of a block that can be divided at several lines the longest SEARCH that stands there counts: more of it is known.
    """
    bare = [(fenced(search), fenced(replace)) for search, replace in block.readings]
    unfenced = [(search, replace) for search, replace in bare if search and replace is not None]
    for search, replace in (*block.readings, *unfenced):
        if search:
            yield search, replace, search, lines
            yield search, replace, tuple(line.rstrip() for line in search), [line.rstrip() for line in lines]
            yield search, replace, tuple(line.strip() for line in search), [line.strip() for line in lines]


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
    return _in_units(lines, [pair for pair in pairs if any(pair)]) or lines


def _in_units(lines: tuple[str, ...], pairs: Sequence[tuple[str, str]]) -> tuple[str, ...] | None:
    """Spaces said where tabs are there, or the other way, always as many for one; None where it is not so."""
    for one, other, is_said in ((" ", "\t", True), ("\t", " ", False)):
        if not all(set(said) == {one} and set(real) == {other} for said, real in pairs):
            continue
        sizes = {divmod(len(said), len(real)) if is_said else divmod(len(real), len(said)) for said, real in pairs}
        if len(sizes) == 1 and (size := next(iter(sizes)))[1] == 0:
            old, new = (one * size[0], other) if is_said else (one, other * size[0])
            return tuple(_indent(line).replace(old, new) + line[len(_indent(line)) :] for line in lines)
    return None


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
