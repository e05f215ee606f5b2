"""Which files a workspace has, and which of them count: the walk, and the ignore files on its way.

Fails closed: an ignore file that can not be read hides its folder. Links are not followed: what they point to counts at
its own place or not at all. Does not know languages or symbols.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from qwen_lsp.index.ignore import PatternFile, parse
from qwen_lsp.index.reading import NO_LINKS, READ, FileStat, all_of, read, regular
from qwen_lsp.index.repository import repository_top, settings, shared_folder
from qwen_lsp.index.rules import Skipped, file_rule, folder_rule

GIT_IGNORE = ".gitignore"
QWEN_IGNORE = ".qwenignore"
IGNORE_FILES = (GIT_IGNORE, QWEN_IGNORE)
IGNORE_LIMIT_BYTES = 1 << 20  # written by hand; one that is larger is a trap, and its folder does not count
MAX_FILES = 500_000  # a home folder opened by mistake; the largest repositories known have 400,000


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that counts, and the ignore files in force there, the nearest first."""

    path: str  # below the root: "" or "src/"
    place: bytes  # absolute, ends in /
    git: tuple[PatternFile, ...]
    qwen: tuple[PatternFile, ...]
    ignore_case: bool
    shared: Path  # the user's own ignore file: read anew at the top of each repository, where its paths begin


def opened(root: Path, told: tuple[bool, Path] | None = None) -> Folder | Skipped:
    """The root with all that is in force there: the user's excludes, and the ignore files from the repository's top.

    `told`: what git said of settings before; it saves asking it, which takes a process.
    """
    root = root.absolute()
    top = repository_top(root) or root
    ignore_case, shared = told or settings(root)
    parts = root.relative_to(top).parts
    start = Folder("", _place(top), (), (), ignore_case, shared)
    folder = _entered(start, f"{top}/" if parts else "", is_top=True)
    for number, part in enumerate(parts, 1):
        if isinstance(folder, Skipped):
            break
        found = judged(folder, part, is_folder=True)
        if found is not None:
            return replace(found, path=".")
        place = folder.place + os.fsencode(part) + b"/"
        path = "" if number == len(parts) else f"{folder.path}{part}/"
        folder = _entered(replace(folder, place=place), path)
    return folder if isinstance(folder, Folder) else replace(folder, path=".")


def walk(top: Folder, max_files: int = MAX_FILES) -> Iterator[FileStat | Skipped]:
    """All files below `top`, a folder at a time, in the order of names; folders that do not count are one `Skipped`."""
    folders, n_files = [top], 0
    while folders:
        folder = folders.pop()
        below: list[Folder] = []
        try:
            with os.scandir(folder.place) as entries:
                found = sorted((os.fsdecode(entry.name), entry) for entry in entries)
        except OSError as error:
            yield Skipped(folder.path.rstrip("/") or ".", "unreadable", error.strerror or "scandir")
            continue
        for name, entry in found:
            outcome = _entry(folder, name, entry)
            if isinstance(outcome, Folder):
                below.append(outcome)
                continue
            n_files += isinstance(outcome, FileStat)
            if n_files > max_files:
                yield Skipped(outcome.path, "too many", f"the limit is {max_files:,} files")
                return
            yield outcome
        folders += reversed(below)


def why(root: Path, path: Path, top: Folder | Skipped | None = None) -> Skipped | None:
    """Why `path` does not count, or None. A file that is not there is judged by its name. `top` saves `opened(root)`.

    The one rule for the index, for prompts and for people. Links are judged as links: who means the target asks for it.
    Of open buffers `judge.py` tells it.
    """
    parts = parts_below(root, path)
    if parts is None:
        return Skipped(str(path), "outside", f"not below {root}")
    folder = opened(root) if top is None else top
    if isinstance(folder, Skipped):
        return folder
    for part in parts[:-1]:
        below = below_of(folder, part)
        if isinstance(below, Skipped):
            return below
        folder = below
    return _last(folder, parts[-1])


def judged(folder: Folder, name: str, *, is_folder: bool) -> Skipped | None:
    """Why the entry `name` of `folder` does not count, by names and ignore files alone; None if it does."""
    path = folder.path + name
    try:
        name.encode()
    except UnicodeEncodeError:
        return Skipped(path.encode(errors="backslashreplace").decode(), "name", "not UTF-8")
    rule = folder_rule(name) if is_folder else file_rule(name)
    if rule is not None:
        return Skipped(path, *rule)
    raw = os.fsencode(name)
    place = folder.place + raw
    for file in folder.qwen:
        pattern = file.match(place, raw, is_folder)
        if pattern is not None:
            if pattern.excludes:
                return Skipped(path, "qwenignored", pattern.place)
            break
    for file in folder.git:
        pattern = file.match(place, raw, is_folder)
        if pattern is not None:
            return Skipped(path, "ignored", pattern.place) if pattern.excludes else None
    return None


