"""A repository of the copy's own, with the user's commits to look at: for builds that ask git for a version or a list.

The objects are borrowed (`alternates`), nothing else is: no remotes with tokens in them, no hooks, no configuration.
The user's repository is only read. Where git or it will not, the copy has no history; most builds need none.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from qwen_lsp.index.repository import shared_folder

TIMEOUT_S = 20.0
REFERENCES = 20_000


def give(root: Path, tree: Path) -> bool:
    """Whether `tree`, the copy of `root`, is a repository now, with the commits, tags and branches of `root`."""
    if not os.path.lexists(root / ".git"):
        return False
    shared = shared_folder(root)
    head = _git(root, "rev-parse", "--verify", "HEAD")
    listed = _git(
        root, "for-each-ref", f"--count={REFERENCES}", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"
    )
    kind = _git(root, "rev-parse", "--show-object-format")
    if head is None or listed is None or kind is None:
        return False
    if _git(tree, "init", "--quiet", "--template=", f"--object-format={kind.strip()}") is None:
        return False
    own = tree / ".git"
    info = own / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_bytes(os.fsencode(shared / "objects") + b"\n")
    (own / "packed-refs").write_text(f"# pack-refs with: sorted \n{_sorted(listed)}", "utf-8")
    (own / "HEAD").write_text(head, "utf-8")
    if (shared / "shallow").is_file():
        (own / "shallow").write_bytes((shared / "shallow").read_bytes())
    return _git(tree, "read-tree", "HEAD") is not None


def borrowed(root: Path) -> Path | None:
    """The folder of objects that a copy of `root` with a history needs to see."""
    return shared_folder(root) / "objects" if os.path.lexists(root / ".git") else None


def _sorted(listed: str) -> str:
    return "".join(f"{row}\n" for row in sorted(listed.splitlines(), key=lambda row: row.partition(" ")[2]))


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, or None. It reads no configuration but the folder's own, and starts nothing named there."""
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=_environ(), capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def _environ() -> Mapping[str, str]:
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
    }
