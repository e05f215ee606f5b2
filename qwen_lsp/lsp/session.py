"""Session: the one writer. What is open, the settings, the engine; everyone else gets a frozen Snapshot.

Changed only by `handlers/sync.py` (documents) and `handlers/lifecycle.py` and `configuration.py` (the rest), all
on the event loop. Knows no LSP type and no prompt.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qwen_lsp import settings as settings_file
from qwen_lsp.engine.client import Engine
from qwen_lsp.errors import EngineError
from qwen_lsp.features.actions import Action, Done
from qwen_lsp.features.complete import Completion, Manner, Nothing
from qwen_lsp.features.ledger import compacted, turned, warm, worn_at
from qwen_lsp.lsp.capabilities import Client
from qwen_lsp.lsp.child import Launch
from qwen_lsp.lsp.editor import Editor
from qwen_lsp.lsp.flight import LatestWins
from qwen_lsp.lsp.indexing import Indexing, Located
from qwen_lsp.lsp.status import Status
from qwen_lsp.lsp.suggestions import Suggestions
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Features:
    """What the handlers call. The real ones, or a test's."""

    complete: Callable[[Snapshot, Cursor, Engine, Ledger | None, Manner], Coroutine[Any, Any, Completion | Nothing]]
    offer: Callable[[Snapshot, str, int, int], tuple[Action, ...]]
    carry_out: Callable[[Snapshot, Action, Engine], Awaitable[Done | Nothing]]


