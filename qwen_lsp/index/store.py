"""The index on disk: one SQLite database per repository, shared by its work trees and by all windows.

Content-addressed: what extraction made of some bytes is kept under their hash, and files point to it, so the same file
in two branches is parsed once. Contents are never changed, only added and, when room is needed, dropped. Any number of
processes read, in snapshots, while one writes. What is in here can be made again, so a damaged database, or one of
another version, is not mended: a new one is begun. Does not know how files are found or read.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from qwen_lsp.index.database import connected, make_private, newest, remove, remove_unused
from qwen_lsp.index.reading import FileStat
from qwen_lsp.index.rows import SEPARATOR, Packed
from qwen_lsp.index.rules import Reason
from qwen_lsp.index.symbols import EXTRACTOR_VERSION

MAX_BYTES = 4 << 30  # some eight times what 130,000 files take
SOUGHT_AT_ONCE = 20_000  # contents whose terms are found on one way through them: some 50 MB
EVICTED_AT_ONCE = 500  # contents per transaction, so that other windows' saves need not wait
MERGED_PAGES = 1_000  # 4 MB per transaction, for the same reason
MOST_PARTS = 8  # of the full-text table, which grow by saves: a look-up asks each of them
MERGED_PARTS, SCANNED_PARTS = (4, 16), (0, 32)  # FTS5's automerge and crisismerge: as usual; while a scan fills it
MOST_OTHERS = 1_000  # contents that a root does not have: what is counted over more of them is compared with its files
PAGES_KEPT_KB = 8_000  # what a request looks at in an index of 100,000 files; with less, each reads its pages anew
SPARE_CONTENTS = 2_000  # contents that no file has any more: other branches come back

_UNUSED = "SELECT id FROM content WHERE id NOT IN (SELECT content FROM file WHERE content IS NOT NULL) LIMIT ?"
# Another window may have come to use it since.
_DROP = "DELETE FROM content WHERE id = :id AND NOT EXISTS (SELECT 1 FROM file WHERE content = :id)"
_COUNT_OTHERS = """
UPDATE root SET others = (SELECT count(*) FROM content)
  - (SELECT count(DISTINCT content) FROM file WHERE root = :id AND content IS NOT NULL)
WHERE id = :id
"""
_POSTINGS = "SELECT doc, term FROM posting WHERE doc IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as it was read: its content, or why it does not count. `packed` is None where the store has it."""

    stat: FileStat
    key: bytes | None = None
    packed: Packed | None = None
    reason: Reason | None = None
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """What one root holds. `skipped` are files that were read and do not count."""

    n_files: int
    n_definitions: int
    n_bytes: int
    languages: Mapping[str, int]
    skipped: Mapping[Reason, int]


class StoreFull(Exception):
    """The files that there are now take more room than the store may have."""


