"""Which symbols of a repository may matter at a cursor, and what speaks for each: evidence, not yet an order. Pure.

Asks an index snapshot and reads no file: texts of a few files, for what similar code uses, come through `read`, which
the caller gives. Where the index does not know a file, less is found, never an error.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal, Protocol

from qwen_lsp.context.focus import Focus, words_of
from qwen_lsp.context.modules import affinity, parts_of, resolved
from qwen_lsp.index.rows import DEFINES, Outline
from qwen_lsp.index.snapshot import RARE_FILES, Ranked
from qwen_lsp.index.symbols import Definition

Reason = Literal[
    "name",  # a word near the cursor is its name
    "import",  # the file imports it by name, or all of its file
    "member",  # it belongs to a type that is named near the cursor
    "file",  # its file defines other things that the cursor's file uses
    "feedback",  # similar code uses it
    "similar",  # it is that similar code: it shares rare words with the cursor's surroundings
    "open",  # its file is open in the editor
]

MOST_PATHS = 3  # files looked into for one name: of more of them, the nearest
LOOKED_INTO = 0.1  # a word of less weight only speaks for its file: looking into files is what costs
MOST_FEEDBACK = 60  # names; the rest stands in one chunk only
ASKED_FOR = 0.3  # words of less weight do not say which code is similar
SIMILAR_FILES = 6
SIMILAR_CHUNKS = 8
SIMILAR_CHARS = 4_000  # of a chunk: a class of a thousand lines says nothing about one of them
RELEVANT_FILES = 12  # whose other definitions are looked at
MOST_NEIGHBOURS = 100  # of one file, and those that the cursor's file names
LEAST_FEEDBACK_CHARS = 4
MOST_OPEN = 20  # the last edited ones
OPEN_FILE, WHOLE_IMPORT, NAMED_IMPORT = 0.5, 1.0, 0.3  # what makes a file matter, beside the names that it defines
LEAST_DISCOUNT = 0.3  # of a name that many files define
IMPORTED_TYPE = 0.7  # how much of its import's strength a type's members get
_TYPES = {"class", "interface", "enum", "module", "type"}
_NOT_CODE = {"section", "key", "rule", "extension", "paragraph"}
_NOT_SIMILAR = _NOT_CODE - {"paragraph"}

type Key = tuple[str, int]  # path, number of the definition in its outline
type Chunk = tuple[int, frozenset[str]]  # number of a definition with a body, the words in it


class Symbols(Protocol):
    """What is asked of an index snapshot."""

    def file(self, path: str) -> Outline | None: ...

    def rare_terms(self, terms: Iterable[str], limit: int = 50) -> tuple[Ranked, ...]: ...


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition, and the strength of each reason for it, 0 to about 1."""

    path: str
    number: int
    definition: Definition
    evidence: Mapping[Reason, float]


@dataclass(slots=True)
class Memo:
    """What was asked of the index, for the next key: kept by the caller as long as other files stay as they are.

    defining: name -> files; modules: (module, importing file) -> file; chunks: file -> the words of its symbols.
    """

    defining: dict[str, tuple[str, ...]] = field(default_factory=dict)
    modules: dict[tuple[str, str], str | None] = field(default_factory=dict)
    outlines: dict[str, tuple[Definition, ...]] = field(default_factory=dict)
    chunks: dict[str, tuple[Chunk, ...]] = field(default_factory=dict)


def candidates(
    focus: Focus, index: Symbols, read: Callable[[str], str | None], open_paths: Iterable[str], memo: Memo
) -> list[Symbol]:
    """All that anything speaks for, in no order that means something."""
    return _Search(focus, index, read, tuple(open_paths), memo).run()


