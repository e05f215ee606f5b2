"""The index of one window: who keeps the store, what the open buffers hold, how features read both.

Two programs do the work: the indexer keeps the store equal to the disk, the other extracts buffers some moments after
they changed. On the event loop there is only a table of what came out. Knows no LSP type.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.indexer import Hint, Look, State, Switched
from qwen_lsp.index.live import Buffer
from qwen_lsp.index.locks import Taken
from qwen_lsp.index.rules import HUGE_BYTES
from qwen_lsp.index.snapshot import Index, IndexSnapshot
from qwen_lsp.index.store import Store
from qwen_lsp.index.symbols import BufferSymbols
from qwen_lsp.lsp.child import Child, Launch
from qwen_lsp.lsp.convert import path_of
from qwen_lsp.text.document import Document

SETTLE_S = 0.3  # buffers that are being typed in are extracted that often, and no more
AWAY_S = 60.0  # after a pause like this the user may come from a shell, with another branch
SHOWN_FILES = 200  # fewer are read before a display has opened
STARTS = 3  # what ends the indexer again and again is no accident

log = logging.getLogger(__name__)

Tell = Callable[[str, bool], None]


@dataclass(frozen=True, slots=True)
class Located:
    """A document's place, and what is known around it. To be used in a `with`: it holds a read transaction."""

    root: Path
    path: str  # below the root, as in `symbols`
    symbols: IndexSnapshot

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.symbols.close()


