"""What git says about a folder before any ignore file in it is read. Asks git for settings, and works without it."""

import os
import subprocess
from pathlib import Path

TIMEOUT_S = 10.0
# With these, an editor that git has started would make git answer for another repository.
PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")


def repository_top(folder: Path) -> Path | None:
    """The nearest folder at or above `folder` that has a `.git`."""
    return next((at for at in (folder, *folder.parents) if os.path.lexists(at / ".git")), None)


def shared_folder(top: Path) -> Path:
    """Where the repository with this top keeps what its work trees share; also its name across them."""
    own = _own_folder(top)
    return Path(os.path.normpath(own / _first_line(own / "commondir"))) if own != top / ".git" else own


def checked_out(folder: Path) -> str:
    """What the work tree around the folder is at, as git writes it down: branch and commit; "" without a repository."""
    top = repository_top(folder)
    if top is None:
        return ""
    head = _first_line(_own_folder(top) / "HEAD")
    at = _first_line(shared_folder(top) / head.removeprefix("ref:").strip()) if head.startswith("ref:") else ""
    return f"{head} {at}"


def _own_folder(top: Path) -> Path:
    """Where git keeps what belongs to this work tree alone."""
    here = top / ".git"
    return here if here.is_dir() else top / _first_line(here).removeprefix("gitdir:").strip()


def defaults() -> tuple[bool, Path]:
    """What `settings` says where nobody has set anything."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return False, (Path(base) if base else Path.home() / ".config") / "git" / "ignore"


def settings(folder: Path, timeout_s: float = TIMEOUT_S) -> tuple[bool, Path]:
    """Whether names are compared without case, and the user's own ignore file; git's defaults without git."""
    ignore_case, excludes = defaults()
    command = ["git", "config", "-z", "--get-regexp", r"^core\.(excludesfile|ignorecase)$"]
    environ = {key: value for key, value in os.environ.items() if key not in PLACES}
    try:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ignore_case, excludes
    for row in done.stdout.split(b"\0"):
        key, _, value = os.fsdecode(row).partition("\n")
        if key == "core.ignorecase":
            ignore_case = value.lower() in ("true", "yes", "on", "1", "")
        elif key == "core.excludesfile" and value:
            excludes = folder / Path(value).expanduser()
    return ignore_case, excludes


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return os.fsdecode(file.read(4096).split(b"\n", 1)[0])
    except OSError:
        return ""
