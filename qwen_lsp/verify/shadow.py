"""A copy of a workspace for commands to write in: what counts is copied, what a build leans on is named to be shared.

The user's files are only read. Files are copied, as clones where the file system has them, never linked: a hard link
would let a command write the user's own. Not a work tree of git: that writes into the user's `.git`, runs hooks and
filters, and lacks what is not committed. Secret-looking files stay out. Knows no command and no sandbox.
"""

import errno
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import platformdirs

from qwen_lsp.errors import NotDone
from qwen_lsp.index.database import make_private
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.locks import Taken, locked
from qwen_lsp.index.reading import FileStat
from qwen_lsp.index.rules import HUGE_BYTES, Skipped
from qwen_lsp.index.scan import Folder, opened, walk
from qwen_lsp.verify import history
from qwen_lsp.verify.verdict import NO_CHANGES, Changes, Limits

if sys.platform == "linux":
    import fcntl

# Ignored folders that builds and tests read, and nobody edits.
SHARED_FOLDERS = frozenset(
    (
        "node_modules",
        ".venv",
        "venv",
        "env",
        "vendor",
        "bower_components",
        ".yarn",
        "Pods",
        ".bundle",
        "elm-stuff",
        "_deps",
    )
)
# Tools write these inside of what is shared; where one is there, an empty one of the copy's own lies over it.
SCRATCH_FOLDERS = (".cache", ".vite", ".vite-temp", ".vitest")
# Ignored files that a program needs beside its sources: what a build put there. Sources are told by their language.
BUILT_SUFFIXES = frozenset((".so", ".pyd", ".dylib", ".node", ".wasm"))
FILE_BYTES = 64 << 20  # larger ones are data
LOCK = "lock"
LEFT_AFTER_S = 60.0  # a copy that has just been begun has no lock yet
# What the index leaves out of prompts, and a build may need all the same.
_COPIED_REASONS = frozenset(("generated", "huge", "qwenignored"))
_FICLONE = 0x40049409
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


@dataclass(slots=True)
class Shadow:
    """A copy that lives until its `with` ends. `originals` are the files under `changed`, which `apply` takes back."""

    root: Path  # the user's
    tree: Path  # the copy of it
    scratch: Path  # for homes, caches and temporary files
    copied: frozenset[str]  # files below the root
    shared: tuple[str, ...]  # folders of the root that commands may read, below it
    originals: dict[str, bytes | None] = field(default_factory=dict)
    changed: Changes = NO_CHANGES

    @property
    def files(self) -> frozenset[str]:
        """What there is now, below the root."""
        gone = {path for path, text in self.changed.items() if text is None}
        return (self.copied | self.changed.keys()) - gone

    def apply(self, changes: Changes) -> None:
        """Make the copy what it was, with `changes`. Raises NotDone where a path or the disk does not allow it."""
        with _told():
            for path, before in self.originals.items():
                if path not in changes:
                    self._put(path, before)
            for path, text in changes.items():
                place = self._place(path)
                if path not in self.originals:
                    self.originals[path] = place.read_bytes() if place.is_file() else None
                self._put(path, None if text is None else text.encode("utf-8", "surrogatepass"))
        self.changed = changes

    def texts(self, changes: Changes) -> Changes:
        """What the files that `changes` names held before anything was applied."""
        found: dict[str, str | None] = {}
        for path in changes:
            place = self._place(path)
            held = self.originals[path] if path in self.originals else place.read_bytes() if place.is_file() else None
            found[path] = None if held is None else held.decode("utf-8", "replace")
        return found

    def _put(self, path: str, octets: bytes | None) -> None:
        """Write the file anew, unless it is so already: a build looks at times."""
        place = self._place(path)
        if octets is None:
            place.unlink(missing_ok=True)
            return
        if place.is_file() and place.read_bytes() == octets:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = stat.S_IMODE(place.stat().st_mode) if place.is_file() else 0o644
        place.unlink(missing_ok=True)
        place.write_bytes(octets)
        place.chmod(mode)

    def _place(self, path: str) -> Path:
        """Where the path is in the copy. No link on the way: a command may have made one since."""
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise NotDone(f"{path!r} is not a path below the workspace")
        at = self.tree
        for part in parts[:-1]:
            at /= part
            if at.is_symlink():
                raise NotDone(f"{path!r} leads through a link")
        place = at / parts[-1]
        if place.is_symlink() or place.is_dir():
            raise NotDone(f"{path!r} is not a file")
        return place


@contextmanager
def shadowed(root: Path, buffers: Changes = NO_CHANGES, limits: Limits | None = None) -> Iterator[Shadow]:
    """A copy of the workspace with the texts of open buffers in it. Raises NotDone where there can be none."""
    limits = limits or Limits()
    with _told():
        folder = cache_folder()
        make_private(folder)
        remove_left(folder)
        base = Path(tempfile.mkdtemp(prefix="copy-", dir=folder))
    try:
        with locked(base / LOCK):
            with _told():
                shadow = _copied(root.resolve(), base, limits)
                shadow.apply(buffers)
                shadow.copied, shadow.changed, shadow.originals = shadow.files, NO_CHANGES, {}
                history.give(shadow.root, shadow.tree)
            yield shadow
    finally:
        _remove(base)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where copies are made: on the user's own disk, where clones are likeliest, and never in memory by mistake."""
    home = environ.get("QWEN_LSP_HOME")
    cache = Path(home).expanduser() / "cache" if home else platformdirs.user_cache_path("qwen-lsp", appauthor=False)
    return cache.absolute() / "verify"


