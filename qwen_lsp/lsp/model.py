"""The model of one window: its engine is made when it is needed, started, tried once, and let go of.

The trial says in which layouts this model fills holes; what the settings ask for gives way to that. Knows no document.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from qwen_lsp.engine.client import Engine
from qwen_lsp.errors import EngineError
from qwen_lsp.features.ledger import warm
from qwen_lsp.features.trial import Trial
from qwen_lsp.lsp.convert import path_of
from qwen_lsp.lsp.status import Spawn, Status
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.settings import Layout, Settings
from qwen_lsp.text.snapshot import Snapshot


class Model:
    """One window's."""

    def __init__(
        self,
        make: Callable[[Settings], Engine],
        tried: Callable[[Engine, Layout], Awaitable[Trial]],
        status: Status,
        spawn: Spawn,
        refitted: Callable[[], None],
    ) -> None:
        """`refitted` is called when `fitted` says something else than before."""
        self._make = make
        self._tried = tried
        self._status = status
        self._spawn = spawn
        self._refitted = refitted
        self._engine: Engine | None = None
        self._trial: Trial | None = None
        self._wanted: Layout | None = None  # what the newest trial is about

    def engine(self, settings: Settings) -> Engine:
        """The one there is, or the one that the settings ask for."""
        if self._engine is None:
            self._engine = self._make(settings)
            self._engine.on_state(self._status.engine)
        return self._engine

    def fitted(self, settings: Settings) -> Settings:
        """The settings with a layout in which this model fills holes, as far as that is known."""
        if self._trial is None or settings.completion_layout not in self._trial.failed:
            return settings
        return replace(settings, completion_layout=self._trial.layout)

    def start(self, settings: Settings) -> None:
        """Load the model before it is needed, and try it."""
        self._wanted = settings.completion_layout
        self._spawn(self._started(self.engine(settings), settings))

    async def read(self, ledger: Ledger, snapshot: Snapshot) -> bool:
        """Have the engine read the ledger before it is needed, and say whether it did."""
        uri = ledger.tail.uri if ledger.tail is not None else ""
        settings = snapshot.at(path_of(uri)).settings
        try:
            await warm(ledger, self.engine(settings), settings.completion_layout)
        except EngineError as error:
            self._status.failed("warm-up", "", error)
            return False
        return True

    def configured(self, old: Settings, settings: Settings) -> None:
        """The settings changed: what was begun with the old ones is begun again as far as it is another."""
        if self._engine is None:
            return
        if not settings.same_engine(old):
            self._spawn(self._engine.close())
            self._engine = self._trial = None
            self._status.unfit("")
            self.start(settings)
        elif settings.completion_layout != old.completion_layout:
            self.start(settings)

    async def close(self) -> None:
        """The window is."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    async def _started(self, engine: Engine, settings: Settings) -> None:
        try:
            await engine.start()
            if settings.engine != "openai":  # a server that the user named was asked what it can do
                self._judge(engine, settings.completion_layout, await self._tried(engine, settings.completion_layout))
        except EngineError as error:
            self._status.failed("start", "", error)

    def _judge(self, engine: Engine, wanted: Layout, trial: Trial) -> None:
        if engine is not self._engine or wanted != self._wanted:
            return  # the settings have changed meanwhile
        old, self._trial = self._trial, trial
        self._status.unfit(trial.problem)
        if trial.failed != (old.failed if old is not None else frozenset()):
            self._refitted()
