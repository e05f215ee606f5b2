"""Keeps the store equal to the disk while a window is open: `python -m qwen_lsp.index.indexer ROOT…`.

A process of its own, so that neither a scan nor a storm of events ever takes a turn from the editor. It gives way to
others, and the processes that extract run only when nothing else wants to; it writes itself, so it must not starve.
It watches, settles, reads and writes; the window tells it what its editor saw, and hears how far it is. Reads frames
on stdin and ends when that does; writes frames on stdout. Knows no editor and no open buffer.
"""

import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal

from qwen_lsp.index import frames
from qwen_lsp.index.build import Progress, Report, build, update
from qwen_lsp.index.database import index_folder, is_damage, store_folder
from qwen_lsp.index.locks import Taken
from qwen_lsp.index.repository import checked_out
from qwen_lsp.index.rules import Reason, Skipped
from qwen_lsp.index.scan import Folder, opened
from qwen_lsp.index.store import Store
from qwen_lsp.index.watch import Batch, Settler, Watch, folders, watch
from qwen_lsp.index.workers import worker_count

LOOK_S = 600.0  # events may be lost without a word
DEGRADED_LOOK_S = 60.0  # nothing tells us of changes but the editor; a look at 100,000 files takes a second or two
RETRY_S = 5.0  # another window scans this repository
NICENESS = 10
TOLD_S = 0.2  # progress, to be read by a person
# What a person would not expect to be left out; the rest is so by their own word or by its nature.
_REMARKABLE: tuple[Reason, ...] = ("unreadable", "encoding", "huge", "name", "too many", "crash")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hint:
    """From the window: its editor saw these absolute paths change."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """From the window: somebody is back, look at everything now."""


@dataclass(frozen=True, slots=True)
class State:
    """To the window: how far one root is. `trouble` tells why changes may be seen late, or what failed."""

    root: str
    phase: Literal["scanning", "ready", "waiting", "failed"] = "scanning"
    n_done: int = 0
    n_total: int = 0
    n_skipped: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Switched:
    """To the window: another commit is checked out at this root than before, and the store has its files."""

    root: str


Say = Callable[[State | Switched], None]


@dataclass(slots=True)
class _Kept:
    """One root. Only its settler is touched by other threads, under the indexer's lock."""

    root: Path
    look_at: float
    at: str | None = None  # what is checked out, as of the last look or batch
    settler: Settler = field(default_factory=Settler)
    watch: Watch | None = None
    store: Store | None = None
    top: Folder | Skipped | None = None