def remove_left(folder: Path) -> None:
    """Remove the copies of processes that were killed: nobody holds their locks."""
    for base in folder.glob("copy-*"):
        with suppress(OSError, Taken):
            if time.time() - base.lstat().st_mtime > LEFT_AFTER_S and base.is_dir() and not base.is_symlink():
                with locked(base / LOCK, wait=False):
                    _remove(base)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        told = "the disk is full" if full else error.strerror or type(error).__name__
        raise NotDone(f"no copy of the workspace could be made: {told}") from error


def _copied(root: Path, base: Path, limits: Limits) -> Shadow:
    tree, scratch = base / "tree", base / "scratch"
    tree.mkdir()
    scratch.mkdir()
    top = opened(root)
    if isinstance(top, Skipped):
        raise NotDone(f"the workspace is excluded: {top.rule}")
    files: set[str] = set()
    shared: list[str] = []
    n_bytes = 0
    for entry in walk(top, limits.copy_files):
        if isinstance(entry, Skipped) and entry.reason == "too many":
            raise NotDone(f"the workspace has more than {limits.copy_files:,} files")
        place = root / entry.path
        if isinstance(entry, Skipped) and _is_shared(place, entry):
            shared.append(entry.path)
        elif isinstance(entry, Skipped) and entry.reason == "link":
            _link(root, entry.path, tree)
        elif isinstance(entry, FileStat) or _is_needed(place, entry):
            for path, size in _below(top, entry):
                n_bytes += size
                if n_bytes > limits.copy_bytes:
                    raise NotDone(f"the workspace is larger than {limits.copy_bytes >> 20:,} MiB")
                if _copy(root / path, tree / path):
                    files.add(path)
    return Shadow(root, tree, scratch, frozenset(files), tuple(shared))


def _is_shared(place: Path, entry: Skipped) -> bool:
    return entry.reason == "ignored" and place.name in SHARED_FOLDERS and place.is_dir() and not place.is_symlink()


def _is_needed(place: Path, entry: FileStat | Skipped) -> bool:
    """Whether a file that does not count for prompts is copied all the same."""
    if not isinstance(entry, Skipped):
        return True
    if entry.reason in _COPIED_REASONS:
        return True
    if entry.reason != "ignored" or not place.is_file():
        return False
    language = language_of(entry.path)
    # Data has languages too, and what is ignored and data may be a secret.
    return place.suffix in BUILT_SUFFIXES or (language is not None and bool(language.identifiers))


def _below(top: Folder, entry: FileStat | Skipped) -> Iterator[tuple[str, int]]:
    """The files of an entry with their sizes: itself, or what lies in a folder that only prompts leave out."""
    place = top.place + os.fsencode(entry.path)
    try:
        status = os.lstat(place)
    except OSError:
        return
    if stat.S_ISREG(status.st_mode) and status.st_size <= FILE_BYTES:
        yield entry.path, status.st_size
    elif stat.S_ISDIR(status.st_mode):
        inner = Folder(entry.path + "/", place + b"/", top.git, (), top.ignore_case, top.shared)
        for below in walk(inner):
            if isinstance(below, FileStat):
                yield below.path, below.size


def _copy(source: Path, target: Path) -> bool:
    """Copy one file with its mode and time; False where it is gone or is none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | _NO_LINKS)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.EACCES, errno.ENXIO):
            return False
        raise
    with open(descriptor, "rb") as read:  # noqa: PTH123 - the state must be that of the file which is read
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        with target.open("xb") as written:
            if not _clone(descriptor, written.fileno()):
                shutil.copyfileobj(read, written, HUGE_BYTES)
            os.fchmod(written.fileno(), stat.S_IMODE(status.st_mode) & 0o777 | 0o200)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    return True


def _clone(source: int, target: int) -> bool:
    """Share the blocks until one of both is written, where the file system can (Btrfs, XFS, bcachefs)."""
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _link(root: Path, path: str, tree: Path) -> None:
    """A link to something in the workspace is made again, relative; any other is left out."""
    place = root / path
    with suppress(OSError, ValueError, RuntimeError):  # the last is how a loop of links is told
        target = Path(os.path.normpath(place.parent / place.readlink()))
        if target.is_relative_to(root) and place.resolve().is_relative_to(root):
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).symlink_to(os.path.relpath(target, place.parent))


def _remove(base: Path) -> None:
    """Also what a command made unreadable. What can not be removed is left to the system's cleaning."""

    def again(remove: object, path: str, error: BaseException) -> None:
        with suppress(OSError):
            os.chmod(Path(path).parent, 0o700)  # noqa: PTH101 - follows no more links than the removal does
            if not Path(path).is_symlink() and Path(path).is_dir():
                Path(path).chmod(0o700)
                shutil.rmtree(path, ignore_errors=True)
            else:
                Path(path).unlink(missing_ok=True)

    shutil.rmtree(base, onexc=again)