class _Search:
    """The evidence so far."""

    def __init__(
        self,
        focus: Focus,
        index: Symbols,
        read: Callable[[str], str | None],
        open_paths: tuple[str, ...],
        memo: Memo,
    ) -> None:
        self._focus, self._index, self._read, self._memo = focus, index, read, memo
        self._open = [path for path in open_paths if path != focus.path][:MOST_OPEN]
        self._suffix, self._folder = _place(focus.path)
        self._near: dict[str, float] = {}  # path -> how near it is, whatever name is looked for
        self._found: dict[Key, dict[Reason, float]] = {}
        self._definitions: dict[Key, Definition] = {}
        self._files: dict[str, float] = {}  # how much of what the cursor's file uses a file defines
        self._imported: set[str] = set()
        self._module_of: dict[str, tuple[str, ...]] = {}  # imported name -> the module's parts
        self._open_names: dict[str, list[str]] = {}  # what other open buffers define

    def run(self) -> list[Symbol]:
        self._open_files()
        self._follow_imports()
        for name, weight in self._focus.near.items():
            self._look_up(name, "name", weight)
        self._members()
        self._neighbours()
        self._feedback(self._similar_files())
        return [
            Symbol(path, number, self._definitions[path, number], evidence)
            for (path, number), evidence in self._found.items()
        ]

    def _open_files(self) -> None:
        """The index lists by name only what stands on the disk; and a buffer may have changed since the last key."""
        for path in self._open:
            self._files[path] = OPEN_FILE
            self._memo.chunks.pop(path, None)
            self._memo.outlines.pop(path, None)
            for name in {definition.name for definition in self._outline(path)}:
                self._open_names.setdefault(name, []).append(path)

    def _follow_imports(self) -> None:
        for each in self._focus.imports:
            parts = parts_of(each.module)
            for name in each.names:
                self._module_of[name] = parts
            key = (each.module, self._focus.path)
            if key not in self._memo.modules:
                self._memo.modules[key] = resolved(each.module, self._focus.path, self._is_known)
            path = self._memo.modules[key]
            if path is not None and path != self._focus.path:
                self._imported.add(path)
                self._files[path] = self._files.get(path, 0.0) + (NAMED_IMPORT if each.names else WHOLE_IMPORT)
            for name in each.names:
                self._look_up(name, "import", 1.0)

    def _is_known(self, path: str) -> bool:
        return self._index.file(path) is not None

    def _look_up(self, name: str, reason: Reason, weight: float) -> None:
        """Put down what has this name; the nearest where it is many."""
        if name in self._focus.own:
            return
        paths = self._defining(name)
        if not paths:
            return
        discount = max(1 / (1 + math.log(len(paths))), LEAST_DISCOUNT)
        nearest = sorted(paths, key=lambda path: (-self._closeness(path, name), path))[:MOST_PATHS]
        for place, path in enumerate(nearest):
            strength = weight * discount / (1 + 0.5 * place)
            if weight >= LOOKED_INTO:
                for number, definition in enumerate(self._outline(path)):
                    if definition.name == name and definition.kind not in _NOT_CODE:
                        self._put(path, number, definition, reason, strength)
            if reason != "feedback":
                self._files[path] = self._files.get(path, 0.0) + strength

    def _defining(self, name: str) -> tuple[str, ...]:
        """The files that define a name, other than the cursor's; none where too many do."""
        paths = self._memo.defining.get(name)
        if paths is None:
            found = self._index.rare_terms([DEFINES + name], RARE_FILES)
            paths = self._memo.defining[name] = tuple(ranked.path for ranked in found)
        here = self._open_names.get(name, ())
        return (*here, *(path for path in paths if path != self._focus.path and path not in self._open))

    def _closeness(self, path: str, name: str) -> float:
        """Of files that define the same name, which one is meant: 0 to about 5."""
        near = self._near.get(path)
        if near is None:
            suffix, folder = _place(path)
            pairs = zip(folder, self._folder, strict=False)
            n_shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            shared = n_shared / max(len(self._folder), len(folder), 1)
            near = self._near[path] = shared + (suffix == self._suffix) + (path in self._imported)
        module = self._module_of.get(name)
        return near + 2 * affinity(path, module) if module else near

    def _similar_files(self) -> tuple[Ranked, ...]:
        """Files that share the rarest words near the cursor."""
        terms = [word for word, weight in self._focus.near.items() if weight > ASKED_FOR]
        ranked = tuple(each for each in self._index.rare_terms(terms) if each.path != self._focus.path)
        return ranked[:SIMILAR_FILES]

    def _members(self) -> None:
        """What belongs to the types that were found by name."""
        for (path, number), evidence in list(self._found.items()):
            strength = max(evidence.get("name", 0.0), IMPORTED_TYPE * evidence.get("import", 0.0))
            definition = self._definitions[path, number]
            if definition.kind not in _TYPES:
                continue
            for child, each in enumerate(self._outline(path)):
                if each.parent == number or (each.parent is None and each.container == definition.name):
                    self._put(path, child, each, "member", strength)

    def _neighbours(self) -> None:
        """The other definitions of the files that matter most."""
        best = sorted(self._files, key=lambda path: (-self._files[path], path))[:RELEVANT_FILES]
        top = max((self._files[path] for path in best), default=1.0)
        for path in best:
            strength, left = self._files[path] / top, MOST_NEIGHBOURS
            for number, definition in enumerate(self._outline(path)):
                weight = self._focus.near.get(definition.name, 0.0)
                left -= 1
                if definition.kind in _NOT_CODE or (left < 0 and not weight):
                    continue
                self._put(path, number, definition, "file", strength)
                if 0 < weight < LOOKED_INTO:
                    self._put(path, number, definition, "name", weight)
                if path in self._open:
                    self._put(path, number, definition, "open", 1.0)

    def _feedback(self, ranked: tuple[Ranked, ...]) -> None:
        """Names that the most similar code uses and the cursor's file does not know yet."""
        chunks = sorted(self._scored_chunks(ranked), key=lambda each: each[:3])[:SIMILAR_CHUNKS]
        best = -chunks[0][0] if chunks else 1.0
        names: dict[str, float] = {}
        for minus_score, path, number, words in chunks:
            strength = -minus_score / best
            self._put(path, number, self._outline(path)[number], "similar", strength)
            for word in words:
                if len(word) >= LEAST_FEEDBACK_CHARS and word not in self._focus.words:
                    names[word] = names.get(word, 0.0) + strength
        most = max(names.values(), default=1.0)
        for name in sorted(names, key=lambda name: (-names[name], name))[:MOST_FEEDBACK]:
            self._look_up(name, "feedback", names[name] / most)

    def _scored_chunks(self, ranked: tuple[Ranked, ...]) -> Iterator[tuple[float, str, int, frozenset[str]]]:
        """Symbols by how many of the cursor's words they share, rare ones first: the score is below 0."""
        for each in ranked:
            rarity = {term: 1.0 + 1.0 / (1 + place) for place, term in enumerate(each.terms)}
            for number, words in self._chunks(each.path):
                score = sum(weight for term, weight in rarity.items() if term in words)
                if score:
                    shared = math.fsum(self._focus.near[word] for word in words & self._focus.near.keys())
                    yield -score - shared / (1 + math.log(1 + len(words))), each.path, number, words

    def _chunks(self, path: str) -> tuple[Chunk, ...]:
        """The symbols of a file that are whole and not too long, and what words they have."""
        found = self._memo.chunks.get(path)
        if found is None:
            text = self._read(path) or ""
            found = self._memo.chunks[path] = tuple(
                (number, frozenset(words_of(text[each.start : each.end])))
                for number, each in enumerate(self._outline(path))
                if each.body_start is not None
                and each.end - each.start <= SIMILAR_CHARS
                and each.kind not in _NOT_SIMILAR
                and text.startswith(each.name, each.name_start)
            )
        return found

    def _outline(self, path: str) -> tuple[Definition, ...]:
        found = self._memo.outlines.get(path)
        if found is None:
            outline = self._index.file(path)
            found = self._memo.outlines[path] = _shown(outline) if outline is not None else ()
        return found

    def _put(self, path: str, number: int, definition: Definition, reason: Reason, strength: float) -> None:
        """The strongest evidence of a kind counts."""
        self._definitions[path, number] = definition
        evidence = self._found.setdefault((path, number), {})
        evidence[reason] = max(evidence.get(reason, 0.0), strength)


def _shown(outline: Outline) -> tuple[Definition, ...]:
    """What of a file may be shown by itself. A paragraph is named by its first line, and is its own body."""
    if not outline.paragraphs:
        return outline.definitions
    return tuple(
        Definition(each.first, "paragraph", "", each.start, each.start, each.end, each.start, each.first, None)
        for each in outline.paragraphs
    )


def _place(path: str) -> tuple[str, list[str]]:
    """The suffix and the folders of a path."""
    *folders, name = path.split("/")
    return name.rpartition(".")[2], folders
