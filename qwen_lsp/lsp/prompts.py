"""The window's ledger over its life: turned to each cursor, told what the index finds there, replaced by a warm one.

On the event loop, and a key waits for nothing: the index is asked when a file is opened and when typing rests, and what
it said then is used. A new base counts once the engine has read it; until then the old one serves. Knows no LSP type.
"""

import asyncio
from collections.abc import Awaitable, Callable

from qwen_lsp.context.pack import Item
from qwen_lsp.features.ledger import compacted, lacking, turned, worn_at
from qwen_lsp.lsp.retrieval import Retrieval
from qwen_lsp.lsp.status import Spawn
from qwen_lsp.prompt.ledger import Ledger, noted
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot

IDLE_S = 0.4  # after a request: who goes on typing has come back by then
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
        self._epoch = 0
        self._is_bare = False  # its base was made without the index
        self._compacting = False
        self._found: dict[str, tuple[Item, ...]] = {}  # by URI, the last asked for last
        self._resting: asyncio.TimerHandle | None = None

    def reset(self) -> None:
        """Begin anew: what may be shown, or where it goes, has changed."""
        self._epoch += 1
        self._ledger = None
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

    def turn(self, cursor: Cursor) -> Ledger | None:
        """The ledger for a request at the cursor, in the documents as they are now; None where there can be none."""
        snapshot = self._snapshot()
        found = self._found.get(cursor.document.uri)
        ledger = turned(self._ledger, snapshot, cursor, found or ())
        if ledger is None:
            return None
        if self._ledger is None or ledger.base is not self._ledger.base:
            self._is_bare = found is None
        self._ledger = ledger
        if not self._compacting and worn_at(ledger, snapshot, cursor):
            self._compact(snapshot, cursor)
        self._later(cursor)
        return ledger

    def ahead(self, snapshot: Snapshot, cursor: Cursor) -> Ledger | None:
        """The ledger for a text that is not there yet; the window's own does not hear of it."""
        return turned(self._ledger, snapshot, cursor, self._found.get(cursor.document.uri) or ())

    async def shown(self, cursor: Cursor) -> tuple[Ledger | None, tuple[Item, ...] | None]:
        """What a request at the cursor would show, and what the index says there; nothing is kept of it."""
        snapshot = self._snapshot()
        ledger = turned(self._ledger, snapshot, cursor, self._found.get(cursor.document.uri) or ())
        return ledger, await self._retrieval.at(snapshot, cursor, _budget(snapshot))

    def paths(self) -> set[str]:
        """The files that prompts show parts of, as they are called there."""
        of = self._ledger
        based = {file.path for file in of.base} if of is not None else set()
        noted = {entry.partition("\n")[0] for entry in of.log} if of is not None else set()
        return based | noted | {item.symbol.path for items in self._found.values() for item in items}

    def rest(self) -> None:
        """Look at nothing more."""
        if self._resting is not None:
            self._resting.cancel()

    async def close(self) -> None:
        await self._retrieval.close()

    # -- at rest -------------------------------------------------------------------------------------------

    def _later(self, cursor: Cursor) -> None:
        self.rest()
        uri, offset = cursor.document.uri, cursor.offset
        loop = asyncio.get_running_loop()
        self._resting = loop.call_later(IDLE_S, lambda: self._spawn(self._look(uri, offset)))

    async def _prepare(self, uri: str) -> None:
        """What matters at the top of a file, where nobody has asked yet."""
        snapshot, epoch = self._snapshot(), self._epoch
        document = snapshot.documents.get(uri)
        found = None if document is None else await self._retrieval.at(snapshot, Cursor(document, 0), _budget(snapshot))
        if found is not None and uri not in self._found and epoch == self._epoch:
            self._keep(uri, found)

    async def _look(self, uri: str, offset: int) -> None:
        """Ask the index at the last cursor; put what the ledger lacks there into its log, or into a new base."""
        snapshot, epoch = self._snapshot(), self._epoch
        document = snapshot.documents.get(uri)
        if document is None:
            return
        cursor = Cursor(document, min(offset, len(document.text)))
        found = await self._retrieval.at(snapshot, cursor, _budget(snapshot))
        if found is None or epoch != self._epoch:
            return
        self._keep(uri, found)
        if self._ledger is None or self._compacting:
            return
        if self._is_bare:
            self._compact(snapshot, cursor)
        elif files := lacking(self._ledger, found):
            self._ledger = noted(self._ledger, files)
            await self._read(self._ledger)

    def _compact(self, snapshot: Snapshot, cursor: Cursor) -> None:
        self._compacting = True
        self._spawn(self._compacted(snapshot, cursor))

    async def _compacted(self, snapshot: Snapshot, cursor: Cursor) -> None:
        """Swap the ledger for one with a new base, once the engine has read that."""
        epoch = self._epoch
        try:
            found = await self._retrieval.at(snapshot, cursor, _budget(snapshot))
            fresh = compacted(snapshot, cursor, found or ())
            if await self._read(fresh) and epoch == self._epoch:
                self._ledger, self._is_bare = fresh, found is None
        finally:
            self._compacting = False

    def _keep(self, uri: str, found: tuple[Item, ...]) -> None:
        self._found.pop(uri, None)
        self._found[uri] = found
        if len(self._found) > MOST_FOUND:
            del self._found[next(iter(self._found))]


def _budget(snapshot: Snapshot) -> int:
    """Of other files, in tokens."""
    return snapshot.settings.completion_context_tokens