class Session:
    """One editor window."""

    def __init__(
        self, editor: Editor, features: Features, engine_factory: Callable[[Settings], Engine], launch: Launch
    ) -> None:
        self.editor = editor
        self.features = features
        self.client = Client()
        self.status = Status(editor, self.spawn)
        self.flight: LatestWins[tuple[str, str]] = LatestWins()
        self.settings = Settings()
        self._engine_factory = engine_factory
        self._engine: Engine | None = None
        self._launch = launch
        self._indexes = False  # from `initialized` on
        self._indexing: Indexing | None = None
        self._documents: dict[str, Document] = {}
        self._recent: list[str] = []  # most recent first
        self._roots: tuple[Path, ...] = ()
        self._options: tuple[object, ...] = ()
        self.suggestions = Suggestions(self.open_documents, self._refresh)
        self._snapshot: Snapshot | None = None
        self._ledger: Ledger | None = None
        self._compacting = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[asyncio.Event] = set()

    @property
    def engine(self) -> Engine:
        """The engine that the settings ask for."""
        if self._engine is None:
            self._engine = self._engine_factory(self.settings)
            self._engine.on_state(self.status.engine)
        return self._engine

    def snapshot(self) -> Snapshot:
        """Everything as it is now. The same value until something changes."""
        if self._snapshot is None:
            self._snapshot = Snapshot(
                MappingProxyType(dict(self._documents)), tuple(self._recent), self._roots, self.settings
            )
        return self._snapshot

    def document(self, uri: str) -> Document | None:
        """The open document as it is now."""
        return self._documents.get(uri)

    def open_documents(self) -> Mapping[str, Document]:
        """What is open now, by URI; it changes as the session does."""
        return self._documents

    def put(self, document: Document) -> None:
        """A document was opened or changed."""
        self._documents[document.uri] = document
        if self._recent[:1] != [document.uri]:
            self._recent = [document.uri, *(uri for uri in self._recent if uri != document.uri)]
        self._changed()
        self.suggestions.changed(document)
        if self._indexing is not None:
            self._indexing.changed(document.uri)

    def drop(self, uri: str) -> None:
        """A document was closed."""
        if self._documents.pop(uri, None) is not None:
            self._recent.remove(uri)
            self._changed()
            self.suggestions.closed(uri)
            if self._indexing is not None:
                self._indexing.closed(uri)

    def set_roots(self, roots: tuple[Path, ...], *options: object) -> None:
        """The workspace's folders changed, and with them their settings files; `options` as in `configure`."""
        self._roots = roots
        self.configure(*options)

    def configure(self, *options: object) -> None:
        """Read all settings again; `options`, if any, replace what the editor said before, the last one wins."""
        self._options = options or self._options
        files = [root / settings_file.FILE_NAME for root in self._roots]
        settings, problems = settings_file.parse(self._options, files, settings_file.user_file())
        engine_stays = settings.same_engine(self.settings)
        self.settings = settings
        logging.getLogger("qwen_lsp").setLevel(settings.log_level.upper())
        self._ledger = None
        self.suggestions.forget()
        self._changed()
        self.status.problems(problems)
        self._index_roots()
        if not engine_stays and self._engine is not None:
            old, self._engine = self._engine, None
            self.spawn(old.close())
            self.start_engine()

    @property
    def options(self) -> tuple[object, ...]:
        """What the editor said about settings, the most important last."""
        return self._options

    def turn_ledger(self, cursor: Cursor) -> Ledger | None:
        """The ledger for a request at the cursor, in the documents as they are now."""
        snapshot = self.snapshot()
        ledger = turned(self._ledger, snapshot, cursor)
        if ledger is None:
            return None
        self._ledger = ledger
        if not self._compacting and worn_at(ledger, snapshot, cursor):
            self._compacting = True
            self.spawn(self._compact(compacted(snapshot, cursor), snapshot.settings))
        return ledger

    def ledger_ahead(self, snapshot: Snapshot, cursor: Cursor) -> Ledger | None:
        """The ledger for a text that is not there yet; the window's own does not hear of it."""
        return turned(self._ledger, snapshot, cursor)

    async def _compact(self, fresh: Ledger, settings: Settings) -> None:
        """Swap the ledger for one with a new base, once the engine has read that."""
        try:
            await warm(fresh, self.engine)
            if self.settings is settings:  # else the ledger was begun anew meanwhile
                self._ledger = fresh
        except EngineError as error:
            self.status.failed("warm-up", "", error)
        finally:
            self._compacting = False

    def pause(self, paused: bool) -> None:
        """Make no suggestions, or make them again."""
        self.suggestions.paused = paused
        self.flight.cancel_all()
        self.suggestions.making.cancel_all()
        self.status.paused(paused)

    def start_engine(self) -> None:
        """Begin to load the model before it is needed."""
        self.spawn(self._start(self.engine))

    def _refresh(self, uri: str) -> None:
        """A suggestion came that nobody waits for any more."""
        if self.client.refreshes:
            self.editor.refresh(uri)

    async def _start(self, engine: Engine) -> None:
        try:
            await engine.start()
        except EngineError as error:
            self.status.failed("start", "", error)

    def start_index(self) -> None:
        """Begin to know the workspace's folders."""
        self._indexes = True
        self._index_roots()

    def index(self, uri: str) -> Located | None:
        """What is known around a document, as it is now; None without an index. To be used in a `with`."""
        return self._indexing.at(uri) if self._indexing is not None else None

    def hint(self, paths: Iterable[Path]) -> None:
        """These files may have changed on the disk."""
        if self._indexing is not None:
            self._indexing.hint(paths)

    def _index_roots(self) -> None:
        """Index what is to be indexed now, and nothing else."""
        wanted = self._roots if self._indexes and self.settings.index_enabled else ()
        roots = tuple(root for root in wanted if root.is_dir())
        old = self._indexing
        if roots == (old.roots if old is not None else ()):
            return
        if old is not None:
            old.stop()
        self._indexing = None
        if roots:
            self._indexing = Indexing(roots, self.open_documents, self.status.index, self._launch)
            self.spawn(self._indexing.run())

    async def until(self, settled: Callable[[Mapping[str, Document]], bool], timeout_s: float) -> bool:
        """Wait until the documents are as `settled` wants them; False when the time is over."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(timeout_s):
                while not settled(self._documents):
                    event.clear()
                    await event.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(event)
        return True

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background until it ends or the session does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Cancel what runs and let go of the engine."""
        self.flight.cancel_all()
        self.suggestions.making.cancel_all()
        self._indexes = False
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task ended with %s", type(error).__name__)

    def _changed(self) -> None:
        self._snapshot = None
        for event in self._waiting:
            event.set()
