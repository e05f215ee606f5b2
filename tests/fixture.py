"""One string is a workspace: `//- path` begins a file, `$0` is the cursor, `$1` and `$2` enclose a selection.

    check("def add(a, b):\\n    return $0")
    check("//- a.py\\nx = 1\\n//- b.py\\nprint($0)")

The first file, or the one with a cursor, is the most recent one.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot

ROOT = Path("/w")
LANGUAGES = {
    "py": "python",
    "rs": "rust",
    "go": "go",
    "ts": "typescript",
    "js": "javascript",
    "c": "c",
    "md": "markdown",
}
_FILE = re.compile(r"^//- (\S+)\n", re.MULTILINE)
_MARK = re.compile(r"\$([012])")


@dataclass(frozen=True, slots=True)
class Fixture:
    """A workspace with marks taken out of the texts. `marks` are offsets into the cursor's document."""

    snapshot: Snapshot
    cursor: Cursor
    marks: MappingProxyType[int, int]


def uri_of(path: str) -> str:
    return (ROOT / path).as_uri()


def fixture(text: str, settings: Settings | None = None, path: str = "main.py", version: int = 1) -> Fixture:
    """The workspace that `text` describes."""
    parts = _FILE.split(text)
    files = dict(zip(parts[1::2], parts[2::2], strict=True)) if len(parts) > 1 else {path: text}
    documents: dict[str, Document] = {}
    at: tuple[str, dict[int, int]] = ("", {})
    for name, marked in files.items():
        clean, marks = _take_marks(marked)
        uri = uri_of(name)
        documents[uri] = Document(uri, LANGUAGES.get(name.rpartition(".")[2], "plaintext"), version, clean)
        if not at[0] or marks:
            at = (uri, marks)
    recent = (at[0], *(uri for uri in documents if uri != at[0]))
    snapshot = Snapshot(MappingProxyType(documents), recent, (ROOT,), settings or Settings())
    cursor = Cursor(documents[at[0]], at[1].get(0, len(documents[at[0]].text)))
    return Fixture(snapshot, cursor, MappingProxyType(at[1]))


def _take_marks(text: str) -> tuple[str, dict[int, int]]:
    marks: dict[int, int] = {}
    clean = ""
    done = 0
    for mark in _MARK.finditer(text):
        clean += text[done : mark.start()]
        marks[int(mark.group(1))] = len(clean)
        done = mark.end()
    return clean + text[done:], marks
