"""What the index knows at one moment: the store's rows, and the open buffers in place of theirs.

A snapshot stays as it is while others write, and costs a read transaction: close it soon. Its answers have a total
order. Nothing in here reads a file of the workspace; where the store is damaged, answers are empty.
"""

import json
import logging
import math
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self

from qwen_lsp.index.database import is_damage, remove
from qwen_lsp.index.rows import (
    DEFINES,
    IMPORTS,
    query,
    unpack_outline,
)
from qwen_lsp.index.store import MOST_OTHERS, Store
from qwen_lsp.index.symbols import BufferSymbols, Definition, FileSymbols, Import

log = logging.getLogger(__name__)

MAX_HITS = 500  # files looked into for one name: what more of them define tells nothing
RARE_FILES = 300  # a term that more files have does not single any out
RARE_TERMS = 12  # the rarest of a cursor's terms; more of them change the ranking little and cost as much each
MAX_OUTLINES = 2_000  # kept decoded; some 10 KB each
MAX_FREQUENCIES, MAX_TERMS = 20_000, 1_000  # whose answers are kept; a term has at most RARE_FILES paths

_HITS = """
SELECT f.path, f.content FROM term CROSS JOIN file f ON f.content = term.rowid AND f.root = ?
WHERE term MATCH ? ORDER BY f.path LIMIT ?
"""
_SOME = """
SELECT f.path FROM term CROSS JOIN file f ON f.content = term.rowid AND f.root = ? WHERE term MATCH ? LIMIT ?
"""
_COUNT = """
SELECT count(*) FROM (SELECT 1 FROM term CROSS JOIN file f ON f.content = term.rowid AND f.root = ?
WHERE term MATCH ? LIMIT ?)
"""
# Contents of any root. Whose files they are is not asked, which takes four times as long.
_COUNT_ALL = "SELECT count(*) FROM (SELECT 1 FROM term WHERE term MATCH ? LIMIT ?)"
_KNOWN = """
SELECT f.path FROM json_each(?) AS asked CROSS JOIN file f ON f.path = asked.value AND f.root = ?
WHERE f.content IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A definition, and its number in its file's outline."""

    path: str
    number: int
    definition: Definition


@dataclass(frozen=True, slots=True)
class Ranked:
    """A file and the rare terms that it has, the rarest first; a higher score is better."""

    path: str
    score: float
    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answers:
    """What one state of the store has answered: the next key asks much the same.

    frequencies: in how many files a term stands. paths: the files with a term.
    """

    state: object = None
    frequencies: dict[str, int] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        return len(self.frequencies) < MAX_FREQUENCIES and len(self.paths) < MAX_TERMS


class Index:
    """One root of a window: its rows in the store, and its open buffers. For one thread; its snapshots are for any."""

    def __init__(self, store: Store, root: Path) -> None:
        self._store = store
        self._root = root
        self._number = store.root_id(root)
        self._live: Mapping[str, BufferSymbols] = {}
        self._idle: list[sqlite3.Connection] = []
        self._outlines: dict[int, FileSymbols] = {}
        self._answers = Answers()

    def show(self, path: str, buffer: BufferSymbols) -> None:
        """From now on the buffer of this path stands for its file."""
        self._live = {**self._live, path: buffer}

    def hide(self, path: str) -> None:
        """The buffer is closed: the disk counts again."""
        self._live = {other: live for other, live in self._live.items() if other != path}

    def snapshot(self) -> "IndexSnapshot":
        if not self._store.is_current():
            self.close()
            self._store.renew()
            self._number = self._store.root_id(self._root)
            self._outlines = {}  # another database's numbers
        db = self._idle.pop() if self._idle else self._store.reader()
        path = self._store.path
        release = partial(self._release, path)
        found = IndexSnapshot(db, path, self._number, self._live, self._outlines, self._answers, release)
        self._answers = found.answers
        return found

    def close(self) -> None:
        """Snapshots may outlive this; each then closes its own connection."""
        while self._idle:
            self._idle.pop().close()
        self._number = 0

    def _release(self, path: Path, db: sqlite3.Connection) -> None:
        if path == self._store.path and self._number:
            self._idle.append(db)
        else:
            db.close()