class Store:
    """One repository's database. Not for two threads at once; each opens its own."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        """Open what `folder` holds, or begin anew. Raises OSError where the folder can not be made private."""
        self.folder = folder
        self._max_bytes = max_bytes
        make_private(folder)
        self.path, self._db = newest(folder)

    def close(self) -> None:
        self._db.close()

    def renew(self) -> None:
        """Give up a damaged database, or one that another window has given up, and open the one after it."""
        self._db.close()
        remove(self.path)
        self.path, self._db = newest(self.folder)

    def root_id(self, root: Path) -> int:
        """The number under which the files of this root stand."""
        path = os.fsencode(root.resolve())
        row = self._db.execute("SELECT id, extractor FROM root WHERE path = ?", (path,)).fetchone()
        if row is not None and row[1] == EXTRACTOR_VERSION:
            return int(row[0])
        with self._writing():
            sql = "INSERT OR IGNORE INTO root(path, extractor, others) SELECT ?, 0, count(*) FROM content"
            self._db.execute(sql, (path,))
            (number,) = self._db.execute("SELECT id FROM root WHERE path = ?", (path,)).fetchone()
            # What another extraction made is served until each file has been read again.
            self._db.execute("UPDATE file SET mtime_ns = -1 WHERE root = ?", (number,))
            self._db.execute("UPDATE root SET extractor = ? WHERE id = ?", (EXTRACTOR_VERSION, number))
        return int(number)

    def files(self, root: int) -> dict[str, FileStat]:
        """All files that were read, by path, also those that do not count."""
        rows = self._db.execute("SELECT path, size, mtime_ns, inode FROM file WHERE root = ?", (root,))
        return {path: FileStat(path, size, mtime_ns, inode) for path, size, mtime_ns, inode in rows}

    def has(self, key: bytes) -> bool:
        """Whether these bytes need not be extracted again."""
        return has_content(self._db, key)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Many questions in one transaction: alone, each locks the database anew, which takes longer."""
        with reading(self._db):
            yield

    def apply(self, root: int, rows: Sequence[FileRow], removed: Sequence[str] = ()) -> None:
        """All of it or, in a crash, nothing. Raises StoreFull (and has applied it) where the room is used up."""
        with self._writing():
            self._db.executemany("DELETE FROM file WHERE root = ? AND path = ?", ((root, path) for path in removed))
            self._db.executemany("INSERT OR REPLACE INTO file VALUES(?, ?, ?, ?, ?, ?, ?, ?)", self._files(root, rows))
            # New contents are the other roots' others, and replaced ones may be this one's: so many at most.
            self._db.execute("UPDATE root SET others = others + ?", (len(rows) + len(removed),))
        if self.n_bytes() > self._max_bytes:
            self.evict()
            if self.n_bytes() > self._max_bytes:
                raise StoreFull

    def n_bytes(self) -> int:
        """The room that is in use; the file may be larger, its free pages are used again."""
        (pages,) = self._db.execute("PRAGMA page_count").fetchone()
        (free,) = self._db.execute("PRAGMA freelist_count").fetchone()
        (page,) = self._db.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * page)

    def tidy(self) -> None:
        """After a whole scan: forget work trees that are gone, other branches' contents where they are too many, and
        repositories that nobody opens any more; and make look-ups quick again."""
        remove_unused(self.folder.parent, time.time())
        gone = [row for row in self._db.execute("SELECT id, path FROM root") if not Path(os.fsdecode(row[1])).is_dir()]
        for number, _ in gone:
            with self._writing():
                self._db.execute("DELETE FROM file WHERE root = ?", (number,))
                self._db.execute("DELETE FROM root WHERE id = ?", (number,))
        for (number,) in self._db.execute("SELECT id FROM root WHERE others > ?", (MOST_OTHERS,)).fetchall():
            with self._writing():
                self._db.execute(_COUNT_OTHERS, {"id": number})
        (n_contents,) = self._db.execute("SELECT count(*) FROM content").fetchone()
        (n_used,) = self._db.execute("SELECT count(DISTINCT content) FROM file WHERE content IS NOT NULL").fetchone()
        if n_contents - n_used > max(SPARE_CONTENTS, n_used):
            self.evict()
        (n_parts,) = self._db.execute("SELECT count(DISTINCT segid) FROM term_idx").fetchone()
        if n_parts > MOST_PARTS or self._is_merging_put_off():
            self.merge()

    def evict(self) -> None:
        """Drop the contents that no file has, and give back their room."""
        while unused := [number for (number,) in self._db.execute(_UNUSED, (SOUGHT_AT_ONCE,))]:
            terms = self._terms_of(unused)
            for numbers in batched(unused, EVICTED_AT_ONCE):
                with self._writing():
                    for number in numbers:
                        if self._db.execute(_DROP, {"id": number}).rowcount:
                            names = SEPARATOR.join(terms.get(number, ()))
                            sql = "INSERT INTO term(term, rowid, names) VALUES('delete', ?, ?)"
                            self._db.execute(sql, (number, names))
        self.merge()  # only that frees what the dropped terms took

    def _terms_of(self, contents: Sequence[int]) -> Mapping[int, Sequence[str]]:
        """What the full-text table has to be told to forget, found on one way through all of it: 0.3 microseconds for
        each word of each file. Kept beside it, that would be half of the room."""
        self._db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.posting USING fts5vocab(main, term, instance)")
        found: dict[int, list[str]] = {}
        last = ""
        for content, term in self._db.execute(_POSTINGS, (json.dumps(contents),)):
            last = last if term == last else term  # one string for all that have it
            found.setdefault(content, []).append(last)
        return found

    def put_off_merging(self) -> None:
        """Until `tidy`: a scan's parts are merged once, not each word several times. Look-ups take a third longer."""
        self._merge_at(*SCANNED_PARTS)

    def _is_merging_put_off(self) -> bool:
        """By a scan of now, or by one that was killed."""
        sql = "SELECT 1 FROM term_config WHERE k = 'automerge' AND v = ?"
        return self._db.execute(sql, (SCANNED_PARTS[0],)).fetchone() is not None

    def merge(self) -> None:
        """Make one of all parts of the full-text table. A negative number begins it, and others wait for each step."""
        self._merge_at(*MERGED_PARTS)
        pages = -MERGED_PAGES
        while True:
            with self._writing():
                before = self._db.total_changes
                self._db.execute("INSERT INTO term(term, rank) VALUES('merge', ?)", (pages,))
                if self._db.total_changes - before < 2:
                    return
            pages = MERGED_PAGES

    def _merge_at(self, n_parts: int, most: int) -> None:
        with self._writing():
            self._db.execute("INSERT INTO term(term, rank) VALUES('automerge', ?)", (n_parts,))
            self._db.execute("INSERT INTO term(term, rank) VALUES('crisismerge', ?)", (most,))

    def totals(self, root: int) -> Totals:
        """The counts, for people."""
        used = self._db.execute(
            "SELECT c.language, count(*), sum(c.n_definitions), sum(f.size) FROM file f JOIN content c "
            "ON c.id = f.content WHERE f.root = ? GROUP BY c.language ORDER BY 2 DESC, 1",
            (root,),
        ).fetchall()
        skipped = self._db.execute(
            "SELECT reason, count(*) FROM file WHERE root = ? AND reason IS NOT NULL GROUP BY reason", (root,)
        )
        return Totals(
            sum(row[1] for row in used),
            sum(row[2] for row in used),
            sum(row[3] for row in used),
            {row[0]: row[1] for row in used},
            dict(skipped.fetchall()),
        )

    def is_current(self) -> bool:
        """False once another window has begun a new database in place of this one."""
        return self.path.exists()

    def reader(self) -> sqlite3.Connection:
        """A connection for snapshots."""
        db = connected(self.path, read_only=True)
        db.execute(f"PRAGMA cache_size = -{PAGES_KEPT_KB}")
        return db

    def _files(self, root: int, rows: Sequence[FileRow]) -> Iterator[tuple[object, ...]]:
        """What is put down of each file, once its content is there."""
        for row in rows:
            content = None if row.key is None else self._content(row.key, row.packed)
            if content is None and row.reason is None:
                continue  # dropped since a worker saw it: the next scan reads the file again
            of = row.stat
            yield root, of.path, of.size, of.mtime_ns, of.inode, content, row.reason, row.rule or None

    def _content(self, key: bytes, packed: Packed | None) -> int | None:
        if packed is not None:
            made = self._db.execute(
                "INSERT OR IGNORE INTO content(key, language, n_definitions, outline) VALUES(?, ?, ?, ?)",
                (key, packed.language, packed.n_definitions, packed.outline),
            )
            if made.rowcount:
                self._db.execute("INSERT INTO term(rowid, names) VALUES(?, ?)", (made.lastrowid, packed.terms))
                return made.lastrowid
        found = self._db.execute("SELECT id FROM content WHERE key = ?", (key,)).fetchone()
        return None if found is None else int(found[0])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.rollback()
            raise
        self._db.execute("COMMIT")


@contextmanager
def reading(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes nothing."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def has_content(db: sqlite3.Connection, key: bytes) -> bool:
    """Whether the database has a content of this key; for processes that only read."""
    return db.execute("SELECT 1 FROM content WHERE key = ?", (key,)).fetchone() is not None
