"""Dumped sequences in files, so that a restart need not evaluate their prompts again.

A file holds one prefix: a head (format, identity, token ids, the lengths of the pieces), the payload's pieces as the
engine cut them, and a checksum. Looking up compares token ids in memory; a payload is read when it is asked for, and
believed when all of the file agrees. A file that is cut off, foreign or altered is removed, with one line in the log.

The token ids are the user's text: the folder has mode 0700, the files 0600, and the log gets counts and file names.
The checksum finds faults, not forgery: who can write here can do so as the user.

Several daemons may share a folder. Knows no engine, no scheduling and no locks: each call leaves the index whole, so
that one thread may write while another finds and reads.
"""

import fcntl
import hashlib
import logging
import os
import struct
import tempfile
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from inference.backends.base import Payload
from inference.kept import ID_BYTES

log = logging.getLogger(__name__)

_VERSION = 1
_MAGIC = b"qwprefix"
_START = struct.Struct("=8sI32sQQ")  # magic, version, identity, numbers of pieces and of tokens
_LENGTH_BYTES = 8  # of one piece
_DIGEST_BYTES = 32  # sha256, of the identity and of the head
_CHECKSUM = struct.Struct("=I")  # crc32 of the payload, at the file's end: twice as fast as sha256
_SUFFIX, _PARTIAL = ".prefix", ".part"
_NAME_CHARS = 16  # of the identity's digest, in a file's name
_END_BYTES = 64  # of the tokens, compared first: prefixes share their start and part later


@dataclass(frozen=True, slots=True)
class Saved:
    """A prefix on disk: its tokens, packed by `kept.pack`; where the payload begins; bytes of each piece."""

    path: Path
    tokens: bytes
    start: int
    lengths: tuple[int, ...]

    @property
    def n_tokens(self) -> int:
        return len(self.tokens) // ID_BYTES

    @property
    def n_bytes(self) -> int:
        """The whole file's."""
        return self.start + sum(self.lengths) + _CHECKSUM.size


class _Unusable(Exception):
    """What is wrong with a file; holds nothing of its content."""


