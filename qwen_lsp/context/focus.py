"""What a cursor is about: the words of its file, weighed by how near they stand, and what the file imports. Pure.

Words, not identifiers of a tree: a name that nothing defines finds nothing, and a broken line still says what it means.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise

from qwen_lsp.index.symbols import FileSymbols, Import
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.lines import LineTable

NEAR_LINES = 60  # on either side of the cursor
HALF_LINES = 12  # at this distance a word counts half
FAR_WEIGHT = 0.05  # of a word that stands further away
LEAST_CHARS = 3  # shorter names are loop variables and type parameters
MOST_WORDS = 300  # distinct ones, the nearest first: each costs a look-up

SLICE_LINES = 1_000

_WORD = re.compile(r"[^\W\d]\w{2,}")


@dataclass(frozen=True, slots=True)
class Focus:
    """`path` is below the root. `near`: words to weights, 1 on the cursor's own line, the heaviest first."""

    path: str
    near: Mapping[str, float]
    words: frozenset[str]
    own: frozenset[str]  # what the file itself defines
    imports: tuple[Import, ...]


def focus(path: str, cursor: Cursor, outline: FileSymbols | None) -> Focus:
    """`outline`: what the index says of the file, None where it does not know it."""
    lines = cursor.document.lines
    here = lines.line_at(cursor.offset)
    first, last = max(here - NEAR_LINES, 0), min(here + NEAR_LINES + 1, lines.count)
    near: dict[str, float] = {}
    for number in sorted(range(first, last), key=lambda number: (abs(number - here), number)):
        weight = HALF_LINES / (HALF_LINES + abs(number - here))
        for word in _WORD.findall(lines.line(number)):
            near.setdefault(word, weight)
    words = frozenset(chain.from_iterable(_slices(lines)))
    for word in sorted(words.difference(near)):
        near[word] = FAR_WEIGHT
    own = frozenset(definition.name for definition in outline.definitions) if outline is not None else frozenset()
    near = dict(list(near.items())[:MOST_WORDS])
    return Focus(path, near, words, own, outline.imports if outline is not None else ())


def words_of(text: str) -> list[str]:
    """The words of any text that may be names, as often as they stand there."""
    return _WORD.findall(text)


def _slices(lines: LineTable) -> Iterator[list[str]]:
    """The words of some lines after the other: a search keeps the interpreter to itself, for 50 ms over a megabyte."""
    for first, last in pairwise((*range(0, lines.count, SLICE_LINES), lines.count)):
        yield _WORD.findall(lines.text, lines.starts[first], lines.end_of(last - 1))
