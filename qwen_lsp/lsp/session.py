"""Session: the one writer. What is open, the settings, the engine; everyone else gets a frozen Snapshot.

Changed only by `handlers/sync.py` (documents) and `handlers/lifecycle.py` and `configuration.py` (the rest), all
on the event loop. Knows no LSP type and no prompt.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from qwen_lsp import settings as settings_file
from qwen_lsp.engine.client import Engine
from qwen_lsp.features.actions import Action, Done
from qwen_lsp.features.complete import Completion, Manner, Nothing
from qwen_lsp.features.ledger import shortage
from qwen_lsp.features.trial import Trial
from qwen_lsp.features.wishes import Problem
from qwen_lsp.index.judge import Judge
from qwen_lsp.lsp.background import Background
from qwen_lsp.lsp.capabilities import Client
from qwen_lsp.lsp.child import Launch
from qwen_lsp.lsp.editor import Editor
from qwen_lsp.lsp.flight import LatestWins
from qwen_lsp.lsp.indexing import Indexing, Located
from qwen_lsp.lsp.judging import judged, why_barred
from qwen_lsp.lsp.model import Model
from qwen_lsp.lsp.prompts import Prompts
from qwen_lsp.lsp.retrieval import Retrieval
from qwen_lsp.lsp.status import Status
from qwen_lsp.lsp.suggestions import Suggestions
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.settings import Layout, Settings
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Features:
    """What the handlers call. The real ones, or a test's."""

    complete: Callable[[Snapshot, Cursor, Engine, Ledger | None, Manner], Coroutine[Any, Any, Completion | Nothing]]
    offer: Callable[[Snapshot, str, int, int, Sequence[Problem]], tuple[Action, ...]]
    carry_out: Callable[[Snapshot, Action, Engine], Awaitable[Done | Nothing]]
    tried: Callable[[Engine, Layout], Awaitable[Trial]]


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
        self._background = Background()
        self.model = Model(engine_factory, features.tried, self.status, self.spawn, self._refitted)
        self._launch = launch
        self._indexes = False  # from `initialized` on
        self._indexing: Indexing | None = None
        self._documents: dict[str, Document] = {}
        self._recent: list[str] = []  # most recent first
        self._roots: tuple[Path, ...] = ()
        self._options: tuple[object, ...] = ()
        self._folder_options: Mapping[Path, object] = {}  # what the editor said of single roots
        self._folders: Mapping[Path, Settings] = {}  # of roots, where there are several
        self.suggestions = Suggestions(self.open_documents, self._refresh)
        self._snapshot: Snapshot | None = None
        self._judge = Judge()
        self.prompts = Prompts(self.snapshot, Retrieval(self.index), self._read, self.spawn)
        self.cancels: dict[str, Callable[[], None]] = {}  # by the token of their progress
        self._tokens = count(1)
        self._waiting: set[asyncio.Event] = set()

    @property
    def engine(self) -> Engine:
        """The engine that the settings ask for."""
        return self.model.engine(self.settings)

    def snapshot(self) -> Snapshot:
        """Everything as it is now. The same value until something changes."""
        if self._snapshot is None:
            self._snapshot = Snapshot(
                MappingProxyType(dict(self._documents)),
                tuple(self._recent),
                self._roots,
                self.model.fitted(self.settings),
                MappingProxyType({root: self.model.fitted(each) for root, each in self._folders.items()}),
            )
        return self._snapshot

    def document(self, uri: str) -> Document | None:
        """The open document as it is now."""
        return self._documents.get(uri)

    def open_documents(self) -> Mapping[str, Document]:
        """What is open now, by URI; it changes as the session does."""
        return self._documents

    def open(self, document: Document) -> None:
        """A document was opened, or its place is to be judged anew: a save may have made another file of it."""
        is_new = document.uri not in self._documents
        self.put(replace(document, barred=why_barred(self._judge, document)))
        if is_new:
            self.prompts.opened(document.uri)

    def put(self, document: Document) -> None:
        """A document was changed, or opened: a rest has something to look at where its text is another one."""
        old = self._documents.get(document.uri)
        is_edit = old is not None and old.text != document.text
        self._documents[document.uri] = document
        if self._recent[:1] != [document.uri]:
            self._recent = [document.uri, *(uri for uri in self._recent if uri != document.uri)]
        self._changed()
        self.suggestions.changed(document)
        if is_edit and self.settings.completion_enabled and not self.suggestions.paused:
            self.prompts.changed()
        if self._indexing is not None:
            self._indexing.changed(document.uri)

    def drop(self, uri: str) -> None:
        """A document was closed."""
        if self._documents.pop(uri, None) is not None:
            self._recent.remove(uri)
            self._changed()
            self.suggestions.closed(uri)
            self.prompts.closed(uri)
            if self._indexing is not None:
                self._indexing.closed(uri)

    def set_roots(self, roots: tuple[Path, ...], *options: object) -> None:
        """The workspace's folders changed, and with them their settings files; `options` as in `configure`."""
        self._roots = roots
        self.configure(*options)

    def configure(self, *options: object, folders: Mapping[Path, object] | None = None) -> None:
        """Read all settings again; `options`, if any, replace what the editor said before, the last one wins.

        `folders`: what it says of single roots, where there are several; as before where it is None.
        """
        self._options = options or self._options
        self._folder_options = self._folder_options if folders is None else folders
        settings, self._folders, problems = settings_file.of_window(
            self._roots, self._options, self._folder_options, settings_file.user_file()
        )
        old, self.settings = self.settings, settings
        logging.getLogger("qwen_lsp").setLevel(settings.log_level.upper())
        self._changed()
        self._begin_anew()
        short = shortage(settings)
        self.status.problems((*problems, short) if short else problems)
        self._index_roots()
        self.model.configured(old, settings)

    @property
    def options(self) -> tuple[object, ...]:
        """What the editor said about settings, the most important last."""
        return self._options

    def turn_ledger(self, cursor: Cursor) -> Ledger | None:
        """The ledger for a request at the cursor, in the documents as they are now."""
        return self.prompts.turn(cursor)

    def ledger_ahead(self, snapshot: Snapshot, cursor: Cursor) -> Ledger | None:
        """The ledger for a text that is not there yet; the window's own does not hear of it."""
        return self.prompts.ahead(snapshot, cursor)

    async def _read(self, ledger: Ledger) -> bool:
        """Have the engine read the ledger before it is needed."""
        return await self.model.read(ledger, self.snapshot())

    def judge_at_once(self) -> None:
        """Before the first file is opened, and while nobody waits: git is asked, which takes some milliseconds."""
        self._judge = Judge.asked(self._roots)

    async def judge(self) -> None:
        """Ask again which open files may be shown: roots, ignore files or what the index knows have changed."""
        roots, documents = self._roots, tuple(self._documents.values())
        judge = await asyncio.to_thread(Judge.asked, roots)
        shown = [root / path for root in roots for path in self.prompts.paths()]
        barred, lost = await asyncio.to_thread(judged, judge, documents, shown)
        if self._roots is not roots:
            return  # asked once more already
        self._judge = judge
        for uri, document in list(self._documents.items()):
            reason = barred[uri] if uri in barred else why_barred(judge, document)
            if reason != document.barred:
                self._documents[uri] = replace(document, barred=reason)
                lost = True
        if lost:
            self._changed()
            self._begin_anew()

    def _begin_anew(self) -> None:
        """What prompts and suggestions were made of no longer counts."""
        self.prompts.reset()
        self.suggestions.forget()

    def pause(self, paused: bool) -> None:
        """Make no suggestions, or make them again."""
        self.suggestions.paused = paused
        self.flight.cancel_all()
        self.suggestions.making.cancel_all()
        self.status.paused(paused)

    def next_token(self, name: str) -> str:
        """For a progress display."""
        return f"qwen/{name}/{next(self._tokens)}"

    def start_engine(self) -> None:
        """Begin to load the model before it is needed."""
        self.model.start(self.settings)

    def _refitted(self) -> None:
        """Prompts are laid out otherwise from now on."""
        self._changed()
        self._begin_anew()

    def _refresh(self, uri: str) -> None:
        """A suggestion came that nobody waits for any more."""
        if self.client.refreshes:
            self.editor.refresh(uri)

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
        wanted = self._roots if self._indexes else ()
        indexed = (root for root in wanted if self._folders.get(root, self.settings).index_enabled)
        roots = tuple(root for root in indexed if root.is_dir())
        old = self._indexing
        if roots == (old.roots if old is not None else ()):
            return
        if old is not None:
            old.stop()
        self._indexing = None
        if roots:
            self._indexing = Indexing(
                roots, self.open_documents, self.status.index, self._launch, self._looked, self.prompts.switched
            )
            self.spawn(self._indexing.run())

    def _looked(self) -> None:
        """The index has compared itself with the disk: what it knows, and what is ignored, may be new."""
        self.prompts.index_changed()
        self.spawn(self.judge())

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

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background until it ends or the session does."""
        return self._background.spawn(work)

    async def close(self) -> None:
        """Cancel what runs and let go of the engine."""
        self.flight.cancel_all()
        self.suggestions.making.cancel_all()
        self._indexes = False
        self.prompts.rest()
        await self._background.end()
        await self.prompts.close()
        await self.model.close()

    def _changed(self) -> None:
        self._snapshot = None
        for event in self._waiting:
            event.set()
