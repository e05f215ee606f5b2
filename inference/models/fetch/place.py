"""Where a model is put: a folder that is whole or not there, and one for what is still coming in.

The folder's name ends with the commit it came from, so that a newer one never changes files under a running daemon.
`fetched.json` in it says what it is. Knows no network.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.models.fetch.download import left, sha256_of
from inference.models.fetch.listing import FetchFailed, Listing, Remote, Wanted

RECORD = "fetched.json"
SPARE_BYTES = 1 << 30  # a disk that is full to the brim is no use to anybody
_COMMIT_CHARS = 12
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Incoming:
    """What is still on its way. A later try finds it by the model's name, and goes on with the same commit."""

    folder: Path

    def commit(self) -> str | None:
        """What an earlier try began to fetch."""
        try:
            found = json.loads((self.folder / RECORD).read_bytes())["revision"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, str) and _COMMIT.fullmatch(found) else None

    def begin(self, listing: Listing) -> None:
        """Another commit's files are of no use."""
        if self.commit() != listing.commit:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self.folder / RECORD, {"repository": listing.repository, "revision": listing.commit})

    def missing_bytes(self, files: Sequence[Remote]) -> int:
        return sum(
            0 if (self.folder / file.name).exists() else file.n_bytes - left(self.folder / f"{file.name}.part", file)
            for file in files
        )

    def finish(self, target: Path, record: dict[str, Any]) -> None:
        """All files are there and were checked: they appear in their place at once."""
        _write(self.folder / RECORD, record)
        _sync(self.folder)
        self.folder.replace(target)
        _sync(target.parent)


def incoming(models: Path, wanted: Wanted) -> Incoming:
    return Incoming(models / ".incoming" / wanted.name)


def place_of(models: Path, wanted: Wanted, commit: str) -> Path:
    """Where the model of this commit is or will be."""
    return models / f"{wanted.name}@{commit[:_COMMIT_CHARS]}"


def others(models: Path, wanted: Wanted, folder: Path) -> list[Path]:
    """Other revisions of the same model. Nothing removes them: a window may have one in its settings."""
    return sorted(each for each in models.glob(f"{wanted.name}@*") if each != folder)


def begun(models: Path) -> list[Path]:
    """Downloads that were broken off; the same wish goes on with them."""
    return sorted((models / ".incoming").glob("*"))


def gigabytes(folder: Path) -> str:
    """For people."""
    return f"{sum(path.stat().st_size for path in folder.iterdir()) / 1e9:.2f} GB"


def check_room(needed: int, free: int) -> None:
    """Raises FetchFailed with the sum."""
    if needed + SPARE_BYTES > free:
        raise FetchFailed(
            f"{needed / 1e9:.1f} GB are missing, and the disk has {free / 1e9:.1f} GB free; 1 GiB stays free",
            "make room, or set QWEN_LSP_HOME to a larger disk; what is there already is kept",
        )


def record(wanted: Wanted, listing: Listing, files: Sequence[Remote], hub: str) -> dict[str, Any]:
    """What `fetched.json` says of a whole model."""
    return {
        "repository": listing.repository,
        "revision": listing.commit,
        "hub": hub,
        "verified": wanted.variant is not None and wanted.variant.verified is not None,
        "files": [file.as_json() for file in files],
    }


def problems(folder: Path, *, sums: bool) -> Iterator[str]:
    """What is wrong with a folder that was fetched; nothing for one that was not. `sums`: read every byte."""
    try:
        files = [Remote(**each) for each in json.loads((folder / RECORD).read_bytes())["files"]]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        yield f"{folder / RECORD} is unreadable"
        return
    for file in files:
        path = folder / file.name
        if not path.is_file():
            yield f"{path} is missing"
        elif path.stat().st_size != file.n_bytes:
            yield f"{path} should have {file.n_bytes} bytes and has {path.stat().st_size}"
        elif sums and file.sha256 is not None and sha256_of(path) != file.sha256:
            yield f"{path} is not what was fetched: its checksum differs"


def is_whole(folder: Path) -> bool:
    return (folder / RECORD).is_file() and not any(problems(folder, sums=False))


def _write(path: Path, values: dict[str, Any]) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _sync(folder: Path) -> None:
    """A rename is on the disk once its folder is."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
