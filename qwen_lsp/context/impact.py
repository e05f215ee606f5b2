"""Which places a change of one symbol may touch: its definitions, its uses and their files. Texts come from `read`.

Names decide, then scopes and imports narrow: tree-sitter knows no types, so whose method `x.total()` calls stays open,
and the answer says so instead of guessing. Parses every file in which the word stands: not for the event loop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from qwen_lsp.context.modules import affinity, parts_of, resolved
from qwen_lsp.index.languages import language_named
from qwen_lsp.index.snapshot import MAX_HITS, Found
from qwen_lsp.index.symbols import Definition, FileSymbols, references

Standing = Literal[
    "own",  # in the file or type that defines it
    "imported",  # its file imports it from there
    "possible",  # nothing speaks against it
    "other",  # another definition of the same name is nearer, or imported
]

# Languages whose files can use each other's names.
_FAMILIES = (
    {"c", "cpp"},
    {"javascript", "javascriptreact", "typescript", "typescriptreact"},
    {"java", "kotlin", "scala"},
)
LIMITS: tuple[str, ...] = (
    "types are unknown: a use of the same name on another type is listed as possible",
    "a local variable of the same name is not told from the symbol",
    "names made at run time, and uses in generated or excluded files, are not found",
)


class Symbols(Protocol):
    """What is asked of an index snapshot."""

    def file(self, path: str) -> FileSymbols | None: ...

    def known(self, paths: Sequence[str]) -> frozenset[str]: ...

    def definitions_of(self, name: str) -> tuple[Found, ...]: ...

    def files_with(self, word: str) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Use:
    """One identifier, as an offset into its file's text."""

    path: str
    start: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change of the symbol touches.

    definitions: the symbol's own, a prototype and overloads included; namesakes: others of that name, told apart.
    files: those with a definition or a use that is not another's. texts: files without a grammar that have the word.
    unread: files that could not be read or may not be shown. limits: what this answer can not know.
    """

    definitions: tuple[Found, ...]
    namesakes: tuple[Found, ...]
    uses: tuple[Use, ...]
    files: tuple[str, ...]
    texts: tuple[str, ...]
    unread: tuple[str, ...]
    limits: tuple[str, ...]


def impact(of: Found, index: Symbols, read: Callable[[str], str | None]) -> Impact:
    """Everything in the order of paths and of the text."""
    name = of.definition.name
    found = index.definitions_of(name)
    own = tuple(each for each in found if _same(of, each, index))
    namesakes = tuple(
        each for each in found if each not in own and each.definition.kind not in ("section", "key", "rule")
    )
    uses: list[Use] = []
    texts, unread = [], []
    paths = index.files_with(name)
    for path in paths:
        outline = index.file(path)
        language = language_named(outline.language) if outline is not None else None
        if outline is None or language is None or not language.identifiers:
            texts.append(path)
            continue
        text = read(path)
        if text is None:
            unread.append(path)
            continue
        judge = _Judge(path, outline, own, namesakes, index)
        uses += (Use(path, each.start, judge(name, each.start)) for each in references(text.encode(), language, {name}))
    files = {each.path for each in own} | {use.path for use in uses if use.standing != "other"}
    limits = LIMITS
    if len(paths) >= MAX_HITS:
        limits = (f"the word stands in more than {MAX_HITS} files: only so many were looked at", *limits)
    return Impact(own, namesakes, tuple(uses), tuple(sorted(files)), tuple(texts), tuple(unread), limits)


def _same(of: Found, other: Found, index: Symbols) -> bool:
    """Whether both define one symbol: overloads in one place, a prototype and its body."""
    one, two = of.definition, other.definition
    if other.path == of.path and one.container == two.container:
        return True
    if one.container != two.container or (one.body_start is None) == (two.body_start is None):
        return False
    languages = {outline.language for path in (of.path, other.path) if (outline := index.file(path)) is not None}
    return languages <= _FAMILIES[0]


class _Judge:
    """Says of the uses in one file whose they are."""

    def __init__(
        self,
        path: str,
        outline: FileSymbols,
        own: tuple[Found, ...],
        namesakes: tuple[Found, ...],
        index: Symbols,
    ) -> None:
        self._path, self._outline = path, outline
        self._own, self._namesakes, self._index = own, namesakes, index
        self._is_foreign = not any(_related(outline, index.file(each.path)) for each in own)

    def __call__(self, name: str, start: int) -> Standing:
        if self._is_foreign:
            return "other"
        here = [each for each in (*self._own, *self._namesakes) if each.path == self._path]
        for each in sorted(here, key=lambda each: -_scope(each.definition, self._outline)[0]):
            first, last = _scope(each.definition, self._outline)
            if first <= start < last:
                return "own" if each in self._own else "other"
        imported = [each.module for each in self._outline.imports if name in each.names]
        if imported:
            return "imported" if any(self._is_from(module) for module in imported) else "other"
        return "possible"

    def _is_from(self, module: str) -> bool:
        """Whether this module is, or lies around, a file that defines the symbol; by its name where it is not found."""
        path = resolved(module, self._path, self._index.known)
        if path is not None and any(path == each.path for each in self._own):
            return True
        parts = parts_of(module)
        nearest = max((affinity(each.path, parts) for each in self._own), default=0.0)
        return nearest > 0 and nearest >= max((affinity(each.path, parts) for each in self._namesakes), default=0.0)


def _scope(definition: Definition, outline: FileSymbols) -> tuple[int, int]:
    """Where the bare name means this definition: the type around it, or the whole file."""
    if definition.parent is None:
        return (0, 1 << 62) if not definition.container else (definition.start, definition.end)
    parent = outline.definitions[definition.parent]
    return parent.start, parent.end


def _related(one: FileSymbols, other: FileSymbols | None) -> bool:
    if other is None or one.language == other.language:
        return True
    return any({one.language, other.language} <= family for family in _FAMILIES)
