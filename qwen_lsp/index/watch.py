"""Events of the file system, settled into batches. Events are hints: a look at the whole tree is the truth.

`Settler` decides, purely, when a run of events is over and what it comes to. The watches only report: paths below
folders that count, or doubt, where something was lost or a path can not tell it (a folder came, an ignore file
changed). Knows no store and no editor.
"""

import errno
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from qwen_lsp.index.scan import IGNORE_FILES, Folder, below_of

if sys.platform == "linux":
    from watchdog.observers.inotify_c import (
        CallbackId,
        InotifyConstants,
        InotifyEvent,
        InotifyFD,
        Mask,
        WatchDescriptor,
    )

QUIET_S = 0.3  # an editor's save, or git between two files, takes less
HELD_S = 5.0  # a file that is written all the time must not keep the others' changes back
MAX_PATHS = 500  # a look at the whole tree, which other processes then read, is sooner done than more of them
MAX_FOLDERS = 50_000  # each takes about a kilobyte of the kernel's memory
LIMIT_REACHED = "the system's limit of watched folders is reached"

# What reaches us at all: without a filter, our own reading of files fills the system's queue.
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileClosedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
]

Hint = Callable[[str], None]
Doubt = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Absolute paths that may have changed, in order; or `whole`: only a look at everything can tell."""

    paths: tuple[str, ...]
    whole: bool


class Settler:
    """Collects hints until no more come. Every time is a number of seconds on the caller's clock."""

    def __init__(self, quiet_s: float = QUIET_S, held_s: float = HELD_S, max_paths: int = MAX_PATHS) -> None:
        self._quiet_s, self._held_s, self._max_paths = quiet_s, held_s, max_paths
        self._paths: set[str] = set()
        self._whole = False
        self._first = self._last = math.inf

    def hint(self, path: str, now: float) -> None:
        """This file may have come, gone or changed; a renamed one is two hints."""
        self._note(now)
        if PurePath(path).name in IGNORE_FILES:
            self._whole = True
        elif not self._whole:
            self._paths.add(path)
            self._whole = len(self._paths) > self._max_paths
        if self._whole:
            self._paths.clear()

    def doubt(self, now: float) -> None:
        """Something changed that no path tells."""
        self._note(now)
        self._whole = True
        self._paths.clear()

    @property
    def due_at(self) -> float:
        """When the batch has settled; infinity where there is none."""
        return min(self._last + self._quiet_s, self._first + self._held_s)

    def take(self) -> Batch:
        """What has come together; the next batch begins."""
        batch = Batch(tuple(sorted(self._paths)), self._whole)
        self._paths.clear()
        self._whole = False
        self._first = self._last = math.inf
        return batch

    def _note(self, now: float) -> None:
        self._first = min(self._first, now)
        self._last = now


class Watch(Protocol):
    """Reports what happens in the folders that it is given, from threads of its own."""

    def follow(self, folders: Iterable[bytes]) -> str:
        """From now on watch these and no others; why that can not be had, or "": all of them or none are watched."""

    def close(self) -> None: ...


def watch(root: Path, hint: Hint, doubt: Doubt) -> Watch:
    """What this system has."""
    return FolderWatch(hint, doubt) if sys.platform == "linux" else TreeWatch(root, hint, doubt)


