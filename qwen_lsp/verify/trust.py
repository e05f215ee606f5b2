"""Which folders the user trusts to have commands run in them. Said by the user only; no file of a repository is asked.

The list is a file of the user's own, mode 0600, written whole or not at all. Trust is by the folder's resolved path and
does not reach into folders below it. A list that others could have written, or that can not be read, trusts nothing.
"""

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import platformdirs

from qwen_lsp.index.locks import locked

FILE_NAME = "trusted.json"
FILE_BYTES = 1 << 20


def trust_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the list is: in `QWEN_LSP_HOME`, else in the platform's data folder."""
    home = environ.get("QWEN_LSP_HOME")
    data = Path(home).expanduser() if home else platformdirs.user_data_path("qwen-lsp", appauthor=False)
    return data.absolute() / FILE_NAME


def is_trusted(root: Path, file: Path | None = None) -> bool:
    """Whether the user said that commands may run in this folder."""
    return _name(root) in _read(file or trust_file())


def trusted(file: Path | None = None) -> tuple[str, ...]:
    """All folders that are trusted, by name."""
    return tuple(sorted(_read(file or trust_file())))


def trust(root: Path, is_trusted: bool = True, file: Path | None = None) -> None:
    """Trust the folder, or no longer. Raises OSError where the list can not be written."""
    file = file or trust_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(file.with_suffix(".lock")):
        before = _read(file)
        after = before | {_name(root)} if is_trusted else before - {_name(root)}
        if after != before:
            _write(file, after)


def _name(root: Path) -> str:
    return os.fsdecode(os.fsencode(root.resolve()))


def _read(file: Path) -> frozenset[str]:
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return frozenset()
    with open(descriptor, "rb") as opened:  # noqa: PTH123 - the state must be that of the file which is read
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or not _is_ours(status):
            return frozenset()
        octets = opened.read(FILE_BYTES + 1)
    try:
        value = json.loads(octets) if len(octets) <= FILE_BYTES else None
    except (ValueError, RecursionError):
        return frozenset()
    folders = value.get("trusted") if isinstance(value, Mapping) else None
    return frozenset(each for each in folders if isinstance(each, str)) if isinstance(folders, list) else frozenset()


def _is_ours(status: os.stat_result) -> bool:
    """Nobody else could have written it. Windows tells no such thing; there the profile folder guards it."""
    return os.name == "nt" or (status.st_uid == os.getuid() and not status.st_mode & 0o022)


def _write(file: Path, folders: frozenset[str]) -> None:
    text = json.dumps({"trusted": sorted(folders)}, indent=2) + "\n"
    with NamedTemporaryFile("w", dir=file.parent, prefix=".trusted-", encoding="utf-8", delete=False) as temporary:
        try:
            temporary.write(text)  # the file was made with mode 0600
            temporary.flush()
            os.fsync(temporary.fileno())
            Path(temporary.name).replace(file)
        except BaseException:
            with suppress(OSError):
                Path(temporary.name).unlink()
            raise