class SavedPrefixes:
    """The saved prefixes of one `identity`: model checksum, engine, version and precision, in one string.

    `max_bytes` is for all files in the folder, those of other identities too: the longest unused go first. The clock
    gives nanoseconds since 1970.
    """

    def __init__(self, folder: Path, identity: str, max_bytes: int, clock: Callable[[], int] = time.time_ns) -> None:
        self._folder: Path | None = folder
        self._identity = hashlib.sha256(identity.encode()).digest()
        self._max_bytes = max_bytes
        self._clock = clock
        self._saved: dict[Path, Saved] = {}
        try:
            _make_private(folder)
            _sweep(folder)
            for path in sorted(folder.glob(f"{self._prefix}*{_SUFFIX}")):
                self._index(path)
            self._make_room(0)
        except OSError as error:
            log.warning("prefixes are not saved: %s: %s", folder, error.strerror)
            self._folder = None

    def find(self, prompt: bytes) -> Saved | None:
        """The longest saved prefix of a packed prompt that leaves a token to evaluate."""
        for saved in sorted(self._saved.values(), key=lambda saved: -len(saved.tokens)):
            n, end = len(saved.tokens), saved.tokens[-_END_BYTES:]
            if n < len(prompt) and prompt.endswith(end, 0, n) and prompt.startswith(saved.tokens):
                return saved
        return None

    def read(self, saved: Saved) -> Payload | None:
        """The payload in its pieces. None where the file is gone or unusable: then it is found no more."""
        try:
            with saved.path.open("rb") as file:
                payload = self._read(saved, file)
                with suppress(OSError):  # where nothing can be written, there is nothing to make room for
                    os.utime(file.fileno(), ns=(self._clock(),) * 2)
        except _Unusable as error:
            self.drop(saved, str(error))
            return None
        except OSError as error:  # another daemon removed it, or it can not be read now: it may be fine
            log.warning("the saved prefix %s is not read: %s", saved.path.name, error.strerror)
            self._saved.pop(saved.path, None)
            return None
        return payload

    def write(self, tokens: bytes, payload: Payload) -> bool:
        """Save the payload of packed `tokens`; whether it is on disk now. A reader never sees a part of it."""
        if self._folder is None:
            return False
        path = self._folder / f"{self._prefix}{hashlib.sha256(tokens).hexdigest()[: 2 * _NAME_CHARS]}{_SUFFIX}"
        head = self._head(tokens, payload)
        saved = Saved(path, tokens, len(head), tuple(map(len, payload)))
        if saved.n_bytes > self._max_bytes:
            log.info("%d bytes of a prefix are over the limit of %d", saved.n_bytes, self._max_bytes)
            return False
        try:
            self._make_room(saved.n_bytes)
            self._write(path, (head, *payload))
        except OSError as error:
            log.warning(
                "a prefix of %d tokens, %d bytes, is not saved: %s", saved.n_tokens, saved.n_bytes, error.strerror
            )
            return False
        self._saved[path] = saved
        return True

    def drop(self, saved: Saved, reason: str) -> None:
        """Remove a file; also for whoever finds that the engine does not take its payload."""
        log.warning("removed the saved prefix %s, %d tokens: %s", saved.path.name, saved.n_tokens, reason)
        self._remove(saved.path)

    @property
    def _prefix(self) -> str:
        return f"{self._identity.hex()[:_NAME_CHARS]}-"

    def _index(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._saved[path] = self._read_head(path, file)
        except _Unusable as error:
            log.warning("removed the saved prefix %s: %s", path.name, error)
            self._remove(path)
        except OSError as error:
            log.warning("the saved prefix %s is not read: %s", path.name, error.strerror)

    def _read(self, saved: Saved, file: BinaryIO) -> Payload:
        if self._read_head(saved.path, file) != saved:
            raise _Unusable("it is another one than before")
        payload, checksum = [], 0
        for length in saved.lengths:
            payload.append(file.read(length))
            checksum = zlib.crc32(payload[-1], checksum)
        if file.read() != _CHECKSUM.pack(checksum):
            raise _Unusable("its checksum is wrong")
        return payload

    def _head(self, tokens: bytes, payload: Payload) -> bytes:
        start = _START.pack(_MAGIC, _VERSION, self._identity, len(payload), len(tokens) // ID_BYTES)
        head = start + array("Q", map(len, payload)).tobytes() + tokens
        return head + hashlib.sha256(head).digest()

    def _read_head(self, path: Path, file: BinaryIO) -> Saved:
        """Sizes are compared with the file's before they are believed."""
        n_file = os.fstat(file.fileno()).st_size
        start = file.read(_START.size)
        if len(start) < _START.size:
            raise _Unusable("it is cut off")
        magic, version, identity, n_pieces, n_tokens = _START.unpack(start)
        if (magic, version) != (_MAGIC, _VERSION):
            raise _Unusable("it has another format")
        if identity != self._identity:
            raise _Unusable("it belongs to another model or engine")
        n_rest = n_pieces * _LENGTH_BYTES + n_tokens * ID_BYTES
        if n_rest > n_file:
            raise _Unusable("it is cut off")
        rest, digest = file.read(n_rest), file.read(_DIGEST_BYTES)
        if hashlib.sha256(start + rest).digest() != digest:
            raise _Unusable("its head is altered or cut off")
        n_lengths = n_pieces * _LENGTH_BYTES
        saved = Saved(path, rest[n_lengths:], file.tell(), tuple(array("Q", rest[:n_lengths])))
        if saved.n_bytes != n_file:
            raise _Unusable(f"it has {n_file} of {saved.n_bytes} bytes")
        return saved

    def _write(self, path: Path, pieces: Payload) -> None:
        """Through a file beside it, which a dead writer leaves behind unlocked."""
        descriptor, name = tempfile.mkstemp(_PARTIAL, dir=path.parent)  # mode 0600
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(pieces[0])
                checksum = 0
                for piece in pieces[1:]:
                    checksum = zlib.crc32(piece, checksum)
                    file.write(piece)
                file.write(_CHECKSUM.pack(checksum))
                file.flush()
                os.fsync(descriptor)
                os.utime(descriptor, ns=(self._clock(),) * 2)
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _make_room(self, n_bytes: int) -> None:
        """Remove files, the longest unused first, until `n_bytes` more are within the limit."""
        assert self._folder is not None
        files = sorted(_files(self._folder))
        n_over = sum(size for _, size, _ in files) + n_bytes - self._max_bytes
        for _, size, path in files:
            if n_over <= 0:
                break
            log.info("removed the saved prefix %s, %d bytes: the longest unused", path.name, size)
            self._remove(path)
            n_over -= size

    def _remove(self, path: Path) -> None:
        self._saved.pop(path, None)
        with suppress(OSError):
            path.unlink()


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(0, "it belongs to another user or is a link")
    if status.st_mode & 0o077:
        folder.chmod(0o700)


def _sweep(folder: Path) -> None:
    """Remove what writers left behind that died. A living one holds a lock."""
    for path in folder.glob(f"*{_PARTIAL}"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Last use in nanoseconds, size in bytes and path of each saved prefix, whoever's it is."""
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):  # another daemon removed it
            status = path.stat()
            yield status.st_mtime_ns, status.st_size, path
