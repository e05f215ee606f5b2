"""One root of the workspace as a refactor sees it: texts from open buffers or the disk, and what may not be touched.

The only reading of files in this folder. Jailed: no link is followed, names and ignore rules are asked at each look.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qwen_lsp.context.retrieve import below
from qwen_lsp.features.refactor.jail import refusal, same_name
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.reading import read
from qwen_lsp.index.rules import Skipped, bytes_rule
from qwen_lsp.index.scan import Folder, opened, walk, why
from qwen_lsp.index.snapshot import IndexSnapshot
from qwen_lsp.text.document import Document
from qwen_lsp.text.edits import digest

BOM = "\ufeff"
MAX_WALKED = 5_000  # files that are looked through where there is no index
MAX_LISTED = 200


class Located(Protocol):
    """An index that is open for reading."""

    @property
    def symbols(self) -> IndexSnapshot: ...


type OpenIndex = Callable[[], AbstractContextManager[Located] | None]


def no_index() -> None:
    """There is none."""
    return


@dataclass(frozen=True, slots=True)
class Source:
    """A file's text now: of an open buffer in a version, or of the disk. A byte order mark is not part of it."""

    path: str
    uri: str
    text: str = field(repr=False)
    version: int | None
    language_id: str
    has_bom: bool = False

    @property
    def digest(self) -> str:
        return digest(self.text)


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that may not be read or changed, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """A root, the documents that are open below it by their paths, and its index."""

    root: Path
    documents: Mapping[str, Document]
    index: OpenIndex
    top: Folder | Skipped

    def source(self, path: str) -> Source | Refused:
        """The text of a file that may be shown and changed."""
        reason = self.refusal(path)
        if reason is not None:
            return Refused(path, reason)
        document = self.documents.get(path)
        if document is not None and document.barred:
            return Refused(path, document.barred)
        if document is not None:
            rule = bytes_rule(document.text.encode("utf-8", "replace"))
            if rule is not None:
                return Refused(path, rule[1])
            language_id = document.language_id or _language(path, document.text)
            return Source(path, document.uri, document.text, document.version, language_id)
        found = read(os.fsencode(os.path.realpath(self.root)) + b"/", path)
        if isinstance(found, Skipped):
            return Refused(path, found.rule)
        text = found[0].decode()
        has_bom = text.startswith(BOM)
        text = text.removeprefix(BOM)
        return Source(path, self.uri(path), text, None, _language(path, text), has_bom)

    def refusal(self, path: str) -> str | None:
        """Why this file may not be touched, whether it is there or not; None if it may."""
        reason = refusal(path)
        if reason is not None:
            return reason
        if isinstance(self.top, Skipped):
            return self.top.rule
        skipped = why(self.root, self.root / path, self.top)
        return None if skipped is None or skipped.reason == "data" else f"{skipped.reason}: {skipped.rule}"

    def exists(self, path: str) -> bool:
        """Whether something is there by that name."""
        return path in self.documents or os.path.lexists(self.root / path)

    def locked(self, path: str) -> str | None:
        """Why a file that is there may be read and not changed. Who may write all asks for what the user has set."""
        try:
            mode = (self.root / path).lstat().st_mode
        except OSError:
            return None
        return None if mode & 0o222 else "it is read-only"

    def twin(self, path: str) -> str:
        """What is there already and is the same name to systems that do not tell them apart; empty: nothing."""
        at = ""
        for part in path.split("/"):
            names = _names(self.root / at)
            if part not in names:
                return next((at + name for name in sorted(names) if same_name(name) == same_name(part)), "")
            at += f"{part}/"
        return ""

    def path_of(self, document: Document) -> str:
        """Where an open document lies; empty outside of the root."""
        return next((path for path, each in self.documents.items() if each.uri == document.uri), "")

    def uri(self, path: str) -> str:
        document = self.documents.get(path)
        return document.uri if document is not None else (self.root / path).as_uri()

    def listed(self, folder: str) -> tuple[str, ...]:
        """The names in a folder that may be shown; folders end in a slash."""
        place = self.root / folder
        try:
            with os.scandir(place) as entries:
                found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
        except OSError:
            return ()
        lead = f"{folder.strip('/')}/" if folder.strip("/") else ""
        names = [(f"{lead}{name}", is_folder) for name, is_folder in found[: 4 * MAX_LISTED]]
        shown = [f"{path}/" if is_folder else path for path, is_folder in names if self.refusal(path) is None]
        return tuple(shown[:MAX_LISTED])

    def walked(self) -> Iterable[str]:
        """Paths of files that count, where no index knows them."""
        if isinstance(self.top, Skipped):
            return
        for entry in walk(self.top, MAX_WALKED):
            if not isinstance(entry, Skipped):
                yield entry.path


def workspace(root: Path, documents: Mapping[str, Document], index: OpenIndex = no_index) -> Workspace:
    """The root as it is now. Runs git for its settings: not on the event loop."""
    found: dict[str, Document] = {}
    for document in documents.values():
        path = below(root, document.uri)
        if path is not None:
            found[path] = document
    return Workspace(root, found, index, opened(root))


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return frozenset()


def _language(path: str, text: str) -> str:
    language = language_of(path, text[: text.find("\n") + 1])
    return language.name if language is not None else "plaintext"
