"""Files in, their rows out: in processes of their own, because the parser holds the interpreter's lock.

A process reads a file, and extracts what the store does not have yet; it never writes. Does not know which files there
are, nor why they are wanted.
"""

import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_all_start_methods, get_context, parent_process
from pathlib import Path
from typing import NamedTuple

from qwen_lsp.index.database import connected
from qwen_lsp.index.grammars import parse_unless
from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.reading import FileStat, read
from qwen_lsp.index.rows import content_key, pack
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.store import FileRow, has_content, reading
from qwen_lsp.index.symbols import Matched, Shown, matched, shown, symbols_in

MAX_WORKERS = 8  # the one writer keeps up with about so many
BATCH_FILES = 64  # per job: what is lost when a scan is stopped is a moment's work
BATCH_BYTES = 1_000_000
FIRST_LINE_BYTES = 256
MAX_PARSE_S = 2.0  # of processor time: some grammars are quadratic on text that is not their language
# A file changed within the clock's tick after it was read looks unchanged. Files that young are read once more.
RACY_NS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Done:
    """What one job gives back: files to write, paths that could not be read, its processor time."""

    rows: tuple[FileRow, ...]
    unread: tuple[Skipped, ...]
    cpu_s: float


def worker_count() -> int:
    """One process for each core that we may use, up to what the writer can take."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, MAX_WORKERS)


def yield_to_others() -> None:
    """Run only when nothing else wants to, processor and disk, as far as the system knows such a thing."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the disk's priority follows from it
    elif sys.platform == "darwin":
        os.setpriority(os.PRIO_DARWIN_PROCESS, 0, os.PRIO_DARWIN_BG)
    elif sys.platform == "win32":
        import ctypes

        background = 0x40  # IDLE_PRIORITY_CLASS
        ctypes.windll.kernel32.SetPriorityClass(ctypes.windll.kernel32.GetCurrentProcess(), background)
    else:
        os.nice(19)


def batches(files: Sequence[FileStat]) -> Iterator[list[FileStat]]:
    """The files in their order, as jobs of about one size."""
    batch: list[FileStat] = []
    size = 0
    for file in files:
        if batch and (len(batch) == BATCH_FILES or size + file.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


class Pool:
    """Processes that extract. One that a file kills is replaced, and the file remembered as what it is.

    Raises OSError where processes do not live at all, whatever they read: then no file is to blame.
    """

    def __init__(self, database: Path, place: bytes, n_workers: int, idle: bool) -> None:
        self._arguments = (database, place, idle)
        self._n_workers = n_workers
        self._pool = self._started(n_workers)

    def run(self, batches: Iterator[list[FileStat]], cancelled: Callable[[], bool]) -> Iterator[Done]:
        """The results of all batches as they come; after `cancelled`, of those that are under way."""
        running: dict[Future[Done], list[FileStat]] = {}
        while True:
            lost: list[FileStat] = []
            while len(running) < 2 * self._n_workers and not cancelled() and (batch := next(batches, None)) is not None:
                try:
                    running[self._pool.submit(_job, batch)] = batch
                except BrokenProcessPool:
                    lost += batch
                    break
            if not running and not lost:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                batch = running.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    lost += batch
            if lost:
                lost += [file for batch in running.values() for file in batch]
                running.clear()
                yield from self._one_by_one(lost)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _one_by_one(self, files: Sequence[FileStat]) -> Iterator[Done]:
        """Which of these files killed a process? With one at a time in one process there is no doubt."""
        self._restart(1)
        for file in files:
            try:
                yield self._pool.submit(_job, [file]).result()
            except BrokenProcessPool:
                yield Done((FileRow(file, reason="crash", rule="the parser died on it"),), (), 0.0)
                self._restart(1)
        self._restart(self._n_workers)

    def _restart(self, n_workers: int) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._pool = self._started(n_workers)
        try:
            self._pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise OSError("the processes that read files end at once") from error

    def _started(self, n_workers: int) -> ProcessPoolExecutor:
        # Never fork: this process may have threads, and locks that a copy would find taken for ever.
        context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
        context.set_forkserver_preload([__name__])
        return ProcessPoolExecutor(n_workers, context, _begin, self._arguments)


_of_worker: list[tuple[Path, bytes]] = []  # what a worker process was started with


def _begin(database: Path, place: bytes, idle: bool) -> None:
    """Must not fail: that would look as if the first files had killed the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that writes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if idle:
        with suppress(OSError):
            yield_to_others()
    _of_worker.append((database, place))


def _end_with_parent() -> None:
    """A killed parent closes no queue: without this its workers would wait for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _job(files: Sequence[FileStat]) -> Done:
    database, place = _of_worker[-1]
    with closing(connected(database, read_only=True)) as db, reading(db):
        return done_here(partial(has_content, db), place, files)


def done_here(has: Callable[[bytes], bool], place: bytes, files: Sequence[FileStat]) -> Done:
    """One job, in this process. `has`: does the store have this key? `place` is the root, ending in /."""
    cpu = time.process_time()
    with _no_collection():
        rows, unread = _outcomes(has, place, files)
    return Done(rows, unread, time.process_time() - cpu)


def _outcomes(
    has: Callable[[bytes], bool], place: bytes, files: Sequence[FileStat]
) -> tuple[tuple[FileRow, ...], tuple[Skipped, ...]]:
    """Files to write, and paths that could not be read.

    Each step is taken for all files before the next one: its code and tables stay in the processor's caches, which
    saves a tenth of the time that file after file takes. A function of its own, so that all that it made on the way is
    gone before garbage is looked for again.
    """
    seen = [_read(has, place, file) for file in files]
    new = [each for each in seen if isinstance(each, _New)]
    texts = [shown(each.source) for each in new]
    matches = [_matched(text, each.language) for text, each in zip(texts, new, strict=True)]
    symbols = [symbols_in(each) for each in matches]
    packed = [pack(each, text.data) for each, text in zip(symbols, texts, strict=True)]
    rows = [each for each in seen if isinstance(each, FileRow)]
    rows += [FileRow(each.state, each.key, row) for each, row in zip(new, packed, strict=True)]
    return tuple(rows), tuple(each for each in seen if isinstance(each, Skipped))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Symbols are tuples in tuples, and no cycles: looking for some costs a thirtieth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _New(NamedTuple):
    """A file whose bytes the store does not have."""

    state: FileStat
    key: bytes
    source: bytes
    language: Language | None


def _read(has: Callable[[bytes], bool], place: bytes, file: FileStat) -> _New | FileRow | Skipped:
    """One file as it is now; Skipped if it can not be read, which may be different the next time."""
    found = read(place, file.path)
    if isinstance(found, Skipped):
        forgotten = found.reason in ("unreadable", "link", "special")
        return found if forgotten else FileRow(file, reason=found.reason, rule=found.rule)
    source, state = found
    if state.mtime_ns > time.time_ns() - RACY_NS:
        state = replace(state, mtime_ns=0)
    language = language_of(file.path, source[:FIRST_LINE_BYTES].split(b"\n", 1)[0].decode(errors="replace"))
    key = content_key(source, language.name if language is not None else "")
    return FileRow(state, key) if has(key) else _New(state, key, source, language)


def _matched(text: Shown, language: Language | None) -> Matched:
    """The parser's time is limited, of each file by itself."""
    begun = time.process_time()
    return matched(text, language, partial(parse_unless, lambda: time.process_time() - begun > MAX_PARSE_S))
