"""What git knows of a repository's past: commits, what they changed, and the tree before each. Never writes to it.

Runs git as a program, with the environment that an editor may have set for another repository taken out. Nothing is
fetched: of a partial clone, what is not here is passed over, or refused by a git before 2.44. Does not know holes,
models or scores.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from qwen_lsp.errors import NotDone
from qwen_lsp.index.repository import PLACES
from qwen_lsp.prompt.hunks import Hunk, hunks

TIMEOUT_S = 300.0  # for one git command; a checkout of a large repository's tree takes a minute
MOST_CHARS = 400_000  # of a file: longer ones are data or made by programs
MOST_BYTES = MOST_CHARS * 4  # larger blobs are not even read
PARTIAL = "files of the past are not here: the clone is partial, git fetch --refetch --no-filter brings them"
_FIELDS = "%H%x00%P%x00%at%x00%ct"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit with one parent. `time`: in seconds since 1970, UTC, when it was written.

    A rebase commits anew what others may have read long before, and a clock may be wrong: the earlier of both dates.
    """

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
        try:
            self.head = self._git("rev-parse", "--verify", "--quiet", "HEAD").decode("ascii").strip()
        except NotDone:
            raise NotDone(f"{self.top} has no commit yet") from None

    @cached_property
    def is_shallow(self) -> bool:
        """Whether a part of its past was not cloned."""
        return self._git("rev-parse", "--is-shallow-repository").strip() == b"true"

    @cached_property
    def is_partial(self) -> bool:
        """Whether files of its past were not cloned."""
        try:
            return bool(self._git("config", "--get-regexp", r"^remote\..*\.(promisor|partialclonefilter)$"))
        except NotDone:  # there is no such key
            return False

    @property
    def name(self) -> str:
        """Its folder's, as text."""
        return os.fsencode(self.top.name).decode("utf-8", "replace")

    def commits(self, since: str = "", most: int = 1_000, paths: Sequence[str] = ()) -> tuple[Commit, ...]:
        """The newest `most` commits, the newest first; merges and the very first commit have nothing to compare.

        `since`: a date as git reads it, or "" for no limit.
        """
        arguments = ["log", "--no-merges", "--min-parents=1", f"--max-count={most}", f"--format={_FIELDS}"]
        arguments += [f"--since={since}"] if since else []
        rows = self._git(*arguments, "HEAD", "--", *paths).decode("ascii", "replace").splitlines()
        found = (row.split("\0") for row in rows)
        return tuple(
            Commit(commit, parents.split(" ")[0], min(int(written), int(committed)))
            for commit, parents, written, committed in found
        )

    def changes(self, commit: Commit) -> Iterator[Change]:
        """The text files that the commit added or changed, by path. Binary, huge and foreign names are passed over.

        So are renamed files: what a new path seems to add stood under the old one before.
        """
        listed = self._git(
            "diff-tree", "-r", "-z", "--find-renames", "--diff-filter=AM", "--no-ext-diff", commit.parent, commit.id
        )
        rows = listed.split(b"\0")
        found: list[tuple[str, bytes, bytes]] = []
        for about, name in zip(rows[::2], rows[1::2], strict=False):
            _, mode, old, new, _ = about.split(b" ")
            try:
                path = name.decode()
            except UnicodeDecodeError:
                continue
            if mode.startswith(b"100"):  # else a link, or a submodule
                found.append((path, old, new))
        texts = self._texts({blob for _, old, new in found for blob in (old, new) if blob.strip(b"0")})
        for path, old, new in found:
            before, after = texts.get(old, None if old.strip(b"0") else ""), texts.get(new)
            if before is not None and after is not None and before != after:
                yield Change(path, before, after)

    def checkout(self, folder: Path) -> "Checkout":
        """A work tree of its own in the new folder, that borrows this repository's objects."""
        objects = Path(os.fsdecode(self._git("rev-parse", "--git-path", "objects").rstrip(b"\n")))
        kind = self._git("rev-parse", "--show-object-format").decode("ascii").strip()
        return Checkout.of((self.folder / objects).resolve(), kind, folder)

    def _texts(self, blobs: set[bytes]) -> dict[bytes, str]:
        """Those of the blobs that are text of a sane size, with LF line ends."""
        names = b"".join(blob + b"\n" for blob in sorted(blobs))
        if not names:
            return {}
        small = b""
        for row in self._git("cat-file", "--batch-check", said=names).splitlines():
            blob, *about = row.split(b" ")  # the name, then its kind and size; or that it is missing
            if len(about) == 2 and about[0] == b"blob" and int(about[1]) <= MOST_BYTES:
                small += blob + b"\n"
        content = self._git("cat-file", "--batch", said=small) if small else b""
        return {blob: text for blob, data in _blobs(content) if (text := _text(data)) is not None}

    def _git(self, *arguments: str, said: bytes = b"") -> bytes:
        try:
            return git(self.folder, *arguments, said=said)
        except NotDone as error:
            if "promisor remote" in error.message:
                raise NotDone(PARTIAL) from None
            raise


def _blobs(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What `cat-file --batch` prints: a head with name, kind and size, the content, a line end."""
    at = 0
    while at < len(content):
        end = content.index(b"\n", at)
        blob, _, size = content[at:end].split(b" ")
        at = end + 1 + int(size) + 1
        yield blob, content[end + 1 : at - 1]


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if len(text) > MOST_CHARS else text.replace("\r\n", "\n").replace("\r", "\n")


_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "protocol.allow=never",
    "advice.detachedHead=false",
    "log.showSignature=false",  # what it says of signatures would stand between the rows
)
# Filters and hooks are the user's own programs, for the user's own work trees.
_PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@dataclass(frozen=True, slots=True)
class Checkout:
    """A work tree that can be moved from commit to commit; only files that differ are written."""

    folder: Path

    @classmethod
    def of(cls, objects: Path, kind: str, folder: Path) -> "Checkout":
        """An empty repository that finds its objects in another's; none of that one's hooks and settings are in it."""
        folder.mkdir(parents=True)
        git(folder, "init", "--quiet", "--template=", f"--object-format={kind}", environ=_PLAIN)
        alternates = folder / ".git" / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_bytes(os.fsencode(objects) + b"\n")
        return cls(folder)

    def move(self, commit: str) -> None:
        """Have the tree of `commit`, named by its id, and nothing else. Submodules stay empty folders."""
        git(self.folder, "checkout", "--quiet", "--force", "--detach", commit, environ=_PLAIN)
        git(self.folder, "clean", "-ffdxq", environ=_PLAIN)


def git(folder: Path, *arguments: str, said: bytes = b"", environ: Mapping[str, str] | None = None) -> bytes:
    """What a git command prints when it is told `said`. Raises NotDone with git's reason where it fails."""
    own = {key: value for key, value in os.environ.items() if key not in PLACES}
    own |= {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    command = ["git", *(part for each in _SETTINGS for part in ("-c", each)), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**own, **(environ or {})},
            input=said,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise NotDone(f"git can not be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise NotDone(f"git {arguments[0]} took more than {TIMEOUT_S:.0f} s") from error
    if done.returncode == -signal.SIGINT:
        raise KeyboardInterrupt  # the terminal told all of us
    if done.returncode != 0:
        raise NotDone(f"git {arguments[0]}: {_reason(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _reason(said: bytes) -> str:
    """What went wrong, and what git says to do about it, which it indents."""
    lines = said.decode(errors="replace").strip().splitlines() or [""]
    reason = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1].strip())
    return f"{reason}: {lines[-1].strip()}" if lines[-1].startswith("\t") else reason
