"""From the open documents to the window's ledger, and a new base warmed before it is needed. No LSP, no HTTP.

The session keeps the ledger; here is only how the next one comes from it. Files that may not be shown are no source.
"""

from collections.abc import Mapping
from contextlib import aclosing

from qwen_lsp.context.pack import pack
from qwen_lsp.context.rank import excluded, rank, shown_around, shown_path
from qwen_lsp.engine.client import Engine, Request
from qwen_lsp.prompt.layouts.fim import base_prompt
from qwen_lsp.prompt.ledger import LOG_TOKENS, TAIL_TOKENS, Ledger, Place, Source, advanced, log_tokens, rebased, worn
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot

# Shares of the prompt, in tokens; that of other files is a setting, completion.context_tokens.
FILE_TOKENS = 2048
MOST_LOG_TOKENS = 2 * LOG_TOKENS  # it goes on growing until a new base is warm, but not for ever
OWN_TOKENS = FILE_TOKENS + MOST_LOG_TOKENS + TAIL_TOKENS  # all but other files


def turned(ledger: Ledger | None, snapshot: Snapshot, cursor: Cursor) -> Ledger | None:
    """The ledger for a request at the cursor, a first one where there is none.

    None where the file may not be shown, and where the user's context is too short for one.
    """
    settings = snapshot.settings
    budget = settings.completion_context_tokens + OWN_TOKENS + settings.completion_max_tokens
    if settings.ctx is not None and settings.ctx < budget:
        return None
    if excluded(cursor.document) is not None:
        return None
    if ledger is not None:
        ledger = advanced(ledger, _sources(snapshot), _place(snapshot, cursor), FILE_TOKENS)
    if ledger is None or log_tokens(ledger) > MOST_LOG_TOKENS:
        ledger = compacted(snapshot, cursor)
    return ledger


def compacted(snapshot: Snapshot, cursor: Cursor) -> Ledger:
    """A ledger with everything as it is now in its base."""
    place, sources = _place(snapshot, cursor), _sources(snapshot)
    context = pack(rank(snapshot, cursor.document.uri), snapshot.settings.completion_context_tokens)
    repository = snapshot.roots[0].name if snapshot.roots else ""
    return advanced(rebased(repository, context, sources, place, FILE_TOKENS), sources, place, FILE_TOKENS)


def worn_at(ledger: Ledger, snapshot: Snapshot, cursor: Cursor) -> str | None:
    """Why a new base is due for requests at the cursor, or None."""
    return worn(ledger, _place(snapshot, cursor))


async def warm(ledger: Ledger, engine: Engine) -> None:
    """Have the engine read the base, after everything else that it has to do. Raises EngineError."""
    request = Request(base_prompt(ledger.repository, ledger.base), 0, "warm-up")
    async with aclosing(engine.generate(request)) as items:
        async for _ in items:
            pass


def _place(snapshot: Snapshot, cursor: Cursor) -> Place:
    before, _ = shown_around(cursor.document, cursor.offset, cursor.offset)
    return Place(_source(snapshot, cursor.document), len(before))


def _sources(snapshot: Snapshot) -> Mapping[str, Source]:
    shown = (document for document in snapshot.documents.values() if excluded(document) is None)
    return {document.uri: _source(snapshot, document) for document in shown}


def _source(snapshot: Snapshot, document: Document) -> Source:
    return Source(document.uri, shown_path(document.uri, snapshot.roots), document.shown)
