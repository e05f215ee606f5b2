"""The window's ledger over its life: turned to each cursor, told what the index finds there, replaced by a warm one.

On the event loop, and a key waits for nothing: the index is asked when a file is opened and when typing rests, and what
it said then is used. A new base counts once the engine has read it; until then the old one serves. Knows no LSP type.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from qwen_lsp.context.pack import ContextFile, Item
from qwen_lsp.context.rank import shown_path
from qwen_lsp.features.ledger import (
    bare,
    compacted,
    due_at,
    grown,
    is_possible,
    looked_through,
    room_for,
    told,
    turned,
)
from qwen_lsp.lsp.convert import path_of
from qwen_lsp.lsp.retrieval import Retrieval
from qwen_lsp.lsp.status import Spawn
from qwen_lsp.prompt.ledger import Ledger, Tail
from qwen_lsp.prompt.rebase import excerpts
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot

IDLE_S = 0.4  # after a request: who goes on typing has come back by then
SETTLES_KEYS = 3  # typed at a place before a rest there reads more than what was typed: many are only touched
STAYS_KEYS = 16  # typed at a place, two seconds or three, before what stands around it is read
NEAR_CHARS = 400  # from one request to the next at the same place
MOST_FOUND = 64  # files whose last answer is kept


class Prompts:
    """For one window."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        retrieval: Retrieval,
        read: Callable[[Ledger], Awaitable[bool]],
        spawn: Spawn,
    ) -> None:
        """`snapshot`: everything as it is now. `read`: have the engine read a ledger, and say whether it did."""
        self._snapshot = snapshot
        self._retrieval = retrieval
        self._read = read
        self._spawn = spawn
        self._ledger: Ledger | None = None
        self._told: Ledger | None = None  # the same with what was typed here since, read for when the cursor leaves
        self._epoch = 0
        self._is_bare = False  # its base was made without the index
        self._is_switched = False  # another commit is checked out than when it was made
        self._growing = False
        self._last: tuple[str, int] | None = None  # URI and offset of the last request
        self._n_here = 0  # requests at that place, in a row
        self._found: dict[str, tuple[Item, ...]] = {}  # by URI, the last asked for last
        self._resting: asyncio.TimerHandle | None = None

    def reset(self) -> None:
        """Begin anew: what may be shown, or where it goes, has changed."""
        self._epoch += 1
        self._ledger, self._told, self._is_bare, self._is_switched = None, None, False, False
        self._found.clear()

    def opened(self, uri: str) -> None:
        """A file was opened: ask the index before there is a cursor."""
        self._spawn(self._prepare(uri))

    def closed(self, uri: str) -> None:
        """What was found there is not asked for again."""
        self._found.pop(uri, None)

    def index_changed(self) -> None:
        """The index has looked at all files: what was found before may be little."""
        recent = self._snapshot().recent
        if recent and recent[0] not in self._found:
            self._spawn(self._prepare(recent[0]))

    def switched(self) -> None:
        """Another commit is checked out, and the index has it: at rest, what is shown of closed files is looked at."""
        self._found.clear()
        self._is_switched = True
        if self._snapshot().settings.completion_enabled:
            self.changed()

    def came(self, cursor: Cursor, *, wanted: bool) -> None:
        """Somebody asks at the cursor, what is known already included: the next rest looks around here.

        `wanted`: by a key for it, so not only to touch the place.
        """
        self._retrieval.stand_back()
        here = cursor.document.uri, cursor.offset
        if not is_possible(self._at(here[0]), cursor):
            return
        self._n_here = (self._n_here if _is_near(self._last, here) else 0) + (SETTLES_KEYS if wanted else 1)
        self._last = here
        self._later()

    def turn(self, cursor: Cursor) -> Ledger | None:
        """The ledger for a request at the cursor, in the documents as they are now; None where there can be none."""
        snapshot = self._at(cursor.document.uri)
        ledger = self.ahead(snapshot, cursor)
        if ledger is None:
            return None
        if self._ledger is None or ledger.log is not self._ledger.log:
            self._told = None
        self._ledger = ledger
        if not self._growing and due_at(ledger, snapshot, cursor, stays=self._n_here >= STAYS_KEYS):
            self._grow()
        return ledger

    def ahead(self, snapshot: Snapshot, cursor: Cursor) -> Ledger | None:
        """The ledger for a text that is not there yet; the window's own does not hear of it."""
        ledger = bare(self._ledger, snapshot, cursor)
        if self._told is None or self._ledger is None or ledger is None or ledger.log is self._ledger.log:
            return ledger
        return bare(self._told, snapshot, cursor)  # it has something to tell, and most of that is read

    async def shown(self, cursor: Cursor) -> tuple[Ledger | None, tuple[Item, ...] | None]:
        """What a request at the cursor would show, and what the index says there; nothing is kept of it."""
        snapshot = self._at(cursor.document.uri)
        ledger = turned(self._ledger, snapshot, cursor, self._found.get(cursor.document.uri) or ())
        return ledger, await self._retrieval.at(snapshot, cursor, _budget(snapshot))

    def paths(self) -> set[str]:
        """The files that prompts show parts of, as they are called there."""
        of = self._ledger
        entries = (*of.base, *of.log) if of is not None else ()
        shown = {entry.path for entry in entries if isinstance(entry, ContextFile)}
        return shown | {item.symbol.path for items in self._found.values() for item in items}

    def changed(self) -> None:
        """A document was: when all rests, that is told."""
        self._retrieval.stand_back()
        if self._last is not None:
            self._later()

    def rest(self) -> None:
        """Look at nothing more."""
        if self._resting is not None:
            self._resting.cancel()

    async def close(self) -> None:
        await self._retrieval.close()

    # -- at rest -------------------------------------------------------------------------------------------

    def _later(self) -> None:
        self.rest()
        loop = asyncio.get_running_loop()
        self._resting = loop.call_later(IDLE_S, self._look)

    def _look(self) -> None:
        """At the last cursor: show what is lacking there, by the index too."""
        if self._growing:
            return
        lacks_all = self._ledger is None or self._ledger.is_empty or (self._is_bare and bool(self._found))
        if lacks_all or self._is_switched or self._n_here >= SETTLES_KEYS:
            self._grow(rests=True)
        else:
            self._growing = True
            self._spawn(self._touched())

    async def _touched(self) -> None:
        """A place where hardly anything was typed: it is told, and the place is not read."""
        try:
            cursor, old = self._cursor(), self._whole()
            if cursor is not None and old is not None:
                await self._tell(old, self._at(cursor.document.uri))
        finally:
            self._growing = False

    async def _prepare(self, uri: str) -> None:
        """What matters at the top of a file, where nobody has asked yet; and something to begin with."""
        snapshot, epoch = self._at(uri), self._epoch
        looked_through(snapshot)
        document = snapshot.documents.get(uri)
        found = None if document is None else await self._retrieval.at(snapshot, Cursor(document, 0), _budget(snapshot))
        if found is not None and uri not in self._found and epoch == self._epoch:
            self._keep(uri, found)
        if self._ledger is None and not self._growing and self._snapshot().recent[:1] == (uri,):
            self._last = self._last or (uri, 0)
            self._grow()

    def _grow(self, *, rests: bool = False) -> None:
        self._growing = True
        self._spawn(self._grown(rests))

    async def _grown(self, rests: bool) -> None:
        """Swap the ledger for one that shows what it lacks at the last cursor, once the engine has read that."""
        epoch = self._epoch
        try:
            cursor = self._cursor()
            if cursor is None:
                return
            snapshot = self._at(cursor.document.uri)
            found = await self._retrieval.at(snapshot, cursor, _budget(snapshot))
            cursor = self._cursor()  # keys came meanwhile
            if cursor is None or epoch != self._epoch:
                return
            snapshot = self._at(cursor.document.uri)
            if not is_possible(snapshot, cursor):
                return
            if found is not None:
                self._keep(cursor.document.uri, found)
            if not (self._is_switched and await self._followed(snapshot, cursor, found or ())):
                await self._read_more(snapshot, cursor, found, rests=rests)
        finally:
            self._growing = False

    async def _followed(self, snapshot: Snapshot, cursor: Cursor, found: tuple[Item, ...]) -> bool:
        """After a switch: a base without what the disk no longer says. False where all that is shown is true."""
        epoch, old = self._epoch, self._whole()
        shown = {shown_path(uri, snapshot.roots) for uri in snapshot.documents}
        closed = [file for file in excerpts(old) if file.path not in shown] if old is not None else []
        untrue = await self._retrieval.untrue(cursor.document.uri, closed)
        if not untrue:
            self._is_switched = False
            return False
        fresh = compacted(snapshot, cursor, found, old, untrue)
        if await self._read(fresh) and epoch == self._epoch:
            self._ledger, self._told, self._is_switched = fresh, None, False
        return True

    async def _read_more(
        self, snapshot: Snapshot, cursor: Cursor, found: tuple[Item, ...] | None, *, rests: bool
    ) -> None:
        epoch, old = self._epoch, self._whole()
        is_first = old is None or old.is_empty
        more = partial(
            grown, old, snapshot, cursor, found or (), is_bare=self._is_bare, stays=self._n_here >= STAYS_KEYS
        )
        fresh = more()
        if _says_more(old, fresh):
            fresh = more(rests=True) if rests else fresh
            if await self._read(fresh) and epoch == self._epoch:
                self._ledger, self._told = fresh, None
                self._is_bare = found is None and (self._is_bare or is_first)
        elif rests and old is not None:
            await self._tell(old, snapshot)

    async def _tell(self, old: Ledger, snapshot: Snapshot) -> None:
        """Have what was typed here read for when the cursor leaves. Prompts here stay as they are: it stands in their
        tail, which would be read once more behind a longer log."""
        more, before, log = told(old, snapshot), self._told, self._ledger and self._ledger.log
        if more is None or old.tail is None:
            return
        was_read = await self._read(replace(more, tail=replace(old.tail, before="", after="")))
        if was_read and self._told is before and self._ledger is not None and self._ledger.log is log:
            self._told = more

    def _whole(self) -> Ledger | None:
        """The ledger with all that was told of what was typed at its tail."""
        if self._told is None or self._ledger is None:
            return self._ledger
        return replace(self._told, tail=self._ledger.tail)

    def _at(self, uri: str) -> Snapshot:
        """Everything as it is now, with the settings of a document's own root."""
        return self._snapshot().at(path_of(uri))

    def _cursor(self) -> Cursor | None:
        """The last one, in the text as it is now."""
        uri, offset = self._last or ("", 0)
        document = self._snapshot().documents.get(uri)
        return None if document is None else Cursor(document, min(offset, len(document.text)))

    def _keep(self, uri: str, found: tuple[Item, ...]) -> None:
        self._found.pop(uri, None)
        self._found[uri] = found
        if len(self._found) > MOST_FOUND:
            del self._found[next(iter(self._found))]


def _is_near(last: tuple[str, int] | None, here: tuple[str, int]) -> bool:
    return last is not None and last[0] == here[0] and abs(last[1] - here[1]) <= NEAR_CHARS


def _says_more(old: Ledger | None, fresh: Ledger) -> bool:
    """Whether anything changed but the cursor's line: else there is nothing to read ahead."""
    if old is None or old.tail is None or fresh.tail is None:
        return True
    return (old.base, old.log) != (fresh.base, fresh.log) or _begins(old.tail) != _begins(fresh.tail)


def _begins(tail: Tail) -> tuple[str, int, bool]:
    return tail.uri, tail.start, tail.is_brief


def _budget(snapshot: Snapshot) -> int:
    """Of other files, in tokens."""
    room = room_for(snapshot.settings)
    return room.others if room is not None else 0