def below_of(folder: Folder, name: str) -> Folder | Skipped:
    """The folder `name` in `folder`, if it counts; one that is not there yet has no ignore files."""
    found = judged(folder, name, is_folder=True)
    if found is not None:
        return found
    place = folder.place + os.fsencode(name)
    path = folder.path + name
    try:
        is_folder = stat.S_ISDIR(os.lstat(place).st_mode) and not os.path.isjunction(place)
    except FileNotFoundError:
        is_folder = True
    except OSError as error:
        return Skipped(path, "unreadable", error.strerror or "stat")
    if not is_folder:
        return Skipped(path, "link", _target(place))
    return _entered(replace(folder, place=place + b"/"), path + "/")


def _entry(folder: Folder, name: str, entry: os.DirEntry[bytes]) -> FileStat | Folder | Skipped:
    path = folder.path + name
    try:
        if entry.is_dir(follow_symlinks=False) and not entry.is_junction():
            found = judged(folder, name, is_folder=True)
            return found or _entered(replace(folder, place=folder.place + entry.name + b"/"), path + "/")
        found = judged(folder, name, is_folder=False)
        if found is not None:
            return found
        if entry.is_symlink() or entry.is_junction():
            return Skipped(path, "link", _target(folder.place + entry.name))
        status = entry.stat(follow_symlinks=False)
    except OSError as error:
        return Skipped(path, "unreadable", error.strerror or "stat")
    return regular(path, status)


def _last(folder: Folder, name: str) -> Skipped | None:
    """Why the entry does not count, whatever it is; one that is not there is judged as a file."""
    path, place = folder.path + name, folder.place + os.fsencode(name)
    try:
        status = os.lstat(place)
    except FileNotFoundError:
        return judged(folder, name, is_folder=False)
    except OSError as error:
        return judged(folder, name, is_folder=False) or Skipped(path, "unreadable", error.strerror or "stat")
    if stat.S_ISDIR(status.st_mode):
        below = below_of(folder, name)
        return below if isinstance(below, Skipped) else None
    found = judged(folder, name, is_folder=False)
    if found is None and stat.S_ISLNK(status.st_mode):
        found = Skipped(path, "link", _target(place))
    state = found or regular(path, status)
    if isinstance(state, Skipped):
        return state
    source = read(folder.place, name)
    return replace(source, path=path) if isinstance(source, Skipped) else None


def _entered(folder: Folder, path: str, *, is_top: bool = False) -> Folder | Skipped:
    """`folder` at its new place, with the ignore files that lie there; `path` is what it is called."""
    shown = path.rstrip("/") or "."
    place = Path(os.fsdecode(folder.place))
    git = folder.git
    try:
        if is_top or os.path.lexists(folder.place + b".git"):
            # A repository of its own: what the one around it ignores inside is not git's business here.
            exclude = shared_folder(place) / "info" / "exclude"
            git = _pattern_files(exclude, ".git/info/exclude", folder.place, folder.ignore_case, 0)
            git += _pattern_files(folder.shared, str(folder.shared), folder.place, folder.ignore_case, 0)
        git = _here(folder, path, GIT_IGNORE) + git
        qwen = _here(folder, path, QWEN_IGNORE) + folder.qwen
    except OSError as error:
        return Skipped(shown, "unreadable", f"an ignore file in it: {error.strerror}")
    return replace(folder, path=path, git=git, qwen=qwen)


def _here(folder: Folder, path: str, name: str) -> tuple[PatternFile, ...]:
    place = Path(os.fsdecode(folder.place), name)
    return _pattern_files(place, path + name, folder.place, folder.ignore_case, NO_LINKS)


def _pattern_files(place: Path, shown: str, base: bytes, ignore_case: bool, flags: int) -> tuple[PatternFile, ...]:
    """The ignore file at `place`, none if there is none. As git does, one in the tree that is a link is not read."""
    if flags == NO_LINKS and not NO_LINKS and place.is_symlink():
        return ()
    try:
        descriptor = os.open(place, READ | flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return ()
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return ()
        text = all_of(descriptor, IGNORE_LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(text) > IGNORE_LIMIT_BYTES:
        raise OSError(errno.EFBIG, "File too large")
    patterns = tuple(parse(text, shown))
    return (PatternFile(base, patterns, ignore_case=ignore_case),) if patterns else ()


def parts_below(root: Path, path: Path) -> tuple[str, ...] | None:
    """The names from `root` to `path`, however the two are spelled; None outside, and for the root itself."""
    for spelled in (os.path.abspath, os.path.realpath):
        with suppress(ValueError):  # on another drive
            parts = Path(os.path.relpath(spelled(path), spelled(root))).parts
            if parts and parts[0] != os.pardir:
                return parts
    return None


def _place(folder: Path) -> bytes:
    return os.fsencode(folder).rstrip(b"/" + os.fsencode(os.sep)) + b"/"


def _target(place: bytes) -> str:
    try:
        target = os.fsencode(Path(os.fsdecode(place)).readlink())
        return f"a link to {target.decode(errors='backslashreplace')}"
    except OSError:
        return "not a folder"
