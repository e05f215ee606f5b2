"""Real folders for the tests of the index, and a git that knows nothing of the machine that it runs on."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make the files below `root`; what ends in / is a folder. They look an hour old: their states are trusted."""
    for path, text in files.items():
        place = root / path
        if path.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text if isinstance(text, bytes) else text.encode())
        age(place)
    return root


def age(place: Path) -> None:
    """An hour older than it is."""
    status = place.stat()
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns - 3_600_000_000_000))


def git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    """What git says; its exit status does not matter (`check-ignore` has one for "nothing is ignored")."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def repository(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder
