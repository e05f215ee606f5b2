"""A change put on the user's disk: all of it or nothing. Knows no editor; `rework.py` is its one user."""

import os
import shutil
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from qwen_lsp.errors import NotDone, StaleDocument
from qwen_lsp.features.refactor.values import FileChange, Refactored
from qwen_lsp.features.refactor.workspace import BOM, Refused, Workspace


def apply(place: Workspace, found: Refactored) -> None:
    """Every text is written beside its place first, then each is put there. What fails leaves all as it was."""
    writing = _Writing(place)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # all or nothing; it takes a moment
    try:
        for change in found.changes:
            _check_unchanged(place, change)
        for change in found.changes:
            writing.prepare(change)
        for change in found.changes:
            writing.put(change)
    except BaseException:
        writing.take_back()
        raise
    finally:
        writing.tidy()
        signal.signal(signal.SIGINT, before)


@dataclass(slots=True)
class _Writing:
    """What lies beside the files until all is done, and how to get back. `kept`: copies of what was there."""

    place: Workspace
    parts: dict[Path, Path] = field(default_factory=dict)
    kept: dict[Path, Path] = field(default_factory=dict)
    made: list[Path] = field(default_factory=list)  # files that were not there
    folders: list[Path] = field(default_factory=list)

    def prepare(self, change: FileChange) -> None:
        """The new text and the old file, beside their places."""
        target, old = self.place.root / change.path, self.place.root / change.old_path
        if change.before is not None:
            self.kept[old] = _beside(old, "was")
            shutil.copy2(old, self.kept[old], follow_symlinks=False)
        if change.after is None:
            return
        self._make_folders(target.parent)
        part = self.parts[target] = _beside(target, "new")
        mode = stat.S_IMODE(old.stat().st_mode) if change.before is not None else 0o666
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(_octets(self.place, change))
        if change.before is not None:
            part.chmod(mode)

    def put(self, change: FileChange) -> None:
        """The new file in its place; the old name is gone then."""
        target, old = self.place.root / change.path, self.place.root / change.old_path
        if change.after is not None:
            if target not in self.kept:
                self.made.append(target)
            self.parts[target].replace(target)
        if change.before is not None and (change.after is None or target != old):
            old.unlink()

    def take_back(self) -> None:
        """As it was before; goes on where a step fails, so that as much as can be is."""
        for target in self.made:
            with suppress(OSError):
                target.unlink(missing_ok=True)
        for old, copy in self.kept.items():
            with suppress(OSError):
                copy.replace(old)

    def tidy(self) -> None:
        """Nothing of ours stays beside the files; folders that stayed empty go."""
        for path in (*self.parts.values(), *self.kept.values()):
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for folder in reversed(self.folders):
            with suppress(OSError):
                folder.rmdir()

    def _make_folders(self, folder: Path) -> None:
        missing = [each for each in (folder, *folder.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir()
            self.folders.append(each)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f".{path.name}.qwen-{what}-{os.getpid()}")


def _octets(place: Workspace, change: FileChange) -> bytes:
    """With the byte order mark that the file begins with."""
    source = place.source(change.old_path) if change.before is not None else None
    mark = BOM if source is not None and not isinstance(source, Refused) and source.has_bom else ""
    return (mark + (change.after or "")).encode()


def _check_unchanged(place: Workspace, change: FileChange) -> None:
    for path in {change.old_path, change.path}:
        refusal = place.refusal(path)
        if refusal is not None:
            raise NotDone(f"{path}: {refusal}")
    if (change.before is None or change.path != change.old_path) and place.exists(change.path):
        raise StaleDocument(f"{change.path} was made meanwhile")
    if change.before is not None:
        source = place.source(change.old_path)
        if isinstance(source, Refused) or source.text != change.before:
            raise StaleDocument(f"{change.old_path} changed meanwhile")
        locked = place.locked(change.old_path)
        if locked is not None:
            raise NotDone(f"{change.old_path}: {locked}")
