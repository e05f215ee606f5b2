"""From open documents and what the index found to the window's ledger, warmed before it is needed. No LSP, no HTTP.

The session keeps the ledger; here is only how the next one comes from it. Files that may not be shown are no source.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing

from qwen_lsp.context.pack import ContextFile, Item, estimate, files_of, pack
from qwen_lsp.context.rank import excluded, rank, shown_around, shown_path
from qwen_lsp.engine.client import Engine, Request
from qwen_lsp.prompt.layouts.named import base_prompt
from qwen_lsp.prompt.ledger import (
    LOG_SHARE,
    LOG_TOKENS,
    TAIL_TOKENS,
    Ledger,
    Place,
    Source,
    advanced,
    log_tokens,
    most_log_tokens,
    rebased,
    shows,
    worn,
)
from qwen_lsp.settings import Layout, Settings
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot

# Shares of the prompt, in tokens; that of other files is a setting, completion.context_tokens.
FILE_TOKENS = 2048
NOTED_TOKENS = 256  # put into the log at once, of what the index finds at a new place
NOTED_SCORE = 1.0  # its name stands alone in the repository, and within a dozen lines
LOG_GROWTH = 2  # it goes on growing until a new base is warm, but not for ever


def turned(ledger: Ledger | None, snapshot: Snapshot, cursor: Cursor, found: Sequence[Item] = ()) -> Ledger | None:
    """The ledger for a request at the cursor, a first one where there is none. `found`: as in `compacted`.

    None where the file may not be shown, and where the user's context is too short for one.
    """
    settings = snapshot.settings
    if settings.ctx is not None and settings.ctx < budget_tokens(settings):
        return None
    if excluded(cursor.document) is not None:
        return None
    if ledger is not None:
        ledger = advanced(ledger, _sources(snapshot), _place(snapshot, cursor), FILE_TOKENS)
    if ledger is None or log_tokens(ledger) > LOG_GROWTH * most_log_tokens(ledger):
        ledger = compacted(snapshot, cursor, found)
    return ledger


def budget_tokens(settings: Settings) -> int:
    """How long a prompt and its answer may become."""
    base = settings.completion_context_tokens + FILE_TOKENS
    return base + LOG_GROWTH * max(LOG_TOKENS, base // LOG_SHARE) + TAIL_TOKENS + settings.completion_max_tokens


def compacted(snapshot: Snapshot, cursor: Cursor, found: Sequence[Item] = ()) -> Ledger:
    """A ledger with everything as it is now in its base.

    `found`: what the index says matters around here; open files take the room that it leaves, all of it without.
    """
    place, sources = _place(snapshot, cursor), _sources(snapshot)
    files = files_of(_still_there(found, sources))
    shown = {file.path for file in files}
    left = snapshot.settings.completion_context_tokens - sum(
        estimate(file.path) + estimate(file.text) for file in files
    )
    others = (candidate for candidate in rank(snapshot, cursor.document.uri) if candidate.path not in shown)
    context = (*files, *pack(others, left))
    repository = snapshot.roots[0].name if snapshot.roots else ""
    return advanced(rebased(repository, context, sources, place, FILE_TOKENS), sources, place, FILE_TOKENS)


def lacking(ledger: Ledger, found: Iterable[Item]) -> tuple[ContextFile, ...]:
    """What matters most at a cursor and neither base nor log shows, within the budget for that."""
    left = NOTED_TOKENS
    taken: list[Item] = []
    for item in sorted(found, key=lambda item: (-item.score, item.symbol.path, item.symbol.number)):
        if item.score < NOTED_SCORE or item.n_tokens > left:
            break
        if not shows(ledger, item.symbol.path, item.symbol.definition.name):
            taken.append(item)
            left -= item.n_tokens
    return files_of(sorted(taken, key=lambda item: (item.symbol.path, item.symbol.number)))


def _still_there(found: Iterable[Item], sources: Mapping[str, Source]) -> Iterator[Item]:
    """What was found a while ago, without what open files no longer have."""
    texts = {source.path: source.text for source in sources.values()}
    for item in found:
        text = texts.get(item.symbol.path)
        if text is None or (item.text.rstrip() if item.is_whole else item.symbol.definition.name) in text:
            yield item


def worn_at(ledger: Ledger, snapshot: Snapshot, cursor: Cursor) -> str | None:
    """Why a new base is due for requests at the cursor, or None."""
    return worn(ledger, _place(snapshot, cursor))


async def warm(ledger: Ledger, engine: Engine, layout: Layout = "joint") -> None:
    """Have the engine read base and log, after everything else that it has to do. Raises EngineError."""
    request = Request(base_prompt(layout, ledger.repository, ledger.base, ledger.log), 0, "warm-up")
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
