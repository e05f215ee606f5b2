"""Which daemon serves whom: its key, its files, its record. Knows no HTTP and starts nothing."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from inference.backends.base import EngineName
from inference.lifecycle.home import Home, make_private

PACKAGE = Path(__file__).parents[1]
SOCKET_PATH_BYTES = 100  # the least of the systems' limits is 104, with the final zero
KEY_CHARS = 12


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two daemons different. `n_ctx` None: what the model and the machine allow."""

    engine: EngineName
    model: str
    n_ctx: int | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one daemon. `lock` is held for its life, `start_lock` while someone starts it."""

    key: str
    socket: Path
    lock: Path
    start_lock: Path
    record: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Record:
    """What a daemon says of itself in its file. `started` in seconds since 1970."""

    pid: int
    address: str
    engine: str
    model: str
    n_ctx: int | None
    build: str
    started: float

    @property
    def socket(self) -> Path:
        return Path(self.address.removeprefix("unix:"))


def version() -> str:
    try:
        return metadata.version("qwen-lsp")
    except metadata.PackageNotFoundError:
        return "source"


def build(package: Path = PACKAGE) -> str:
    """Changes whenever a file of the package does, so that new code never talks to an old daemon."""
    digest = hashlib.sha256(version().encode())
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            status = path.stat()
            digest.update(f"{path.relative_to(package)}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return f"{version()}+{digest.hexdigest()[:KEY_CHARS]}"


def places(home: Home, identity: Identity, build: str, uid: int) -> Places:
    """The files of the daemon with this identity; their folders exist and are private."""
    make_private(home.runtime, uid)
    home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    named = json.dumps([uid, build, identity.engine, identity.model, identity.n_ctx])
    key = hashlib.sha256(named.encode()).hexdigest()[:KEY_CHARS]
    run = home.runtime
    return Places(
        key=key,
        socket=_socket_folder(home, uid) / f"{key}.sock",
        lock=run / f"{key}.lock",
        start_lock=run / f"{key}.start",
        record=run / f"{key}.json",
        log=home.logs / f"{key}.log",
    )


def _socket_folder(home: Home, uid: int) -> Path:
    """The runtime folder, or, where its name is too long for a socket, one below the temporary folder."""
    longest = home.runtime / f"{'0' * KEY_CHARS}.sock"
    if len(os.fsencode(longest)) <= SOCKET_PATH_BYTES:
        return home.runtime
    named = hashlib.sha256(os.fsencode(home.runtime)).hexdigest()[:KEY_CHARS]
    folder = Path(tempfile.gettempdir()) / f"qwen-lsp-{uid}-{named}"
    make_private(folder, uid)
    return folder


def write_record(path: Path, record: Record) -> None:
    """Atomic: a reader sees the old record or the new one."""
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(asdict(record)), encoding="utf-8")
    partial.replace(path)


def read_record(path: Path) -> Record | None:
    """None where there is none, or none that this build can read."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def records(home: Home) -> Iterator[tuple[Path, Record]]:
    """All daemons of this home that left a record, alive or not, oldest first."""
    found = ((path, read_record(path)) for path in home.runtime.glob("*.json"))
    known = [(path, record) for path, record in found if record is not None]
    yield from sorted(known, key=lambda item: (item[1].started, item[0]))


@dataclass(slots=True)
class FileLock:
    """An advisory lock; the system frees it when its holder dies, however it dies."""

    path: Path
    _fd: int | None = field(default=None, init=False)

    def acquire(self) -> bool:
        """Whether it is ours now; never waits."""
        if self._fd is not None:
            return True
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
