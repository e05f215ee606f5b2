"""One file from a hub into a folder: goes on where it was, is never longer than announced, and has its checksum.

While it is under way it is called NAME.part; it gets its name once it is whole. Knows no model.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from inference.models.fetch.hub import Broken
from inference.models.fetch.listing import FetchFailed, Listing, Remote

TRIES = 8  # in a row without one new byte
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_READ_BYTES = 1 << 22

Progress = Callable[[str, int], None]  # the file, and how many more of its bytes are there; fewer after a loss
Pause = Callable[[float], None]


class Source(Protocol):
    """A hub, as far as it matters here."""

    def open(self, listing: Listing, name: str, start: int) -> AbstractContextManager[tuple[int, Iterator[bytes]]]: ...


def download(
    source: Source, listing: Listing, wanted: Remote, folder: Path, progress: Progress, pause: Pause = time.sleep
) -> None:
    """The file in the folder, whole. Raises FetchFailed; OSError where the disk does not take it.

    What an earlier try left is read again for its checksum, so that a crash of the machine in between does no harm.
    """
    if (folder / wanted.name).exists():  # it has its name, so it was whole
        progress(wanted.name, wanted.n_bytes)
        return
    part = folder / f"{wanted.name}.part"
    for is_last in (False, True):
        _fetch(source, listing, wanted, part, progress, pause)
        if _fits(part, wanted):
            part.replace(folder / wanted.name)
            return
        progress(wanted.name, -wanted.n_bytes)
        part.unlink()
        if is_last:
            raise FetchFailed(
                f"{wanted.name} came twice with a checksum that is not the one announced",
                "something between you and the hub changes what it sends, or the hub is broken: try later",
            )


def left(part: Path, wanted: Remote) -> int:
    """How much of the file an earlier try has fetched."""
    try:
        return min(part.stat().st_size, wanted.n_bytes)
    except FileNotFoundError:
        return 0


def _fetch(source: Source, listing: Listing, wanted: Remote, part: Path, progress: Progress, pause: Pause) -> None:
    """All bytes of the file, right or wrong, in as many requests as it takes while there are new ones."""
    with part.open("ab") as file:
        if file.tell() > wanted.n_bytes:
            file.truncate(0)
        at = file.tell()
        progress(wanted.name, at)
        n_tries = 0
        while at < wanted.n_bytes:
            before = at
            try:
                with source.open(listing, wanted.name, at) as (start, octets):
                    if start != at:  # the hub can not go on where we were
                        file.truncate(start)
                        file.seek(start)
                        progress(wanted.name, start - at)
                        at = start
                    at = _write(file, octets, at, wanted, progress)
                problem = "the hub's answer ended too early"
            except Broken as error:
                at = _settled(file)
                problem = str(error)
            n_tries = 0 if at > before else n_tries + 1
            if at < wanted.n_bytes:
                if n_tries >= TRIES:
                    raise FetchFailed(f"{problem}; {n_tries} tries in a row brought nothing", "try again later")
                pause(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**n_tries))
        file.flush()
        os.fsync(file.fileno())


def _settled(file: BinaryIO) -> int:
    file.flush()
    return file.tell()


def _write(file: BinaryIO, octets: Iterator[bytes], at: int, wanted: Remote, progress: Progress) -> int:
    for some in octets:
        at += len(some)
        if at > wanted.n_bytes:
            raise FetchFailed(
                f"the hub sends more than the {wanted.n_bytes} bytes of {wanted.name} that it announced", "try later"
            )
        file.write(some)
        progress(wanted.name, len(some))
    return at


def _fits(path: Path, wanted: Remote) -> bool:
    """Whether the content has the announced sum: its own or, of small files, git's."""
    if wanted.sha256 is not None:
        return sha256_of(path) == wanted.sha256
    return _digest(path, hashlib.sha1(b"blob %d\0" % wanted.n_bytes, usedforsecurity=False)) == wanted.git_sha1


def sha256_of(path: Path) -> str:
    return _digest(path, hashlib.sha256())


def _digest(path: Path, digest: "hashlib._Hash") -> str:
    with path.open("rb") as file:
        while some := file.read(_READ_BYTES):
            digest.update(some)
    return digest.hexdigest()
