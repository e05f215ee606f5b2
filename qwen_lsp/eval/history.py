"""What git knows of a repository's past: commits, what they changed, and the tree before each. Never writes to it.

Runs git as a program, with the environment that an editor may have set for another repository taken out. Does not
know holes, models or scores.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from qwen_lsp.errors import NotDone
from qwen_lsp.index.repository import PLACES
from qwen_lsp.prompt.hunks import Hunk, hunks

TIMEOUT_S = 300.0  # for one git command; a clone of a large repository's tree takes a minute
MOST_CHARS = 400_000  # of a file: longer ones are data or made by programs
_FIELDS = "%H%x00%P%x00%ct"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with one parent. `time`: when it was committed, in seconds since 1970, UTC."""

    id: str
    parent: str
    time: int


@dataclass(frozen=True, slots=True)
class Change:
    """A file that a commit changed, as text with LF line ends. `before` is empty for a new file."""

    path: str
    before: str = field(repr=False)
    after: str = field(repr=False)

    def hunks(self) -> tuple[Hunk, ...]:
        """In the order of the text."""
        return hunks(self.before, self.after)


class Repository:
    """A repository to read. Raises NotDone where git is missing, or refuses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.top = Path(os.fsdecode(self._git("rev-parse", "--show-toplevel").rstrip(b"\n")))

    def commits(self, since: str = "", most: int = 1_000, paths: Sequence[str] = ()) -> tuple[Commit, ...]:
        """The newest `most` commits, the newest first; merges and the very first commit have nothing to compare.

        `since`: a date as git reads it, or "" for no limit.
        """
        arguments = ["log", "--no-merges", "--min-parents=1", f"--max-count={most}", f"--format={_FIELDS}"]
        arguments += [f"--since={since}"] if since else []
        rows = self._git(*arguments, "HEAD", "--", *paths).decode("ascii", "replace").splitlines()
        found = (row.split("\0") for row in rows)
        return tuple(Commit(commit, parents.split(" ")[0], int(time)) for commit, parents, time in found)

    def changes(self, commit: Commit) -> Iterator[Change]:
        """The text files that the commit added or changed, by path. Binary, huge and foreign names are passed over."""
        listed = self._git("diff-tree", "-r", "-z", "--no-renames", "--diff-filter=AM", commit.parent, commit.id)
        rows = listed.split(b"\0")
        for about, name in zip(rows[::2], rows[1::2], strict=False):
            _, mode, old, new, _ = about.split(b" ")
            if not mode.startswith(b"100"):
                continue  # a link, or a submodule
            before, after = self._text(old), self._text(new)
            try:
                path = name.decode()
            except UnicodeDecodeError:
                continue
            if before is not None and after is not None and before != after:
                yield Change(path, before, after)

    def checkout(self, folder: Path) -> "Checkout":
        """A work tree of its own in the empty `folder`, that shares this repository's objects."""
        return Checkout.of(self, folder)

    def _text(self, blob: bytes) -> str | None:
        if not blob.strip(b"0"):
            return ""
        content = self._git("cat-file", "blob", blob.decode("ascii"))
        if len(content) > MOST_CHARS * 4 or b"\0" in content:
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return None
        return None if len(text) > MOST_CHARS else text.replace("\r\n", "\n").replace("\r", "\n")

    def _git(self, *arguments: str) -> bytes:
        return git(self.folder, *arguments)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A work tree that can be moved from commit to commit; only files that differ are written."""

    folder: Path

    @classmethod
    def of(cls, repository: Repository, folder: Path) -> Self:
        """No hook, filter or configuration of the repository runs: a clone takes none of them along."""
        git(repository.folder, "clone", "--quiet", "--shared", "--no-checkout", str(repository.top), str(folder))
        return cls(folder)

    def move(self, commit: str) -> None:
        """Have the tree of `commit`, and nothing else."""
        git(self.folder, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--force", "--detach", commit)
        git(self.folder, "clean", "-ffdxq")


def git(folder: Path, *arguments: str) -> bytes:
    """What a git command prints. Raises NotDone with git's first line where it fails."""
    environ = {key: value for key, value in os.environ.items() if key not in PLACES}
    environ |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_LFS_SKIP_SMUDGE": "1"}
    command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, timeout=TIMEOUT_S, check=False)
    except OSError as error:
        raise NotDone(f"git can not be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NotDone(f"git {arguments[0]} took more than {TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NotDone(f"git {arguments[0]}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout
