"""Which symbols of a repository may matter at a cursor, and what speaks for each: evidence, not yet an order. Pure.

Asks an index snapshot and reads no file: texts of a few files, for what similar code uses, come through `read`, which
the caller gives. Where the index does not know a file, less is found, never an error.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from qwen_lsp.context.focus import Focus
from qwen_lsp.context.memo import NOT_CODE, Memo, Read, Symbols
from qwen_lsp.context.modules import parts_of, resolved
from qwen_lsp.context.nearness import Near
from qwen_lsp.index.snapshot import Ranked
from qwen_lsp.index.symbols import Definition, Import

Reason = Literal[
    "name",  # a word near the cursor is its name
    "import",  # the file imports it by name, or all of its file
    "member",  # it belongs to a type that is named near the cursor
    "file",  # its file defines other things that the cursor's file uses
    "feedback",  # similar code uses it
    "similar",  # it is that similar code: it shares rare words with the cursor's surroundings
    "open",  # its file is open in the editor
]

LOOKED_INTO = 0.1  # a word of less weight only speaks for its file: looking into files is what costs
MOST_FEEDBACK = 60  # names; the rest stands in one chunk only
ASKED_FOR = 0.3  # words of less weight do not say which code is similar
SIMILAR_FILES = 6
SIMILAR_CHUNKS = 8
RELEVANT_FILES = 12  # whose other definitions are looked at
MOST_NEIGHBOURS = 100  # of one file, and those that the cursor's file names
LEAST_FEEDBACK_CHARS = 4
MOST_OPEN = 20  # the last edited ones
OPEN_FILE, WHOLE_IMPORT, NAMED_IMPORT = 0.5, 1.0, 0.3  # what makes a file matter, beside the names that it defines
LEAST_DISCOUNT = 0.3  # of a name that many files define
IMPORTED_TYPE = 0.7  # how much of its import's strength a type's members get
_TYPES = {"class", "interface", "enum", "module", "type"}

type Key = tuple[str, int]  # path, number of the definition in its outline


class Symbol(NamedTuple):
    """A definition, and the strength of each reason for it, 0 to about 1. A tuple: a key makes hundreds."""

    path: str
    number: int
    definition: Definition
    evidence: Mapping[Reason, float]


def candidates(focus: Focus, index: Symbols, read: Read, open_paths: Iterable[str], memo: Memo) -> list[Symbol]:
    """All that anything speaks for, in no order that means something."""
    return _Search(focus, index, read, tuple(open_paths), memo).run()


class _Search:
    """The evidence so far."""

    def __init__(
        self,
        focus: Focus,
        index: Symbols,
        read: Read,
        open_paths: tuple[str, ...],
        memo: Memo,
    ) -> None:
        self._focus, self._index, self._read, self._memo = focus, index, read, memo
        self._open = [path for path in open_paths if path != focus.path][:MOST_OPEN]
        self._found: dict[Key, dict[Reason, float]] = {}
        self._definitions: dict[Key, Definition] = {}
        self._files: dict[str, float] = {}  # how much of what the cursor's file uses a file defines
        self._open_names: dict[str, list[str]] = {}  # what other open buffers define
        self._near = self._kept_near()

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
            self._memo.forget(path)
            for name in {definition.name for definition in self._outline(path)}:
                self._open_names.setdefault(name, []).append(path)

    def _follow_imports(self) -> None:
        for each in self._focus.imports:
            path = self._file_of(each)
            if path is not None and path != self._focus.path:
                self._files[path] = self._files.get(path, 0.0) + (NAMED_IMPORT if each.names else WHOLE_IMPORT)
            for name in each.names:
                self._look_up(name, "import", 1.0)

    def _file_of(self, imported: Import) -> str | None:
        key = (imported.module, self._focus.path)
        if key not in self._memo.modules:
            self._memo.modules[key] = resolved(imported.module, self._focus.path, self._index.known)
        return self._memo.modules[key]

    def _kept_near(self) -> Near:
        """What is near the cursor's file; from the last key where nothing about that has changed."""
        place = self._focus.path, self._focus.imports, tuple(self._open)
        near = self._memo.near
        if near is None or self._memo.place != place:
            imported = (self._file_of(each) for each in self._focus.imports)
            paths = frozenset(path for path in imported if path is not None)
            module_of = {name: parts_of(each.module) for each in self._focus.imports for name in each.names}
            near = self._memo.near = Near(self._focus.path, paths, module_of)
            self._memo.place = place
        return near

    def _look_up(self, name: str, reason: Reason, weight: float) -> None:
        """Put down what has this name; the nearest where it is many."""
        if name in self._focus.own:
            return
        n_files, nearest = self._nearest(name)
        if not n_files:
            return
        discount = max(1 / (1 + math.log(n_files)), LEAST_DISCOUNT)
        for place, path in enumerate(nearest):
            strength = weight * discount / (1 + 0.5 * place)
            if weight >= LOOKED_INTO:
                for number in self._memo.named(path, self._index).get(name, ()):
                    self._put(path, number, self._outline(path)[number], reason, strength)
            if reason != "feedback":
                self._files[path] = self._files.get(path, 0.0) + strength

    def _nearest(self, name: str) -> tuple[int, tuple[str, ...]]:
        """How many files define a name, and which of them are meant."""
        near = self._near
        found = near.nearest.get(name)
        if found is None or name in self._open_names:
            paths = self._defining(name)
            found = len(paths), near.first(paths, name)
            if name not in self._open_names:
                near.nearest[name] = found
        return found

    def _defining(self, name: str) -> tuple[str, ...]:
        """The files that define a name, other than the cursor's, in the order of paths; none where too many do."""
        paths = self._memo.defining.get(name)
        if paths is None:
            paths = self._memo.defining[name] = self._index.files_defining(name)
        elsewhere = (path for path in paths if path != self._focus.path and path not in self._open)
        here = self._open_names.get(name)
        return tuple(elsewhere) if here is None else tuple(sorted((*here, *elsewhere)))

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
                if definition.kind in NOT_CODE or (left < 0 and not weight):
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
            for number, words in self._memo.chunks(each.path, self._index, self._read):
                score = sum(weight for term, weight in rarity.items() if term in words)
                if score:
                    shared = math.fsum(self._focus.near[word] for word in words & self._focus.near.keys())
                    yield -score - shared / (1 + math.log(1 + len(words))), each.path, number, words

    def _outline(self, path: str) -> tuple[Definition, ...]:
        return self._memo.outline(path, self._index)

    def _put(self, path: str, number: int, definition: Definition, reason: Reason, strength: float) -> None:
        """The strongest evidence of a kind counts."""
        key = path, number
        evidence = self._found.get(key)
        if evidence is None:
            self._definitions[key], self._found[key] = definition, {reason: strength}
        elif strength > evidence.get(reason, 0.0):
            evidence[reason] = strength
