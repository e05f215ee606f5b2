"""The files of the store: where they are, who may read them, opening, beginning anew. Knows tables, but no row.

A database is never mended: what is in it can be made again. One that is damaged, or of an older version, is removed and
the next one begun under a name that was never used: a process that still has the old one open, and removes its log on
closing, must not hit the log of the new one.
"""

import logging
import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import platformdirs

from qwen_lsp.index.locks import locked
from qwen_lsp.index.repository import repository_top, shared_folder
from qwen_lsp.index.rows import tokenizer

log = logging.getLogger(__name__)

SCHEMA = 6  # rises with every change of the tables or of what a row means
BUSY_S = 60.0  # a batch of another window takes a part of a second, on a loaded machine some
FULL_TEXT_BUFFER_BYTES = 32 << 20  # a batch is merged in memory, not on disk
LOG_PAGES = 4_000  # 16 MB are written back at once: many small files of one scan touch the same pages
SUFFIX = ".sqlite"
LOCK = "open.lock"
UNUSED_S = 90 * 24 * 3600.0  # a repository that nobody opened for so long is indexed anew, in a minute

# root.others: at most so many contents belong to no file of the root.
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE root(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, extractor INTEGER NOT NULL,
  others INTEGER NOT NULL);
CREATE TABLE content(id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, language TEXT NOT NULL,
  n_definitions INTEGER NOT NULL, outline BLOB NOT NULL);
CREATE TABLE file(root INTEGER NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL, content INTEGER, reason TEXT, rule TEXT, PRIMARY KEY(root, path)) WITHOUT ROWID;
CREATE INDEX file_content ON file(content, root) WHERE content IS NOT NULL;
CREATE VIRTUAL TABLE term USING fts5(names, content='', columnsize=0, detail=none, tokenize='{tokenizer()}');
INSERT INTO term(term, rank) VALUES('hashsize', {FULL_TEXT_BUFFER_BYTES});
PRAGMA user_version = {SCHEMA};
COMMIT;
"""


def index_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where all repositories' databases are: in `QWEN_LSP_HOME`, else in the platform's cache folder."""
    home = environ.get("QWEN_LSP_HOME")
    cache = Path(home).expanduser() / "cache" if home else platformdirs.user_cache_path("qwen-lsp", appauthor=False)
    return cache.absolute() / "index"


def store_folder(root: Path, base: Path) -> Path:
    """Where the database that `root` belongs to is: one for a repository, whichever work tree or folder is opened."""
    root = root.resolve()
    top = repository_top(root)
    name = shared_folder(top).resolve() if top is not None else root
    return base / blake2b(os.fsencode(name), digest_size=10).hexdigest()


def make_private(folder: Path) -> None:
    """Create the folder, and let nobody else in. Raises PermissionError where that can not be had."""
    for each in (folder.parent.parent, folder.parent, folder):  # `parents=True` would leave those above open
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if os.name == "nt":
        return  # profiles are private there, and modes mean nothing
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(f"{folder} is a link or belongs to another user: remove it")
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def newest(folder: Path) -> tuple[Path, sqlite3.Connection]:
    """The database in the folder, begun where there is none, or none that can be used."""
    with locked(folder / LOCK):
        os.utime(folder / LOCK)  # in use: see remove_unused
        found = {path: _number(path) for path in folder.glob(f"*{SUFFIX}")}
        last = max((number for version, number in found.values() if version == SCHEMA), default=None)
        for path, number in found.items():
            if number < (SCHEMA, last or 0):
                remove(path)
        if last is None:
            path = _fresh(folder, 0)
            return path, _ready(path)
        path = folder / f"{SCHEMA}-{last}{SUFFIX}"
        try:
            return path, _ready(path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            log.warning("index %s is damaged (%s) and made anew", path.name, error)
        remove(path)
        path = _fresh(folder, last)
        return path, _ready(path)


def connected(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """A connection that changes nothing by itself; for one thread at a time, whichever that is."""
    mode = "ro" if read_only else "rwc"
    place = f"file:{path.as_posix().replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode={mode}"
    db = sqlite3.connect(place, timeout=BUSY_S, isolation_level=None, uri=True, check_same_thread=False)
    db.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the last batches, never the rest
    return db


def is_damage(error: sqlite3.Error) -> bool:
    """Whether only a new database helps. A full disk or a lock held too long pass."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)


def remove(path: Path) -> None:
    """Remove a database with its log. Who has it open keeps it; Windows keeps the files then, until the next start."""
    for place in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        with suppress(OSError):
            place.unlink()


def remove_unused(base: Path, now: float) -> None:
    """Remove the databases below `base` that nobody has opened for long; `now` is the time in seconds."""
    for lock in base.glob(f"*/{LOCK}"):
        with suppress(OSError):
            if lock.stat().st_mtime < now - UNUSED_S:
                shutil.rmtree(lock.parent)


def _fresh(folder: Path, last: int) -> Path:
    """A name that was never used: the clock tells what is newer, or at least newer than `last`. The file is there, for
    its owner only, which its log takes over."""
    path = folder / f"{SCHEMA}-{max(time.time_ns(), last + 1)}{SUFFIX}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    return path


def _ready(path: Path) -> sqlite3.Connection:
    db = connected(path, read_only=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            db.executescript(_TABLES)
        elif version != SCHEMA:
            raise sqlite3.DatabaseError("its version is not that of its name")
        # Touches every table: a file that was cut short, or is not ours, shows here and not at the first key.
        db.execute("SELECT (SELECT count(*) FROM root), (SELECT 1 FROM content), (SELECT 1 FROM file)").fetchone()
        db.execute("SELECT rowid FROM term WHERE term MATCH '\"a\"' LIMIT 1").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _number(path: Path) -> tuple[int, int]:
    """Version and number in the name of a database; what no version of ours has named is the oldest."""
    version, _, number = path.name.removesuffix(SUFFIX).partition("-")
    return (int(version), int(number)) if version.isdecimal() and number.isdecimal() else (0, 0)