class Indexer:
    """All roots of a window, one after the other, on the thread that calls `run`."""

    def __init__(self, roots: Sequence[Path], say: Say, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._news = threading.Condition()
        self._stopped = False
        self._kept = [_Kept(root, clock()) for root in roots]

    def run(self) -> None:
        """Until `stop`."""
        while (found := self._next()) is not None:
            kept, batch = found
            try:
                self._apply(kept, batch)
            except (OSError, sqlite3.Error, Taken) as error:
                log.warning("an update of the index failed with %s", type(error).__name__)
                if isinstance(error, sqlite3.Error) and is_damage(error) and kept.store is not None:
                    kept.store.renew()
                kept.look_at = self._clock() + RETRY_S
        for kept in self._kept:
            if kept.watch is not None:
                kept.watch.close()
            if kept.store is not None:
                kept.store.close()

    def stop(self) -> None:
        """From any thread; a scan ends with the files that are being read."""
        with self._news:
            self._stopped = True
            self._news.notify()

    def hint(self, path: str) -> None:
        """This file may have changed. From any thread, as the next two; what is below no root is nobody's."""
        with self._news:
            for kept in self._around(path):
                kept.settler.hint(path, self._clock())
            self._news.notify()

    def doubt(self, path: str) -> None:
        """Something changed at or below this place."""
        with self._news:
            for kept in self._around(path):
                kept.settler.doubt(self._clock())
            self._news.notify()

    def look(self) -> None:
        """Look at everything now."""
        with self._news:
            for kept in self._kept:
                kept.look_at = self._clock()
            self._news.notify()

    def _around(self, path: str) -> list[_Kept]:
        place = Path(path)
        return [kept for kept in self._kept if place.is_relative_to(kept.root)]

    def _next(self) -> tuple[_Kept, Batch] | None:
        """Wait for what is due first; None once stopped."""
        with self._news:
            while not self._stopped:
                now = self._clock()
                first = min(self._kept, key=_due_at)
                if _due_at(first) > now:
                    self._news.wait(_due_at(first) - now)
                    continue
                batch = first.settler.take()
                return first, replace(batch, whole=batch.whole or first.look_at <= now)
            return None

    def _apply(self, kept: _Kept, batch: Batch) -> None:
        if kept.store is not None and not kept.store.is_current():
            kept.store.renew()
            batch = replace(batch, whole=True)
        if batch.whole or kept.store is None:
            self._look(kept)
        elif isinstance(kept.top, Folder):
            paths = [Path(path).relative_to(kept.root).as_posix() for path in batch.paths]
            update(kept.store, kept.root, kept.top, paths)
            self._compare(kept)

    def _compare(self, kept: _Kept) -> None:
        """Tell of a switch of branches once what it changed is in the store; git writes it down after the files."""
        before, kept.at = kept.at, checked_out(kept.root)
        if before not in (None, kept.at):
            self._say(Switched(str(kept.root)))

    def _look(self, kept: _Kept) -> None:
        """Watch the folders that there are now, then compare: what happens between the two is hinted."""
        state = State(str(kept.root))
        try:
            if kept.store is None:
                kept.store = Store(store_folder(kept.root, index_folder()))
            state = replace(state, trouble=self._watched(kept))
            report = build(
                kept.store,
                kept.root,
                n_workers=worker_count(),
                idle=True,
                progress=self._progress(state),
                cancelled=lambda: self._stopped,
            )
        except Taken:
            kept.look_at = self._clock() + RETRY_S
            self._say(replace(state, phase="waiting"))
        except (OSError, sqlite3.Error) as error:
            kept.look_at = self._clock() + DEGRADED_LOOK_S
            self._say(replace(state, phase="failed", trouble=f"{getattr(error, 'strerror', None) or error}"))
        else:
            kept.look_at = self._clock() + (DEGRADED_LOOK_S if state.trouble else LOOK_S)
            totals = kept.store.totals(kept.store.root_id(kept.root))
            trouble = "there is no room for all files" if report.is_full else state.trouble
            n_skipped = _remarkable(report, totals.skipped)
            self._say(replace(state, phase="ready", n_done=totals.n_files, n_skipped=n_skipped, trouble=trouble))
            self._compare(kept)

    def _watched(self, kept: _Kept) -> str:
        kept.top = opened(kept.root)
        if kept.watch is None:
            kept.watch = watch(kept.root, self.hint, lambda: self.doubt(str(kept.root)))
        return kept.watch.follow(folders(kept.top) if isinstance(kept.top, Folder) else ())

    def _progress(self, state: State) -> Callable[[Progress], None]:
        told_at = -TOLD_S

        def progress(at: Progress) -> None:
            nonlocal told_at
            # Looks that find nothing are nobody's business.
            if at.n_total and self._clock() >= told_at + TOLD_S:
                told_at = self._clock()
                self._say(replace(state, n_done=at.n_done, n_total=at.n_total))

        return progress


def _due_at(kept: _Kept) -> float:
    return min(kept.look_at, kept.settler.due_at)


def _remarkable(report: Report, read: Mapping[Reason, int]) -> int:
    """How many files are left out by their state, and by their bytes in this or an earlier scan."""
    return sum(report.skipped.get(reason, 0) + read.get(reason, 0) for reason in _REMARKABLE)


def _hear(stdin: IO[bytes], indexer: Indexer) -> None:
    """The window's words, until it is gone."""
    with suppress(EOFError):
        while True:
            match frames.read(stdin):
                case Hint(paths):
                    for path in paths:
                        # Of a folder that is gone, editors do not name the files.
                        (indexer.hint if os.path.isfile(path) else indexer.doubt)(path)  # noqa: PTH113
                case Look():
                    indexer.look()
    indexer.stop()


def main(arguments: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the window, which closes our stdin
    if sys.platform != "win32":
        os.nice(NICENESS)
    # What anything else prints must not end up between the frames.
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(news: State | Switched) -> None:
        with suppress(BrokenPipeError):  # the end of stdin tells it as well
            frames.write(stdout, news)

    indexer = Indexer([Path(name) for name in arguments], say)
    threading.Thread(target=_hear, args=(sys.stdin.buffer, indexer), daemon=True).start()
    indexer.run()
    return 0


if __name__ == "__main__":
    # Under its real name, or what it sends would be of a module that the window does not know.
    from qwen_lsp.index.indexer import main as begin

    sys.exit(begin(sys.argv[1:]))
