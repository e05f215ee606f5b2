"""Advisory locks on files, which the system gives back when a process ends, however it ends."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Taken(Exception):
    """Another process has the lock."""


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of the file `path`. Raises Taken where another holds it and we shall not wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _take(descriptor, wait)
        yield
    finally:
        os.close(descriptor)  # which also gives the lock back


def _take(descriptor: int, wait: bool) -> None:
    try:
        if sys.platform == "win32":
            # LK_LOCK asks once a second, ten times, and then fails: as good as waiting for what takes milliseconds.
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Taken from error
