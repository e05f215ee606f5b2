"""One suggestion for one place, or a reason: what inline completion and completion items have in common.

Takes the snapshot before the first await; what comes back is rebased onto the text of then, or dropped. Knows no
prompt and no engine beyond handing them on.
"""

from lsprotocol import types as t

from qwen_lsp.errors import EngineSuperseded, QwenError
from qwen_lsp.features.complete import Completion, Nothing
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.convert import Suggestion
from qwen_lsp.lsp.flight import Superseded, after
from qwen_lsp.lsp.session import Session
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.edits import typed_since


async def suggest(
    session: Session, feature: str, params: t.InlineCompletionParams | t.CompletionParams, delay_s: float
) -> Suggestion | None:
    """What could stand at the position; None with a reason in the status."""
    snapshot, uri = session.snapshot(), params.text_document.uri
    document = snapshot.documents.get(uri)
    if document is None:
        session.status.nothing(feature, uri, "the editor has not opened this file with us")
        return None
    cursor = Cursor(document, convert.offset(document, params.position, session.client.encoding))
    known = session.recent.at(cursor)
    if known is not None:
        session.flight.cancel((feature, uri))
        session.editor.trace(f"{feature} {uri} version {document.version}, known", known.usage)
        return _rebased(session, feature, cursor, known)
    engine, complete, ledger = session.engine, session.features.complete, session.turn_ledger(cursor)
    try:
        found = await session.flight.run(
            (feature, uri), lambda: after(delay_s, lambda: complete(snapshot, cursor, engine, ledger, feature))
        )
    except EngineSuperseded:
        found = Superseded()
    except QwenError as error:
        session.status.failed(feature, uri, error)
        return None
    if isinstance(found, Superseded):
        session.status.nothing(feature, uri, "a newer request took its place", shown=False)
        return None
    if isinstance(found, Nothing):
        session.status.nothing(feature, uri, found.reason, found.usage)
        return None
    session.recent.keep(cursor, found)
    session.editor.trace(f"{feature} {uri} version {document.version}", found.usage)
    return _rebased(session, feature, cursor, found)


def _rebased(session: Session, feature: str, cursor: Cursor, found: Completion) -> Suggestion | None:
    """The suggestion in the document as it is now."""
    now = session.document(cursor.document.uri)
    typed = typed_through(cursor, found, now)
    if now is None or typed is None:
        session.status.nothing(feature, cursor.document.uri, "the text changed meanwhile", found.usage, shown=False)
        return None
    offset = cursor.offset + len(typed)
    offer = session.status.offered(feature, now.uri, found.usage)
    return Suggestion(offer, now, offset, found.text, found.start, found.end + len(typed))


def typed_through(cursor: Cursor, found: Completion, now: Document | None) -> str | None:
    """What was typed since, if that is how the suggestion begins; then it still holds."""
    if now is None:
        return None
    if now is cursor.document:
        return ""
    typed = typed_since(cursor, now)
    before = cursor.document.text[found.start : cursor.offset]
    if typed is None or (typed and not found.text.startswith(before + typed)) or before + typed == found.text:
        return None
    return typed
