"""The text as it would be if a suggestion were accepted, and what is asked then. Pure.

What is made for it is shown only once that text is there: a suggestion is kept with the text around its place.
"""

from dataclasses import replace
from types import MappingProxyType

from qwen_lsp.features.complete import Completion
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot


def after(snapshot: Snapshot, cursor: Cursor, found: Completion) -> tuple[Snapshot, Cursor]:
    """The snapshot with `found` in its document, and the cursor behind it."""
    old = cursor.document
    lines = old.lines.spliced(found.start, found.end, found.text)
    document = Document(old.uri, old.language_id, old.version, lines.text, lines, old.barred, (old.text, old.masked))
    documents = MappingProxyType({**snapshot.documents, old.uri: document})
    return replace(snapshot, documents=documents), Cursor(document, found.start + len(found.text))
