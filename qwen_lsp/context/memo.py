"""What was asked of the index and made of its answers, for the next key. Knows no cursor but the file that it is in.

Kept by the caller as long as the index says the same of other files; of an open one, `forget` at each key.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from qwen_lsp.context.focus import words_of
from qwen_lsp.context.nearness import Near
from qwen_lsp.context.texts import Masked
from qwen_lsp.index.snapshot import Ranked
from qwen_lsp.index.symbols import Definition, FileSymbols

NOT_CODE = frozenset(("section", "key", "rule", "extension", "paragraph"))
_NEVER_SIMILAR = NOT_CODE - {"paragraph"}
SIMILAR_CHARS = 4_000  # of a chunk: a class of a thousand lines says nothing about one of them

type Chunk = tuple[int, frozenset[str]]  # number of a definition with a body, the words in it
type Read = Callable[[str], str | None]


class Symbols(Protocol):
    """What is asked of an index snapshot."""

    def file(self, path: str) -> FileSymbols | None: ...

    def known(self, paths: Sequence[str]) -> frozenset[str]: ...

    def files_defining(self, name: str) -> tuple[str, ...]: ...

    def rare_terms(self, terms: Iterable[str], limit: int = 50) -> tuple[Ranked, ...]: ...


@dataclass(slots=True)
class Memo:
    """Each by path, but `defining`: name -> files, and `modules`: (module, importing file) -> file.

    near: what was worked out for the cursor's file, as long as `place` is the same.
    """

    defining: dict[str, tuple[str, ...]] = field(default_factory=dict)
    modules: dict[tuple[str, str], str | None] = field(default_factory=dict)
    outlines: dict[str, tuple[Definition, ...]] = field(default_factory=dict)
    texts: Masked = field(default_factory=dict)
    near: Near | None = None
    place: object = None
    _named: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    _chunks: dict[str, tuple[Chunk, ...]] = field(default_factory=dict)

    def forget(self, path: str) -> None:
        """It may have changed."""
        for known in (self.outlines, self._named, self._chunks):
            known.pop(path, None)

    def outline(self, path: str, index: Symbols) -> tuple[Definition, ...]:
        """What of a file may be shown by itself."""
        found = self.outlines.get(path)
        if found is None:
            outline = index.file(path)
            found = self.outlines[path] = _shown(outline) if outline is not None else ()
        return found

    def named(self, path: str, index: Symbols) -> dict[str, list[int]]:
        """The code that a file defines: the numbers in its outline by name."""
        found = self._named.get(path)
        if found is None:
            found = self._named[path] = {}
            for number, definition in enumerate(self.outline(path, index)):
                if definition.kind not in NOT_CODE:
                    found.setdefault(definition.name, []).append(number)
        return found

    def chunks(self, path: str, index: Symbols, read: Read) -> tuple[Chunk, ...]:
        """The symbols of a file that are whole and not too long, and what words they have."""
        found = self._chunks.get(path)
        if found is None:
            text = read(path) or ""
            found = self._chunks[path] = tuple(
                (number, frozenset(words_of(text[each.start : each.end])))
                for number, each in enumerate(self.outline(path, index))
                if each.body_start is not None
                and each.end - each.start <= SIMILAR_CHARS
                and each.kind not in _NEVER_SIMILAR
                and text.startswith(each.name, each.name_start)
            )
        return found


def _shown(outline: FileSymbols) -> tuple[Definition, ...]:
    """A paragraph is named by its first line, and is its own body."""
    if not outline.paragraphs:
        return outline.definitions
    return tuple(
        Definition(each.first, "paragraph", "", each.start, each.start, each.end, each.start, each.first, None)
        for each in outline.paragraphs
    )
