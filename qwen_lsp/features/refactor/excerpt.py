"""Which lines of a long file the model sees: its head with the imports, and the symbols that are meant. Pure.

Meant is what the plan names, what the instruction says by name, and where the file uses that. A short file is shown
whole. What is left out can not be changed either.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from qwen_lsp.context.pack import estimate
from qwen_lsp.index.languages import language_named
from qwen_lsp.index.symbols import Definition, FileSymbols, extract
from qwen_lsp.post.answers import DIVIDE
from qwen_lsp.text.diff import split
from qwen_lsp.text.secrets import masked

HEAD_LINES = 40  # imports, and what the file is about
LONGEST_HEAD_LINES = 200  # with imports that go on further than that
AROUND_LINES = 3
MOST_NAMED = 12  # words of an instruction

_WORD = re.compile(r"[^\W\d]\w*")
_CODE_WORD = re.compile(r"\w*_\w*|[^\W\d_]+\d\w*|\w+[^\W\d_a-z]\w*")  # no word of prose: a_b, x1, camelCase
_LINE = re.compile(r"(?i)\blines? (\d{1,7})(?:(?: to |-| and )(\d{1,7}))?")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`text` as it is shown; `lines` from and to of the file, None where all of it is. `searchable`: what a SEARCH may
    be taken from, with a line that none can hold between parts."""

    text: str = field(repr=False)
    searchable: str = field(repr=False)
    lines: tuple[tuple[int, int], ...] | None


def excerpt(
    language_id: str,
    text: str,
    names: Sequence[str],
    spans: Iterable[tuple[int, int]],
    n_tokens: int,
    instruction: str = "",
) -> Excerpt:
    """`names`: symbols, `spans`: ranges of characters that are meant; the first ones matter most."""
    shown = masked(text)
    if estimate(shown) <= n_tokens:
        return Excerpt(shown, shown, None)
    rows = split(shown)
    symbols = extract(text.encode(errors="replace"), language_named(language_id))
    said = _named(instruction, symbols)
    wanted = [
        *_lines_of(rows, spans),
        *_lines_said(instruction),
        *_lines_of(rows, _symbols(symbols, names)),
        *_lines_of(rows, _mentions(shown, said)),
        (0, _head(rows, symbols)),
        *_lines_of(rows, _symbols(symbols, said)),
    ]
    runs = _runs(_fitting(rows, wanted, n_tokens))
    parts = ["".join(rows[first:last]) for first, last in runs]
    told = [f"… lines {first + 1} to {last} …\n{part}" for (first, last), part in zip(runs, parts, strict=True)]
    return Excerpt("\n".join(told), f"{DIVIDE}\n".join(_ended(part) for part in parts), runs)


def _fitting(rows: Sequence[str], wanted: Iterable[tuple[int, int]], n_tokens: int) -> set[int]:
    """The lines that there is room for; of what does not fit whole, its beginning."""
    kept: set[int] = set()
    left = n_tokens
    for first, last in wanted:
        for line in range(max(first - AROUND_LINES, 0), min(last + AROUND_LINES, len(rows))):
            cost = 0 if line in kept else estimate(rows[line])
            if cost > left:
                break
            left -= cost
            kept.add(line)
    return kept


def _runs(lines: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Lines that follow each other, as from and to."""
    found: list[tuple[int, int]] = []
    for line in sorted(lines):
        if found and found[-1][1] == line:
            found[-1] = found[-1][0], line + 1
        else:
            found.append((line, line + 1))
    return tuple(found)


def _symbols(symbols: FileSymbols, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where the named ones are defined; of a class its methods, if those are named."""
    spans = []
    for name in names:
        spans += [(each.start, each.end) for each in symbols.definitions if name in (each.name, full_name(each))]
    return spans


def _named(instruction: str, symbols: FileSymbols) -> list[str]:
    """Words of the instruction that are names: written like one, or defined or imported in the file."""
    known = {each.name for each in symbols.definitions} | {name for each in symbols.imports for name in each.names}
    words = dict.fromkeys(_WORD.findall(instruction))
    return [word for word in words if word in known or _CODE_WORD.fullmatch(word)][:MOST_NAMED]


def _mentions(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    if not names:
        return []
    return [found.span() for found in re.finditer(rf"\b(?:{'|'.join(map(re.escape, names))})\b", text)]


def _lines_said(instruction: str) -> list[tuple[int, int]]:
    """`line 12`, `lines 3 to 5`."""
    return [(int(first) - 1, int(last or first)) for first, last in _LINE.findall(instruction) if int(first)]


def _head(rows: Sequence[str], symbols: FileSymbols) -> int:
    """As far as the imports go."""
    starts = [each.start for each in symbols.imports]
    lines = [last for _, last in _lines_of(rows, ((start, start) for start in starts))]
    return max((last for last in lines if last <= LONGEST_HEAD_LINES), default=0) or HEAD_LINES


def full_name(definition: Definition) -> str:
    """`Container.name`."""
    return f"{definition.container}.{definition.name}" if definition.container else definition.name


def _lines_of(rows: Sequence[str], spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    starts = list(accumulate(map(len, rows), initial=0))
    return [
        (bisect_right(starts, start) - 1, max(bisect_left(starts, end), bisect_right(starts, start)))
        for start, end in spans
    ]


def _ended(part: str) -> str:
    return part if part.endswith(("\n", "\r")) else part + "\n"
