"""What a tool calls a file -> its path below the root. Knows the workspace's paths as text, and no disk."""

import posixpath
from collections.abc import Iterable
from pathlib import PurePosixPath


class Places:
    """The files of a workspace, under all names that a tool may have for them.

    `roots` are the absolute folders at which it can be seen; `folder` is where the command ran, below the root.
    """

    __slots__ = ("_by_name", "_files", "_folder", "_roots")

    def __init__(self, files: Iterable[str], roots: Iterable[str] = (), folder: str = "") -> None:
        self._files = frozenset(files)
        self._roots = tuple(sorted((root.rstrip("/") + "/" for root in roots), key=len, reverse=True))
        self._folder = folder.strip("/")
        self._by_name: dict[str, list[str]] = {}
        for file in self._files:
            self._by_name.setdefault(PurePosixPath(file).name, []).append(file)

    def of(self, name: str) -> str | None:
        """The path of the file that a tool calls `name`; None: no file of the workspace, or not certain which."""
        name = name.strip().removeprefix("file://").replace("\\", "/")
        if not name or len(name) > 1_000 or "\0" in name:
            return None
        for root in self._roots:
            if name.startswith(root):
                return self._known(name.removeprefix(root))
        if name.startswith("/"):
            return None
        here = self._known(posixpath.join(self._folder, name)) or self._known(name)
        return here or self._only(name)

    def _known(self, path: str) -> str | None:
        path = posixpath.normpath(path)
        return path if path in self._files else None

    def _only(self, name: str) -> str | None:
        """The one file whose path ends so: `go test` names files below the package's folder."""
        name = posixpath.normpath(name)
        fitting = [file for file in self._by_name.get(PurePosixPath(name).name, ()) if f"/{file}".endswith(f"/{name}")]
        return fitting[0] if len(fitting) == 1 else None
