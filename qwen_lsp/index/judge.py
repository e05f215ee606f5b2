"""Whether an open buffer may be shown to a model: the scan's rules for its path, and those for bytes for its text.

A file's text on the disk does not matter here, its place does. The folders' ignore files are kept once they are read:
who hears that one has changed makes a new judge. Knows no editor.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwen_lsp.index.repository import defaults, repository_top, settings
from qwen_lsp.index.rules import Skipped, bytes_rule
from qwen_lsp.index.scan import Folder, below_of, judged, opened, parts_below

type Told = tuple[bool, Path]  # what git says of a folder: see `repository.settings`
ASKED_S = 1.0  # an editor waits for it to start; a git that hangs has nothing to say
MOST_FOLDERS = 10_000  # kept; each is a few hundred bytes


def why_buffer(top: Folder | Skipped, parts: Sequence[str], source: bytes) -> Skipped | None:
    """Why the buffer of the file at `parts` below `top` does not count, or None; the file need not be there."""
    folder = top
    for part in parts[:-1]:
        folder = below_of(folder, part) if isinstance(folder, Folder) else folder
    return folder if isinstance(folder, Skipped) else _why_last(folder, parts[-1], source)


def _why_last(folder: Folder, name: str, source: bytes) -> Skipped | None:
    found = judged(folder, name, is_folder=False)
    if found is not None:
        return found
    if os.path.islink(folder.place + os.fsencode(name)):  # noqa: PTH114  (a name that is not UTF-8)
        return Skipped(folder.path + name, "link", "its target counts at its own place")
    rule = bytes_rule(source)
    return None if rule is None else Skipped(folder.path + name, *rule)


@dataclass(slots=True)
class Judge:
    """For one window. Reads names and ignore files at each folder's first buffer: a part of a millisecond.

    `told`: what git said of each root. Of a file outside of all roots its own repository judges; what git would say
    of that one alone is not asked, since that takes a process.
    """

    roots: tuple[Path, ...] = ()
    told: Mapping[Path, Told] = field(default_factory=dict)
    elsewhere: Told = field(default_factory=defaults)
    _folders: dict[Path, Folder | Skipped] = field(default_factory=dict)

    @classmethod
    def asked(cls, roots: Sequence[Path]) -> "Judge":
        """One that has asked git; that takes some milliseconds."""
        real = tuple(Path(os.path.realpath(root)) for root in roots)
        return cls(real, {root: settings(root, ASKED_S) for root in real}, settings(Path(os.sep), ASKED_S))

    def why(self, path: Path, text: str) -> Skipped | None:
        """Why the buffer of this file may not be shown, or None. Of a link its target is judged."""
        place = Path(os.path.realpath(path))
        around = [root for root in self.roots if place.is_relative_to(root) and place != root]
        root = max(around, key=lambda each: len(each.parts), default=None)
        root = root or repository_top(place.parent) or place.parent
        parts = parts_below(root, place)
        if parts is None:
            return Skipped(str(path), "outside", "it names no file")
        folder = self._folder(root, parts[:-1])
        source = text.encode("utf-8", "replace")
        return folder if isinstance(folder, Skipped) else _why_last(folder, parts[-1], source)

    def _folder(self, root: Path, parts: Sequence[str]) -> Folder | Skipped:
        place = root.joinpath(*parts)
        found = self._folders.get(place)
        if found is None:
            if parts:
                around = self._folder(root, parts[:-1])
                found = below_of(around, parts[-1]) if isinstance(around, Folder) else around
            else:
                found = opened(root, self.told.get(root, self.elsewhere))
            if len(self._folders) >= MOST_FOLDERS:
                self._folders.clear()
            self._folders[place] = found
        return found