def folders(top: Folder) -> Iterator[bytes]:
    """The absolute places of all folders that count, `top` first, each ending in /."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder.place) as entries:
                names = [os.fsdecode(entry.name) for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        yield folder.place
        waiting += [found for name in names if isinstance(found := below_of(folder, name), Folder)]


if sys.platform == "linux":
    # Creations for folders and links; files that are written tell it when they are closed.
    _MASK = Mask(
        InotifyConstants.IN_CREATE
        | InotifyConstants.IN_CLOSE_WRITE
        | InotifyConstants.IN_MOVE
        | InotifyConstants.IN_DELETE
        | InotifyConstants.IN_ONLYDIR
        | InotifyConstants.IN_DONT_FOLLOW
        | InotifyConstants.IN_EXCL_UNLINK
    )

    class FolderWatch:
        """Each folder by itself, all on one descriptor. Not watchdog's recursive watch: that one also watches what is
        ignored, hides that the system's limit is reached, and after an overflow lists the whole tree in its thread."""

        def __init__(self, hint: Hint, doubt: Doubt) -> None:
            self._hint, self._doubt = hint, doubt
            self._fd: InotifyFD | None = None
            self._lock = threading.Lock()  # for the two tables: the descriptor's thread reads them
            self._places: dict[WatchDescriptor, bytes] = {}
            self._generation = CallbackId(0)

        def follow(self, folders: Iterable[bytes]) -> str:
            old, last = dict(self._places), self._generation
            # A folder that moved keeps its watch, under its old name: so all are told anew before the old ones go.
            self._generation = CallbackId(last + 1)
            fresh: dict[WatchDescriptor, bytes] = {}
            trouble = ""
            try:
                if self._fd is None:
                    self._fd = InotifyFD()
                    self._fd.start()
                for place in folders:
                    if len(fresh) >= MAX_FOLDERS:
                        trouble = f"there are more than {MAX_FOLDERS:,} folders"
                        break
                    self._add(self._fd, place, fresh)
            except OSError as error:
                trouble = LIMIT_REACHED if error.errno in _LIMITS else f"{error.strerror}"
            if trouble and self._fd is not None:
                # What is left belongs to other programs, the editor first.
                self._fd.remove_callbacks([(wd, self._generation) for wd in fresh])
                fresh = {}
            with self._lock:
                self._places = fresh
            if self._fd is not None:
                self._fd.remove_callbacks([(wd, last) for wd in old])
            return trouble

        def close(self) -> None:
            if self._fd is not None:
                self._fd.stop()
                self._fd.join()
                self._fd = None

        def on_event(self, event: InotifyEvent) -> None:
            with self._lock:
                place = self._places.get(event.wd)
            if place is None:
                return
            if event.is_directory:
                self._doubt()
            elif event.name:
                self._hint(os.fsdecode(place + event.name))

        def on_watch_deleted(self, wd: WatchDescriptor) -> None:
            with self._lock:
                self._places.pop(wd, None)

        def on_queue_overflow(self) -> None:
            self._doubt()

        def _add(self, fd: InotifyFD, place: bytes, fresh: dict[WatchDescriptor, bytes]) -> None:
            try:
                wd = fd.add_callback(place, _MASK, self, self._generation)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):  # gone again: its parent tells
                    return
                raise
            fresh[wd] = place
            with self._lock:
                self._places[wd] = place

    _LIMITS = (errno.ENOSPC, errno.EMFILE, errno.ENFILE)


class TreeWatch(FileSystemEventHandler):
    """The whole tree below a root, where the system watches trees by itself; what is ignored is dropped here."""

    def __init__(self, root: Path, hint: Hint, doubt: Doubt) -> None:
        self._root = str(root)
        self._real = os.path.realpath(root)  # macOS reports places without links in them
        self._hint, self._doubt = hint, doubt
        self._folders: frozenset[str] = frozenset()
        self._observer = Observer()
        self._begun = False

    def follow(self, folders: Iterable[bytes]) -> str:
        self._folders = frozenset(os.fsdecode(place).rstrip("/" + os.sep) for place in folders)
        if self._begun:
            return ""
        try:
            self._observer.schedule(self, self._real, recursive=True, event_filter=_EVENTS)
            self._observer.start()
        except OSError as error:
            self._observer = Observer()  # one that failed can not be started again
            return f"{error.strerror}"
        self._begun = True
        return ""

    def close(self) -> None:
        if self._begun:
            self._observer.stop()
            self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        for place in filter(None, (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))):
            path = self._root + place.removeprefix(self._real)
            if os.path.dirname(path) in self._folders:  # noqa: PTH120  # thousands in a second
                if event.is_directory:
                    self._doubt()
                else:
                    self._hint(path)
