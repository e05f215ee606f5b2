"""From open documents and what the index found to the window's ledger, warmed before it is needed. No LSP, no HTTP.

The session keeps the ledger; here is only how the next one comes from it. Files that may not be shown are no source.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from qwen_lsp.context.pack import ContextFile, Item, files_of, pack
from qwen_lsp.context.rank import excluded, rank, shown_around, shown_path
from qwen_lsp.engine.client import Engine, Request
from qwen_lsp.prompt.heal import HEAL_TOKENS
from qwen_lsp.prompt.layouts.fim import Hole
from qwen_lsp.prompt.layouts.named import question
from qwen_lsp.prompt.ledger import (
    LOG_SHARE,
    LOG_TOKENS,
    Ledger,
    Place,
    Source,
    advanced,
    appended,
    based,
    cost,
    covers,
    due,
    excerpt,
    most_hunk_tokens,
    settled,
)
from qwen_lsp.prompt.rebase import as_shown, behind, excerpts, kept
from qwen_lsp.prompt.rebase import front as in_front
from qwen_lsp.prompt.segments import up_to
from qwen_lsp.prompt.tail import TAIL_TOKENS, is_worn
from qwen_lsp.settings import Layout, Settings
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot

# Shares of the prompt, in tokens; that of other files is a setting, completion.context_tokens.
FILE_TOKENS = 2048
MORE_TOKENS = 1024  # of a file around a second place that the cursor comes to
NOTED_TOKENS = 256  # put into the log at once, of what the index finds at a new place
NOTED_SCORE = 1.0  # its name stands alone in the repository, and within a dozen lines
SHOWN_GROWTH = 2  # excerpts may be appended until there is so many times what a new base would have
TOLD_TOKENS = 16  # of what was typed, are told in a quiet moment; fewer wait for the cursor to leave
LOG_GROWTH = 4  # hunks go on growing until a new base is warm, but not for ever


def turned(ledger: Ledger | None, snapshot: Snapshot, cursor: Cursor, found: Sequence[Item] = ()) -> Ledger | None:
    """The ledger for a request at the cursor, a first one where there is none. `found`: as in `compacted`.

    None where the file may not be shown, and where the user's context is too short for one.
    """
    if not is_possible(snapshot, cursor):
        return None
    if ledger is None:
        return compacted(snapshot, cursor, found)
    return advanced(ledger, _sources(snapshot), _place(snapshot, cursor))


def bare(ledger: Ledger | None, snapshot: Snapshot, cursor: Cursor) -> Ledger | None:
    """As `turned`, for a key that waits for nothing: what is not read yet, or has grown for ever, is left out."""
    room = room_for(snapshot.settings)
    if room is None or not is_possible(snapshot, cursor):
        return None
    empty, sources, place = Ledger(_repository(snapshot)), _sources(snapshot), _place(snapshot, cursor)
    if ledger is not None and ledger.n_hunks <= LOG_GROWTH * most_hunk_tokens(ledger):
        fresh = advanced(ledger, sources, place, is_brief=True)
        if fresh.n_hunks <= room.hunks:
            return fresh
    return advanced(empty, sources, place, is_brief=True)


def is_possible(snapshot: Snapshot, cursor: Cursor) -> bool:
    """Whether there can be a ledger at the cursor."""
    return room_for(snapshot.settings) is not None and excluded(cursor.document) is None


@dataclass(frozen=True, slots=True)
class Room:
    """What a prompt may hold, in tokens: of `others` than the file at the cursor; all that is `shown`; `hunks`."""

    others: int
    shown: int
    hunks: int


def room_for(settings: Settings) -> Room | None:
    """All that is wanted, or what the user's context has room for; None where that is not even a file and its log."""
    wanted = _wanted(settings)
    if settings.ctx is None or settings.ctx >= budget_tokens(settings):
        return wanted
    left = settings.ctx - _ends(settings) - LOG_TOKENS
    if left < FILE_TOKENS:
        return None
    base = min(wanted.others + FILE_TOKENS, left)
    shown = min(wanted.shown, base + (left - base) // 2)
    return Room(base - FILE_TOKENS, shown, LOG_TOKENS + left - shown)


def shortage(settings: Settings) -> str | None:
    """What a person is told where the context is too short for what the settings ask for."""
    room = room_for(settings)
    if room is None:
        return f"ctx = {settings.ctx} is too short: prompts hold only what stands around the cursor"
    if room.others < settings.completion_context_tokens:
        asked = f"completion.context_tokens: {settings.completion_context_tokens}"
        return f"ctx = {settings.ctx} has room for {room.others} tokens of other files ({asked})"
    return None


def budget_tokens(settings: Settings) -> int:
    """How long a prompt and its answer may become."""
    wanted = _wanted(settings)
    return wanted.shown + wanted.hunks + _ends(settings)


def _wanted(settings: Settings) -> Room:
    """Without a look at the user's context."""
    shown = SHOWN_GROWTH * (settings.completion_context_tokens + FILE_TOKENS)
    return Room(settings.completion_context_tokens, shown, LOG_GROWTH * max(LOG_TOKENS, shown // LOG_SHARE))


def _ends(settings: Settings) -> int:
    """The tail and the answer."""
    return TAIL_TOKENS + settings.completion_max_tokens + HEAL_TOKENS


def compacted(
    snapshot: Snapshot,
    cursor: Cursor,
    found: Iterable[Item] = (),
    old: Ledger | None = None,
    untrue: Collection[str] = (),
) -> Ledger:
    """A ledger with a new base, that keeps what it can of the old one's, but no excerpt of an `untrue` path.

    `found`: what the index says matters around here; open files take the room that it leaves, all of it without.
    """
    place, sources = _place(snapshot, cursor), _sources(snapshot)
    budget = room_for(snapshot.settings)
    assert budget is not None  # whoever asks has looked
    room, most = budget.others, min(budget.others + FILE_TOKENS, budget.shown - FILE_TOKENS)
    wanted = tuple(_still_there(found, sources))
    front: tuple[ContextFile, ...] = ()
    if old is not None:
        front = kept(old, sources, most, lambda file: file.path not in untrue)
        if _others(front, place) + sum(item.n_tokens for item in _unseen(front, wanted)) > room:
            paths = {item.symbol.path for item in wanted} | {source.path for source in sources.values()}
            paths -= set(untrue)
            front = kept(old, sources, most, lambda file: file.path in paths)
    old = old or Ledger(_repository(snapshot))
    files = files_of(_unseen(front, wanted))
    paths = {file.path for file in (*front, *files)}
    others = (each for each in rank(snapshot, place.source.uri) if each.path not in paths)
    files += pack(others, room - _others((*front, *files), place))
    shown = (*front, *behind(old, files, sources))
    hidden = {file: old.hidden[file] for file in front if file in old.hidden}
    fresh = settled(based(_repository(snapshot), shown, as_shown(old, front, sources), hidden), sources)
    if not covers(fresh, place):
        here, ends = excerpt(place, FILE_TOKENS)
        fresh = appended(fresh, (here,), sources, {here: ends})
    if fresh.n_shown > budget.shown and front:  # what was kept of this file is no longer where the cursor is
        return compacted(snapshot, cursor, wanted)
    if len(front := in_front(fresh)) == len(shown) + len(fresh.log):
        fresh = replace(fresh, base=front, log=())
    return advanced(fresh, sources, place)


def grown(
    ledger: Ledger | None,
    snapshot: Snapshot,
    cursor: Cursor,
    found: Sequence[Item] = (),
    *,
    is_bare: bool = False,
    rests: bool = False,
    stays: bool = True,
) -> Ledger:
    """The ledger with what it lacks at the cursor appended; with a new base where there is none, or it is worn.

    `is_bare`: the index has not been heard yet, so all that it found is put in. `rests`: nobody types, so what was
    typed here is told now; the first key at another place, which would have to tell it, waits for its answer. `stays`:
    so much was typed at this place that its surroundings are worth reading.
    """
    place, sources = _place(snapshot, cursor), _sources(snapshot)
    if rests and ledger is not None and (more := told(ledger, snapshot)) is not None:
        ledger = replace(more, tail=ledger.tail)
    if ledger is None or ledger.is_empty or ledger.n_hunks > most_hunk_tokens(ledger):
        return compacted(snapshot, cursor, found, ledger)
    budget = room_for(snapshot.settings)
    files = lacking(ledger, found) if not is_bare else files_of(_unseen(excerpts(ledger), found))
    hidden = {}
    if stays and not covers(ledger, place):
        ledger = settled(ledger, sources)
        here, ends = excerpt(place, MORE_TOKENS if place.source.uri in ledger.known else FILE_TOKENS)
        files, hidden = (*files, here), {here: ends}
    if budget is None or ledger.n_shown + sum(map(cost, files)) > budget.shown:
        return compacted(snapshot, cursor, found, ledger)
    if ledger.tail is not None and is_worn(ledger.tail):
        ledger = replace(ledger, tail=None)
    return advanced(appended(ledger, files, sources, hidden) if files else ledger, sources, place)


def told(ledger: Ledger, snapshot: Snapshot) -> Ledger | None:
    """The ledger with what was typed and pasted since, and no tail; None where that is too little to be told yet."""
    if ledger.is_empty:
        return None
    found = settled(ledger, _sources(snapshot))
    return found if found.n_hunks - ledger.n_hunks >= TOLD_TOKENS else None


def lacking(ledger: Ledger, found: Iterable[Item], n_tokens: int = NOTED_TOKENS) -> tuple[ContextFile, ...]:
    """What matters most at a cursor and neither base nor log shows, within the budget for that."""
    left = n_tokens
    taken: list[Item] = []
    unseen = _unseen(excerpts(ledger), found)
    for item in sorted(unseen, key=lambda item: (-item.score, item.symbol.path, item.symbol.number)):
        if item.score < NOTED_SCORE or item.n_tokens > left:
            break
        taken.append(item)
        left -= item.n_tokens
    return files_of(sorted(taken, key=lambda item: (item.symbol.path, item.symbol.number)))


def _unseen(files: Iterable[ContextFile], items: Iterable[Item]) -> list[Item]:
    """The items that none of these files shows, by their first lines: a changed signature is shown anew."""
    texts: dict[str, str] = {}
    for file in files:
        texts[file.path] = texts.get(file.path, "") + file.text
    return [item for item in items if item.text.partition("\n")[0].strip() not in texts.get(item.symbol.path, "")]


def _others(files: Iterable[ContextFile], place: Place) -> int:
    """What files beside the cursor's take, in tokens."""
    return sum(cost(file) for file in files if file.path != place.source.path)


def _still_there(found: Iterable[Item], sources: Mapping[str, Source]) -> Iterator[Item]:
    """What was found a while ago, without what open files no longer have."""
    texts = {source.path: source.text for source in sources.values()}
    for item in found:
        text = texts.get(item.symbol.path)
        if text is None or (item.text.rstrip() if item.is_whole else item.symbol.definition.name) in text:
            yield item


def due_at(ledger: Ledger, snapshot: Snapshot, cursor: Cursor, *, stays: bool) -> str | None:
    """Why the ledger should grow, or have a new base, for requests at the cursor, which `stays` there; or None."""
    return due(ledger, _place(snapshot, cursor), stays=stays)


async def warm(ledger: Ledger, engine: Engine, layout: Layout = "joint") -> None:
    """Have the engine read all of it, after everything else that it has to do. Raises EngineError.

    Of a tail that shows nothing it reads no frame, either: what was told is read for another place.
    """
    prompt = question(layout, hole_of(ledger)).prompt
    last, tail = ledger.log[-1] if ledger.log else None, ledger.tail
    if isinstance(last, str) and tail is not None and not tail.before + tail.after and not prompt.turns:
        prompt = up_to(prompt, last)
    request = Request(prompt, 0, "warm-up")
    async with aclosing(engine.generate(request)) as items:
        async for _ in items:
            pass


def hole_of(ledger: Ledger) -> Hole:
    """What a layout renders."""
    tail = ledger.tail
    assert tail is not None
    return Hole(tail.path, tail.before, tail.after, ledger.repository, ledger.base, ledger.log)


def _repository(snapshot: Snapshot) -> str:
    return snapshot.roots[0].name if snapshot.roots else ""


def _place(snapshot: Snapshot, cursor: Cursor) -> Place:
    source = _source(snapshot, cursor.document)
    if len(source.text) == len(cursor.document.text):  # no CRLF: offsets are the same
        return Place(source, cursor.offset)
    before, _ = shown_around(cursor.document, cursor.offset, cursor.offset)
    return Place(source, len(before))


def looked_through(snapshot: Snapshot) -> None:
    """What may be shown of open files is worked out before a key waits for it: credentials take long to look for."""
    _sources(snapshot)


def _sources(snapshot: Snapshot) -> Mapping[str, Source]:
    shown = (document for document in snapshot.documents.values() if excluded(document) is None)
    return {document.uri: _source(snapshot, document) for document in shown}


def _source(snapshot: Snapshot, document: Document) -> Source:
    return Source(document.uri, shown_path(document.uri, snapshot.roots), document.shown)