class IndexSnapshot:
    """To be closed, or used in a `with`. One thread at a time."""

    __slots__ = ("_db", "_live", "_n_others", "_outlines", "_path", "_release", "_root", "answers")

    def __init__(
        self,
        db: sqlite3.Connection,
        path: Path,
        root: int,
        live: Mapping[str, BufferSymbols],
        outlines: dict[int, FileSymbols],
        answers: Answers,
        release: Callable[[sqlite3.Connection], None],
    ) -> None:
        self._db, self._path, self._root = db, path, root
        self._live, self._outlines, self._release = live, outlines, release
        self._db.execute("BEGIN")
        others = self._rows("SELECT others FROM root WHERE id = ?", root)  # the first look fixes what is seen
        self._n_others: int = others[0][0] if others else MOST_OTHERS + 1
        state = self._db, self._rows("PRAGMA data_version")  # of this connection: others' numbers tell nothing
        self.answers = answers if answers.state == state and answers.has_room else Answers(state)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.execute("ROLLBACK")
        self._release(self._db)

    def stamp(self) -> object:
        """Equal to another snapshot's only if files that are not open are the same in both, and the same ones open."""
        return self.answers.state, frozenset(self._live)

    @property
    def n_files(self) -> int:
        """How many files count, buffers of files that are not on the disk included."""
        rows = self._rows("SELECT count(*) FROM file WHERE root = ? AND content IS NOT NULL", self._root)
        return (rows[0][0] if rows else 0) + sum(self._content(path) is None for path in self._live)

    def file(self, path: str) -> FileSymbols | None:
        """What the file defines and imports; None if it does not count or is not known yet."""
        live = self._live.get(path)
        if live is not None:
            return live.symbols
        content = self._content(path)
        return None if content is None else self._outline(content)

    def known(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of the paths that count."""
        rows = self._rows(_KNOWN, json.dumps(paths), self._root)
        return frozenset(chain((path for (path,) in rows), (path for path in paths if path in self._live)))

    def imports_of(self, path: str) -> tuple[Import, ...]:
        found = self.file(path)
        return () if found is None else found.imports

    def importers_of(self, module: str) -> tuple[str, ...]:
        """The files that import a module of exactly this spelling."""
        found = [path for path, _ in self._hits(IMPORTS + module)]
        for path, live in self._live.items():
            if any(each.module == module for each in live.symbols.imports):
                found.append(path)
        return tuple(sorted(found))

    def definitions_of(self, name: str) -> tuple[Found, ...]:
        """All definitions with this name, in the order of paths and of the text."""
        outlines = [(path, self._outline(content)) for path, content in self._hits(DEFINES + name)]
        outlines += [(path, live.symbols) for path, live in self._live.items()]
        return tuple(
            Found(path, number, definition)
            for path, outline in sorted(outlines, key=lambda pair: pair[0])
            for number, definition in enumerate(outline.definitions)
            if definition.name == name
        )

    def files_with(self, word: str) -> tuple[str, ...]:
        """The files in which this word stands, also in comments and strings, in the order of paths."""
        found = [path for path, _ in self._hits(word)]
        return tuple(sorted(found + [path for path, live in self._live.items() if word in live.words]))

    def files_defining(self, name: str) -> tuple[str, ...]:
        """The files on the disk that define a name, in the order of paths; none where they are too many to tell which
        one is meant, and none that is open."""
        term = DEFINES + name
        if not 0 < self.answers.frequencies.get(term, 1) <= RARE_FILES:
            return ()
        rows = self._rows(_SOME, self._root, query(term), RARE_FILES + 1)  # their number is not asked for before
        self.answers.frequencies[term] = len(rows)
        return tuple(sorted(path for (path,) in rows if path not in self._live)) if len(rows) <= RARE_FILES else ()

    def rare_terms(self, terms: Iterable[str], limit: int = 50) -> tuple[Ranked, ...]:
        """The files that share the rarest of these terms, the best first."""
        rare = sorted((n_files, term) for term in set(terms) if 0 < (n_files := self._frequency(term)) <= RARE_FILES)
        found: dict[str, list[str]] = {}
        scores: dict[str, float] = {}
        for n_files, term in rare[:RARE_TERMS]:
            # Not of all files: the order of two files must not change when a third is added.
            weight = 1 + math.log(RARE_FILES / n_files)
            for path in self._with(term):
                found.setdefault(path, []).append(term)
                scores[path] = scores.get(path, 0.0) + weight
        best = sorted(scores, key=lambda path: (-scores[path], path))[:limit]
        return tuple(Ranked(path, scores[path], tuple(found[path])) for path in best)

    def _frequency(self, term: str) -> int:
        """In how many files of this root the term stands, counted up to one too many. Of those that are there now: a
        store holds other branches' contents, and what a ranking makes of a tree must not depend on them."""
        found = self.answers.frequencies.get(term)
        if found is None:
            found, asked = RARE_FILES + 1, query(term)
            if not self._is_common(asked):
                rows = self._rows(_COUNT, self._root, asked, RARE_FILES + 1)
                found = rows[0][0] if rows else 0
            self.answers.frequencies[term] = found
        return found or sum(term in live.words for live in self._live.values())

    def _is_common(self, asked: str) -> bool:
        """Whether more than enough contents have the term, even if all that are not this root's are among them."""
        enough = RARE_FILES + self._n_others + 1
        return self._n_others <= MOST_OTHERS and self._rows(_COUNT_ALL, asked, enough)[:1] == [(enough,)]

    def _hits(self, term: str) -> list[tuple[str, int]]:
        """The files of this root with a term, without those that are open: path and content."""
        rows = self._rows(_HITS, self._root, query(term), MAX_HITS)
        return [(path, content) for path, content in rows if path not in self._live]

    def _with(self, term: str) -> list[str]:
        """The files of this root with a rare term, those that are open included."""
        found = self.answers.paths.get(term)
        if found is None:
            rows = self._rows(_HITS, self._root, query(term), MAX_HITS)
            found = self.answers.paths[term] = [path for path, _ in rows]
        here = [path for path, live in self._live.items() if term in live.words]
        return [*(path for path in found if path not in self._live), *here]

    def _content(self, path: str) -> int | None:
        rows = self._rows("SELECT content FROM file WHERE root = ? AND path = ?", self._root, path)
        return rows[0][0] if rows else None

    def _outline(self, content: int) -> FileSymbols:
        found = self._outlines.get(content)
        if found is None:
            rows = self._rows("SELECT outline FROM content WHERE id = ?", content)
            found = FileSymbols("", (), (), False)
            with suppress(ValueError, TypeError):  # bytes that went bad without SQLite's noticing
                found = unpack_outline(rows[0][0]) if rows else found
            if len(self._outlines) >= MAX_OUTLINES:
                self._outlines.pop(next(iter(self._outlines)))
            self._outlines[content] = found
        return found

    def _rows(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            log.warning("index %s is damaged (%s) and removed", self._path.name, error)
            remove(self._path)  # the next snapshot begins a new one
            return []
