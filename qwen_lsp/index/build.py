"""Bringing the store up to date with the disk: a scan of all of it, or a few saved files.

A scan compares states (size, time, inode), has read what differs, and writes in batches: what is stored is safe, the
rest is found by the next scan. One process scans a repository at a time. Does not watch, and knows no editor.
"""

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qwen_lsp.index.database import is_damage
from qwen_lsp.index.locks import locked
from qwen_lsp.index.reading import FileStat
from qwen_lsp.index.rules import Reason, Skipped, data_rule
from qwen_lsp.index.scan import Folder, opened, walk, why
from qwen_lsp.index.store import FileRow, Store, StoreFull
from qwen_lsp.index.workers import Done, Pool, batches, done_here

WRITTEN_AT_ONCE = 512  # files per transaction: fewer cost more, more are lost in a crash
WRITTEN_AFTER_S = 2.0
IN_PROCESS_BYTES = 300_000  # parsed sooner than processes start
# What each further process must have to do: its start and its queries cost 0.1 s of CPU, as much as half a megabyte.
BYTES_PER_WORKER = 2_000_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan has come. `n_total` is 0 while files are being looked for."""

    n_done: int
    n_total: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a scan did. `skipped` counts paths, a folder as one; `cpu_s` is of all its processes."""

    n_walked: int
    n_read: int
    n_extracted: int
    n_removed: int
    skipped: Mapping[Reason, int]
    wall_s: float
    cpu_s: float
    is_complete: bool  # False: cancelled, or no room left
    is_full: bool


def build(
    store: Store,
    root: Path,
    *,
    n_workers: int,
    idle: bool,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Report:
    """Make the store equal to the disk. Raises Taken while another process does that for the same repository.

    With `idle` the workers give way to everything else on the machine. A damaged database is made anew, once.
    """
    with locked(store.folder / "scan.lock", wait=False):
        try:
            return _built(store, root, n_workers, idle, progress, cancelled)
        except sqlite3.DatabaseError as error:
            if not is_damage(error) and store.is_current():  # else another window has found the damage
                raise
            store.renew()
            return _built(store, root, n_workers, idle, progress, cancelled)


def update(store: Store, root: Path, top: Folder, paths: Sequence[str]) -> None:
    """Bring these files up to date: saved, made or removed ones. `top` is `opened(root)`; paths are below the root."""
    rows: list[FileRow] = []
    removed: list[str] = []
    for path in paths:
        if not _is_utf8(path):
            continue  # never stored
        counts = data_rule(path) is None and why(root, root / path, top) is None and (root / path).is_file()
        found = done_here(store.has, top.place, [FileStat(path, 0, 0, 0)]).rows if counts else ()
        rows += found
        if not found:
            removed.append(path)
    with suppress(StoreFull):
        store.apply(store.root_id(root), rows, removed)


def _is_utf8(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True, slots=True)
class Difference:
    """How the disk differs from the store. `skipped` are paths that do not count, by why, a folder as one."""

    n_walked: int
    changed: Sequence[FileStat]
    gone: Sequence[str]
    skipped: Counter[Reason]


def compare(store: Store, root: Path, cancelled: Callable[[], bool]) -> Difference:
    """Look at the state of every file, and read none. Once `cancelled`, what was not come to is left as it is."""
    top = opened(root)
    known = store.files(store.root_id(root))
    changed: list[FileStat] = []
    skipped: Counter[Reason] = Counter()
    n_walked = 0
    for entry in (top,) if isinstance(top, Skipped) else walk(top):
        if cancelled():
            return Difference(n_walked, (), (), skipped)
        if isinstance(entry, Skipped):
            skipped[entry.reason] += 1
        elif data_rule(entry.path) is not None:
            skipped["data"] += 1
        else:
            n_walked += 1
            if known.pop(entry.path, None) != entry:
                changed.append(entry)
    return Difference(n_walked, changed, tuple(known), skipped)


def _built(
    store: Store,
    root: Path,
    n_workers: int,
    idle: bool,
    progress: Callable[[Progress], None],
    cancelled: Callable[[], bool],
) -> Report:
    wall, cpu = time.monotonic(), time.process_time()
    progress(Progress(0, 0))
    found = compare(store, root, cancelled)
    skipped = found.skipped
    n_read = n_extracted = 0
    is_full = False
    if len(found.changed) > WRITTEN_AT_ONCE:
        store.put_off_merging()
    with closing(_results(store, root, found.changed, n_workers, idle, cancelled)) as results:
        writer = _Writer(store, store.root_id(root), found.gone)
        try:
            for done in results:
                skipped.update(each.reason for each in done.unread)
                cpu -= done.cpu_s
                n_read += len(done.rows) + len(done.unread)
                n_extracted += sum(row.packed is not None for row in done.rows)
                writer.add(done.rows)
                progress(Progress(n_read, len(found.changed)))
            writer.flush()
            store.tidy()
        except StoreFull:
            is_full = True
    is_complete = n_read == len(found.changed) and not cancelled() and not is_full
    times = time.monotonic() - wall, time.process_time() - cpu
    return Report(found.n_walked, n_read, n_extracted, len(found.gone), dict(skipped), *times, is_complete, is_full)


class _Writer:
    """Collects rows and hands them to the store a batch at a time."""

    def __init__(self, store: Store, root: int, gone: Sequence[str]) -> None:
        self._store, self._root = store, root
        self._gone = gone
        self._rows: list[FileRow] = []
        self._written = time.monotonic()

    def add(self, rows: Sequence[FileRow]) -> None:
        self._rows += rows
        if len(self._rows) >= WRITTEN_AT_ONCE or time.monotonic() > self._written + WRITTEN_AFTER_S:
            self.flush()

    def flush(self) -> None:
        if self._rows or self._gone:
            self._store.apply(self._root, self._rows, self._gone)
        self._rows, self._gone, self._written = [], (), time.monotonic()


def workers_for(n_bytes: int, most: int) -> int:
    """How many processes so many bytes are worth; at least one, since a file may kill the parser."""
    return max(1, min(most, n_bytes // BYTES_PER_WORKER))


def _results(
    store: Store, root: Path, files: Sequence[FileStat], n_workers: int, idle: bool, cancelled: Callable[[], bool]
) -> Generator[Done]:
    place = os.fsencode(root.absolute()) + b"/"
    n_bytes = sum(file.size for file in files)
    if n_bytes <= IN_PROCESS_BYTES:
        for batch in batches(files):
            if cancelled():
                return
            with store.reading():
                done = done_here(store.has, place, batch)
            yield replace(done, cpu_s=0.0)  # it is in this process's own
        return
    pool = Pool(store.path, place, workers_for(n_bytes, n_workers), idle)
    try:
        yield from pool.run(batches(files), cancelled)
    finally:
        pool.close()
