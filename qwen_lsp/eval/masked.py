"""Lines to mask in a repository as it is, and what each of them uses that another file defines: holes for retrieval."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.context.memo import Symbols
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.symbols import Definition, references
from qwen_lsp.text.lines import LineTable

MOST_DEFINITIONS = 3  # a name with more of them does not say which one the line means
LEAST_CHARS = 3
LINES_PER_FILE = 2
LARGEST_CHARS = 300_000
NOT_CODE = {"section", "key", "rule", "extension", "field", "variable"}
_WORD = re.compile(r"[^\W\d]\w*")

type Places = Mapping[str, Sequence[tuple[str, Definition]]]  # name -> where it is defined


@dataclass(frozen=True, slots=True)
class Masked:
    """A file without what one line said, and the names of that line that only other files define.

    text: the whole file with the line emptied but for its indent; offset: where the cursor is.
    targets: name -> the places that define it. hard: those names that stand nowhere else in the file.
    """

    path: str
    text: str
    offset: int
    targets: Places
    hard: frozenset[str]


def definitions_of(index: Symbols, paths: Sequence[str]) -> Places:
    """All names that code defines, and where."""
    found: dict[str, list[tuple[str, Definition]]] = {}
    for path in paths:
        outline = index.file(path)
        for each in outline.definitions if outline is not None else ():
            if each.kind not in NOT_CODE:
                found.setdefault(each.name, []).append((path, each))
    return found


def masked_lines(
    root: Path, paths: Sequence[str], places: Places, index: Symbols, language: str, n_lines: int, seed: int
) -> Iterator[Masked]:
    """So many lines of files in `language`, the same ones for the same seed."""
    rng = random.Random(seed)
    own = sorted(path for path in paths if _is(path, language))
    rng.shuffle(own)
    n_found = 0
    for path in own:
        lines = list(_lines(root, path, places, index))
        rng.shuffle(lines)
        for line in lines[:LINES_PER_FILE]:
            yield line
            n_found += 1
            if n_found == n_lines:
                return


def _is(path: str, language: str) -> bool:
    found = language_of(path)
    return found is not None and found.name == language


def _lines(root: Path, path: str, places: Places, index: Symbols) -> Iterator[Masked]:
    language, outline = language_of(path), index.file(path)
    text = (root / path).read_text("utf-8", "replace")
    if language is None or outline is None or len(text) > LARGEST_CHARS:
        return
    table = LineTable.of(text)
    imports = {table.line_at(each.start) for each in outline.imports}
    own = {definition.name for definition in outline.definitions}
    used: dict[int, set[str]] = {}
    for each in references((root / path).read_bytes(), language):
        known = places.get(each.name, ())
        if len(each.name) >= LEAST_CHARS and each.name not in own and 0 < len(known) <= MOST_DEFINITIONS:
            used.setdefault(table.line_at(each.start), set()).add(each.name)
    for line, names in sorted(used.items()):
        if line in imports:
            continue
        start, end = table.starts[line], table.end_of(line)
        start += len(text[start:end]) - len(text[start:end].lstrip())
        masked = text[:start] + text[end:]
        left = set(_WORD.findall(masked))
        targets = {name: places[name] for name in sorted(names)}
        yield Masked(path, masked, start, targets, frozenset(names - left))