class Indexing:
    """The index of some folders. On the event loop, and nothing in here holds that up longer than a look-up."""

    def __init__(
        self,
        roots: tuple[Path, ...],
        documents: Callable[[], Mapping[str, Document]],
        tell: Tell,
        launch: Launch,
        looked: Callable[[], None],
        switched: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`documents`: what is open, by URI. `tell`: a line for people, and whether it is worth a display. `looked`:
        called after each look at everything; `switched`: once the index has what another commit has on the disk."""
        self.roots = roots
        self._documents = documents
        self._tell = tell
        self._launch = launch
        self._clock = clock
        self._looked = looked
        self._switched = switched
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._indexer: Child | None = None
        self._states: dict[str, State] = {}
        self._indexes: dict[Path, tuple[Store, Index]] = {}
        self._refused: set[Path] = set()  # roots whose store could not be opened, until the indexer could
        self._places: dict[str, tuple[Path, str] | None] = {}  # by URI; one takes as long as a key's other work
        self._dirty: dict[str, None] = {}  # in the order of their changes
        self._fatal: set[str] = set()  # buffers that ended the program that read them
        self._news = asyncio.Event()
        self._active_at = clock()

    async def run(self) -> None:
        """Keep the index until cancelled or stopped."""
        self._task = asyncio.current_task()
        try:
            if not self._stopped:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._keep())
                    group.create_task(self._show_buffers())
        finally:
            for opened in self._indexes.values():
                _close(opened)
            self._indexes.clear()
            self._tell("", False)

    def stop(self) -> None:
        """End `run`, and with it all processes."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    def at(self, uri: str) -> Located | None:
        """The index around a document; None where it does not reach, or not yet."""
        place = self._place(uri)
        opened = self._indexes.get(place[0]) if place is not None else None
        if place is None or opened is None:
            return None
        if not opened[0].is_current():  # another window has begun a new one, and opening that may take a moment
            _close(self._indexes.pop(place[0]))
            self._news.set()
            return None
        return Located(*place, opened[1].snapshot())

    def changed(self, uri: str) -> None:
        """A buffer was opened or changed."""
        now = self._clock()
        if now > self._active_at + AWAY_S and self._indexer is not None:
            self._indexer.send(Look())
        self._active_at = now
        self._dirty[uri] = None
        self._news.set()

    def closed(self, uri: str) -> None:
        """A buffer is gone: the disk counts again."""
        self._dirty.pop(uri, None)
        self._fatal.discard(uri)
        self._show(uri, None)

    def hint(self, paths: Iterable[Path]) -> None:
        """The editor saw these files change on the disk."""
        if self._indexer is not None:
            self._indexer.send(Hint(tuple(str(path) for path in paths)))

    def _place(self, uri: str) -> tuple[Path, str] | None:
        """The innermost root of a document, and its path below that."""
        if uri not in self._places:
            self._places[uri] = self._placed(uri)
        return self._places[uri]

    def _placed(self, uri: str) -> tuple[Path, str] | None:
        path = path_of(uri)
        around = [root for root in self.roots if path is not None and path.is_relative_to(root)]
        if path is None or not around:
            return None
        root = max(around, key=lambda each: len(each.parts))
        return root, path.relative_to(root).as_posix()

    # -- the disk ------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        for _ in range(STARTS):
            try:
                child = await self._launch("qwen_lsp.index.indexer", [str(root) for root in self.roots])
            except OSError as error:
                self._tell(f"no index: {error.strerror}", False)
                return
            self._indexer = child
            self._tell("indexing", False)
            try:
                while True:
                    self._heard(await child.receive())
            except EOFError:
                log.warning("the indexer has ended")
            finally:
                self._indexer = None
                await child.close()
        self._tell("no index: its process ended again and again", False)

    def _heard(self, state: object) -> None:
        if isinstance(state, Switched):
            self._switched()
            return
        assert isinstance(state, State)
        self._states[state.root] = state
        if state.phase == "ready" and self._refused:
            self._refused.clear()
            self._news.set()
        if state.phase == "ready":
            self._looked()
        states = self._states.values()
        working = any(each.phase == "scanning" and each.n_total >= SHOWN_FILES for each in states)
        self._tell(line(states), working)

    # -- the buffers ---------------------------------------------------------------------------------------

    async def _show_buffers(self) -> None:
        """Extract what has changed, again and again; one buffer at a time."""
        child: Child | None = None
        self._news.set()
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                await self._open()
                await asyncio.sleep(SETTLE_S)
                while self._dirty:
                    uri = next(iter(self._dirty))
                    del self._dirty[uri]
                    document, place = self._documents().get(uri), self._place(uri)
                    if document is None or place is None or uri in self._fatal or place[0] not in self._indexes:
                        continue
                    if len(document.text) > HUGE_BYTES:  # does not count, and is not worth the copying
                        self._show(uri, None)
                        continue
                    child = child or await self._launch("qwen_lsp.index.live", [])
                    child.send(Buffer(*place, document.text))
                    try:
                        self._show(uri, await child.receive())
                    except EOFError:
                        log.warning("a buffer ended the process that reads them: %s", uri)
                        self._fatal.add(uri)
                        await child.close()
                        child = None
        except OSError as error:
            log.warning("open buffers are not indexed: %s", error.strerror)
        finally:
            if child is not None:
                await child.close()

    def _show(self, uri: str, symbols: object) -> None:
        place = self._place(uri)
        opened = self._indexes.get(place[0]) if place is not None else None
        if place is None or opened is None:
            return
        if isinstance(symbols, BufferSymbols) and uri in self._documents():
            opened[1].show(place[1], symbols)
        else:
            opened[1].hide(place[1])

    async def _open(self) -> None:
        """Open what is not open yet, elsewhere: it may have to wait for other windows. Then all buffers are new."""
        for root in self.roots:
            if root in self._indexes or root in self._refused:
                continue
            opening = asyncio.ensure_future(asyncio.to_thread(_opened, root))
            try:
                self._indexes[root] = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(_close_opened)
                raise
            except (OSError, sqlite3.Error, Taken) as error:
                log.warning("the index can not be opened: %s", type(error).__name__)
                self._refused.add(root)
                continue
            self._dirty.update(dict.fromkeys(self._documents()))


def line(states: Iterable[State]) -> str:
    """How far the index is, for people."""
    found = list(states)
    troubles = [each.trouble for each in found if each.trouble]
    if any(each.phase == "failed" for each in found):
        return f"no index: {troubles[0]}"
    scanning = [each for each in found if each.phase == "scanning"]
    if scanning:
        n_total = sum(each.n_total for each in scanning)
        share = f" {100 * sum(each.n_done for each in scanning) // n_total} %" if n_total else ""
        return f"indexing{share}"
    if any(each.phase == "waiting" for each in found):
        return "another window is indexing"
    n_skipped = sum(each.n_skipped for each in found)
    skipped = f", {n_skipped:,} skipped" if n_skipped else ""
    late = f"; changes are found late: {troubles[0]}" if troubles else ""
    return f"index: {sum(each.n_done for each in found):,} files{skipped}{late}"


def _opened(root: Path) -> tuple[Store, Index]:
    store = Store(store_folder(root, index_folder()))
    return store, Index(store, root)


def _close(opened: tuple[Store, Index]) -> None:
    store, index = opened
    index.close()
    store.close()


def _close_opened(opening: "asyncio.Future[tuple[Store, Index]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        _close(opening.result())
