"""The folders that the daemon writes to, and that nobody else can. Knows no daemon."""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

APP = "qwen-lsp"


class Refused(Exception):
    """The daemon can not be started, found or trusted; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Home:
    """`runtime` holds sockets, locks and records; it is private."""

    runtime: Path
    cache: Path
    logs: Path
    models: Path


def home(environ: Mapping[str, str]) -> Home:
    """All in $QWEN_LSP_HOME, else where the platform wants it."""
    root = environ.get("QWEN_LSP_HOME")
    if root:
        base = Path(root).expanduser().absolute()
        return Home(base / "run", base / "cache", base / "log", base / "models")
    state = platformdirs.user_state_path(APP, appauthor=False)
    # Without XDG_RUNTIME_DIR, platformdirs may answer a folder below the shared /tmp, whose parent others can own.
    runtime = platformdirs.user_runtime_path(APP, appauthor=False) if environ.get("XDG_RUNTIME_DIR") else state / "run"
    cache, logs = platformdirs.user_cache_path(APP, appauthor=False), platformdirs.user_log_path(APP, False)
    return Home(runtime, cache, logs, platformdirs.user_data_path(APP, appauthor=False) / "models")


def make_private(folder: Path, uid: int) -> None:
    """Create the folder with mode 0700, or check that it is ours and closed to others; refuse it otherwise."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode) or not stat.S_ISDIR(status.st_mode):
        raise Refused(f"{folder} is not a folder of its own (a link or a file): remove it")
    if status.st_uid != uid:
        raise Refused(f"{folder} belongs to user {status.st_uid}, not to you ({uid}): remove it")
    if status.st_mode & 0o077:
        _close(folder, uid)


def _close(folder: Path, uid: int) -> None:
    """Shut an open folder. What others put there while it was open can not be told from ours: refuse it then."""
    try:
        folder.chmod(0o700)
    except OSError as error:
        raise Refused(f"{folder} is open to other users and can not be closed: {error.strerror}") from error
    if folder.lstat().st_mode & 0o077:
        raise Refused(f"{folder} is open to other users, and this file system keeps no modes: set QWEN_LSP_HOME")
    with os.scandir(folder) as entries:
        foreign = [entry.name for entry in entries if entry.stat(follow_symlinks=False).st_uid != uid]
    if foreign:
        raise Refused(f"{folder} was open to other users and holds files of theirs: remove it")
