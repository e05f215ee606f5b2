"""An editor's buffers, in JSON as on the wire: applies edits in the negotiated encoding and refuses stale ones.

Counts positions with the slow model, so that it shares no code with what it checks.
"""

from dataclasses import dataclass, field
from typing import Any

from qwen_lsp.text.lines import Encoding
from tests.qwen_lsp.text.slow_model import SlowBuffer


class Refused(Exception):
    """The edit does not fit the buffers; none of them was touched."""


@dataclass
class FakeEditor:
    """Open buffers with versions."""

    encoding: Encoding
    buffers: dict[str, SlowBuffer] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    def open(self, uri: str, text: str, language_id: str = "python") -> dict[str, Any]:
        """The parameters of didOpen."""
        self.buffers[uri] = SlowBuffer(text, self.encoding)
        self.versions[uri] = 1
        return {"textDocument": {"uri": uri, "languageId": language_id, "version": 1, "text": text}}

    def text(self, uri: str) -> str:
        return self.buffers[uri].text

    def position(self, uri: str, offset: int) -> dict[str, int]:
        """A caret place as the wire has it."""
        where = {place: (line, column) for place, line, column in self.buffers[uri].positions()}
        line, column = where[offset]
        return {"line": line, "character": column}

    def type(self, uri: str, offset: int, text: str, n_replaced: int = 0) -> dict[str, Any]:
        """Type at an offset; the parameters of didChange."""
        start, end = self.position(uri, offset), self.position(uri, offset + n_replaced)
        buffer = self.buffers[uri]
        buffer.text = buffer.text[:offset] + text + buffer.text[offset + n_replaced :]
        return self._did_change(uri, [{"range": {"start": start, "end": end}, "text": text}])

    def accept(self, uri: str, text_range: dict[str, Any], text: str) -> dict[str, Any]:
        """Put a suggestion into the buffer; the parameters of didChange."""
        self.buffers[uri].text = self._replaced(uri, [{"range": text_range, "newText": text}])
        return self._did_change(uri, [{"range": text_range, "text": text}])

    def apply(self, edit: dict[str, Any]) -> list[dict[str, Any]]:
        """Apply a WorkspaceEdit, all or nothing; the parameters of the didChange messages that follow."""
        by_uri: dict[str, list[dict[str, Any]]] = dict(edit.get("changes") or {})
        for part in edit.get("documentChanges") or []:
            uri, version = part["textDocument"]["uri"], part["textDocument"]["version"]
            if version is not None and version != self.versions.get(uri):
                raise Refused(f"{uri} is at {self.versions.get(uri)}, not at {version}")
            by_uri[uri] = part["edits"]
        after = {uri: self._replaced(uri, edits) for uri, edits in by_uri.items()}
        messages = []
        for uri, text in after.items():
            self.buffers[uri].text = text
            messages.append(self._did_change(uri, [{"text": text}]))
        return messages

    def _replaced(self, uri: str, edits: list[dict[str, Any]]) -> str:
        if uri not in self.buffers:
            raise Refused(f"{uri} is not open")
        buffer = self.buffers[uri]
        where = {(line, column): place for place, line, column in buffer.positions()}
        spans = []
        for edit in edits:
            ends = [(edit["range"][side]["line"], edit["range"][side]["character"]) for side in ("start", "end")]
            if ends[0] not in where or ends[1] not in where:
                raise Refused(f"no caret can stand at {ends}")
            spans.append((where[ends[0]], where[ends[1]], edit["newText"]))
        text = buffer.text
        for start, end, new in sorted(spans, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def _did_change(self, uri: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
        self.versions[uri] += 1
        return {"textDocument": {"uri": uri, "version": self.versions[uri]}, "contentChanges": changes}
