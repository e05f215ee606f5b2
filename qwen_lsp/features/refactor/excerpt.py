"""Which lines of a long file the model sees: its head with the imports, and the symbols that are meant. Pure.

A short file is shown whole. What is left out can not be changed either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qwen_lsp.context.pack import estimate
from qwen_lsp.index.languages import language_named
from qwen_lsp.index.symbols import Definition, extract
from qwen_lsp.post.blocks import DIVIDE
from qwen_lsp.text.diff import split
from qwen_lsp.text.secrets import masked

HEAD_LINES = 40  # imports, and what the file is about
AROUND_LINES = 3


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`text` as it is shown; `lines` from and to of the file, None where all of it is. `searchable`: what a SEARCH may
    be taken from, with a line that none can hold between parts."""

    text: str = field(repr=False)
    searchable: str = field(repr=False)
    lines: tuple[tuple[int, int], ...] | None


def excerpt(
    language_id: str, text: str, names: Sequence[str], spans: Iterable[tuple[int, int]], n_tokens: int
) -> Excerpt:
    """`names`: symbols, `spans`: ranges of characters that are meant; the first ones matter most."""
    shown = masked(text)
    if estimate(shown) <= n_tokens:
        return Excerpt(shown, shown, None)
    rows = split(shown)
    wanted = [*_lines_of(rows, spans), *_lines_of(rows, _symbols(language_id, text, names)), (0, HEAD_LINES)]
    kept: list[tuple[int, int]] = []
    left = n_tokens
    for first, last in wanted:
        first, last = max(first - AROUND_LINES, 0), min(last + AROUND_LINES, len(rows))
        while last > first and estimate("".join(rows[first:last])) > left:
            last -= max(1, (last - first) // 4)
        if last > first:
            left -= estimate("".join(rows[first:last]))
            kept.append((first, last))
    merged = _merged(kept)
    parts = ["".join(rows[first:last]) for first, last in merged]
    told = [f"… lines {first + 1} to {last} …\n{part}" for (first, last), part in zip(merged, parts, strict=True)]
    return Excerpt("\n".join(told), f"{DIVIDE}\n".join(_ended(part) for part in parts), tuple(merged))


def _symbols(language_id: str, text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """Where the named ones are defined; of a class its methods, if those are named."""
    found = extract(text.encode(), language_named(language_id)).definitions
    spans = []
    for name in names:
        spans += [(each.start, each.end) for each in found if name in (each.name, full_name(each))]
    return spans


def full_name(definition: Definition) -> str:
    """`Container.name`."""
    return f"{definition.container}.{definition.name}" if definition.container else definition.name


def _lines_of(rows: Sequence[str], spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row))
    found = []
    for start, end in spans:
        first = max((number for number, at in enumerate(starts[:-1]) if at <= start), default=0)
        last = next((number for number, at in enumerate(starts) if at >= end), len(rows))
        found.append((first, max(last, first + 1)))
    return found


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _ended(part: str) -> str:
    return part if part.endswith(("\n", "\r")) else part + "\n"
