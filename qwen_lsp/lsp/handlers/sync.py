"""Opened, changed, closed: the only place where the session's documents change. Asks no model."""

import logging

from lsprotocol import types as t

from qwen_lsp.index.scan import IGNORE_FILES
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.session import Session
from qwen_lsp.text.document import changed, opened

log = logging.getLogger(__name__)


def did_open(session: Session, params: t.DidOpenTextDocumentParams) -> None:
    """A buffer with its whole text; opening again replaces it."""
    item = params.text_document
    session.open(opened(item.uri, str(item.language_id), item.version, item.text))


def did_change(session: Session, params: t.DidChangeTextDocumentParams) -> None:
    """Changes in order. The editor's order of messages is the truth, also where its version numbers go back."""
    uri, version = params.text_document.uri, params.text_document.version
    document = session.document(uri)
    if document is None:
        log.warning("a change of a document that is not open: %s", uri)
        return
    if version <= document.version:
        log.warning("%s went from version %d to %d", uri, document.version, version)
    changes = [convert.change(event) for event in params.content_changes]
    session.put(changed(document, changes, version, session.client.encoding))


def did_save(session: Session, params: t.DidSaveTextDocumentParams) -> None:
    """Open buffers are the truth, saved or not; but a saved file of ignore patterns tells which of them count."""
    uri = params.text_document.uri
    document = session.document(uri)
    if uri.rsplit("/", 1)[-1] in IGNORE_FILES:
        session.spawn(session.judge())
    elif document is not None:
        session.open(document)


def did_close(session: Session, params: t.DidCloseTextDocumentParams) -> None:
    """The buffer is gone."""
    session.drop(params.text_document.uri)
