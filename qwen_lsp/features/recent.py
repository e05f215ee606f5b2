"""The last suggestions: typing along one, or back into it, asks no model. Pure but for the list it keeps."""

from collections import deque

from qwen_lsp.engine.client import Usage
from qwen_lsp.features.complete import Completion
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.edits import typed_since

MAX_RECENT = 8  # each holds its document's text
NO_USAGE = Usage(0, 0, 0, 0, 0.0)


class Recent:
    """Suggestions and where they were made, the newest last."""

    def __init__(self) -> None:
        self._made: deque[tuple[Cursor, Completion]] = deque(maxlen=MAX_RECENT)

    def keep(self, cursor: Cursor, found: Completion) -> None:
        """`found` was suggested at the cursor."""
        self._made.append((cursor, found))

    def at(self, cursor: Cursor) -> Completion | None:
        """What is left of a suggestion whose beginning is all that was typed since; none that depends on more."""
        for made_at, found in reversed(self._made):
            if made_at.document.uri != cursor.document.uri:
                continue
            typed = typed_since(made_at, cursor.document)
            if typed is None or made_at.offset + len(typed) != cursor.offset:
                continue
            if found.start == found.end == made_at.offset and found.text.startswith(typed) and found.text != typed:
                return Completion(found.text[len(typed) :], cursor.offset, cursor.offset, NO_USAGE)
        return None
