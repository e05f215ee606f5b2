"""Never silent: the engine's state and what became of every request, for the editor and for `qwen.why`.

Holds ids, URIs and reasons, no source text. Knows no LSP type; it decides what is worth saying and when, and says
it through `Editor`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from qwen_lsp import windows
from qwen_lsp.engine.client import EngineState, Usage
from qwen_lsp.errors import EngineLoading, QwenError
from qwen_lsp.lsp.editor import Editor

WRITE_S = 1.0  # between two writes of the window's file
EMPTY_SHOWN = 5  # reasons in it
ANSWERS_KEPT = 50  # a few minutes of typing

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request, or of several like it in a row."""

    at: str  # the last one's time, UTC
    feature: str
    uri: str
    reason: str  # why it was empty; "" where it was not
    usage: Mapping[str, Any] | None = None  # counts and milliseconds of the last one
    times: int = 1


class Status:
    """What `qwen/status` shows, and the ring that `qwen.why` prints."""

    def __init__(self, editor: Editor, spawn: Spawn) -> None:
        self._editor = editor
        self.progress = LoadProgress(editor, spawn, "start")
        self.index_progress = LoadProgress(editor, spawn, "index")
        self._answers: deque[Answer] = deque(maxlen=ANSWERS_KEPT)
        self._told_settings: set[str] = set()
        self._told: set[str] = set()  # failure kinds that the user has been shown since the engine last was ready
        self._engine = EngineState("off")
        self._unfit = ""
        self._reason = ""
        self._index = ""
        self._last_sent: dict[str, Any] = {}
        self._ids = count(1)
        self._paused = False
        self._news = asyncio.Event()

    def engine(self, state: EngineState) -> None:
        """The engine's state changed."""
        self._engine = state
        if state.kind == "starting":
            self.progress.show(state.detail or "starting")
        else:
            self.progress.finish("ready" if state.kind == "ready" else state.detail)
        if state.kind == "ready":
            self._told.clear()
            self._reason = ""
        self._send()
        if state.kind == "failed":
            self._tell("engine_failed", state.detail)

    def unfit(self, problem: str) -> None:
        """What is wrong with the model that was loaded, for completions; empty: nothing. Told once, then shown."""
        if problem == self._unfit:
            return
        self._unfit = problem
        self._send()
        if problem:
            self._editor.show("warning", problem)

    def index(self, text: str, working: bool) -> None:
        """How far the index is. `working`: it takes long enough for a display."""
        self._index = text
        if working:
            self.index_progress.show(text)
        else:
            self.index_progress.finish(text)
        self._send()

    def failed(self, feature: str, uri: str, error: QwenError) -> None:
        """A feature ended with an error: a reason, and one message for the user per kind."""
        self.nothing(feature, uri, error.message)
        if not isinstance(error, EngineLoading) and self._engine.kind != "failed":
            self._tell(error.kind, error.message)

    def nothing(self, feature: str, uri: str, reason: str, usage: Usage | None = None, *, shown: bool = True) -> None:
        """An empty answer. `shown` False: too ordinary for the status line."""
        self._keep(Answer(_now(), feature, uri, reason, asdict(usage) if usage else None))
        if shown:
            self._reason = reason
            self._send()

    def done(self, feature: str, uri: str, usage: Usage) -> None:
        """An answer that is not empty; the reason of an earlier silence is history."""
        self._keep(Answer(_now(), feature, uri, "", asdict(usage)))
        self._reason = ""
        self._send()

    def offered(self, feature: str, uri: str, usage: Usage) -> str:
        """The id of a suggestion that goes out."""
        self.done(feature, uri, usage)
        return self.next_id()

    def next_id(self) -> str:
        """For one more suggestion that goes out with another."""
        return str(next(self._ids))

    def paused(self, paused: bool) -> None:
        """The user wants no suggestions for now, or wants them again."""
        self._paused, self._reason = paused, ""
        self._send()

    def why(self) -> list[dict[str, Any]]:
        """What became of the last requests, newest first."""
        return [asdict(answer) for answer in reversed(self._answers)]

    async def publish(self, roots: Callable[[], Sequence[Path]]) -> None:
        """Keep the window's file, which `qwen-lsp status` reads, until cancelled."""
        folder = windows.windows_folder()
        writing: asyncio.Future[None] | None = None
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                # Not on the event loop: beside a scan the disk took 46 ms for it.
                writing = asyncio.ensure_future(asyncio.to_thread(windows.write, folder, self._window(roots())))
                await asyncio.shield(writing)
                await asyncio.sleep(WRITE_S)
        except OSError as error:
            log.warning("the window's state can not be written (%s)", error.strerror)
        finally:
            if writing is not None:
                await asyncio.gather(writing, return_exceptions=True)  # or it would come after the removal
            windows.remove(folder)

    def _window(self, roots: Sequence[Path]) -> dict[str, Any]:
        empty = [asdict(answer) for answer in reversed(self._answers) if answer.reason][:EMPTY_SHOWN]
        return {"roots": [str(root) for root in roots], **self._params(), "empty": empty}

    def problems(self, problems: tuple[str, ...]) -> None:
        """What is wrong with the settings; each line is shown once."""
        fresh = [problem for problem in problems if problem not in self._told_settings]
        self._told_settings.update(fresh)
        if fresh:
            self._editor.show("warning", "; ".join(fresh))

    def _keep(self, answer: Answer) -> None:
        self._news.set()
        last = self._answers[-1] if self._answers else None
        if last is not None and (last.feature, last.uri, last.reason) == (answer.feature, answer.uri, answer.reason):
            self._answers[-1] = replace(answer, times=last.times + 1)
        else:
            self._answers.append(answer)

    def _tell(self, kind: str, message: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._editor.show("error", message or "the engine failed")

    def _params(self) -> dict[str, Any]:
        state = self._engine
        return {
            "state": state.kind,
            "detail": "; ".join(filter(None, (state.detail, self._unfit if state.kind == "ready" else ""))),
            "model": state.model,
            "reason": self._reason,
            "index": self._index,
            "paused": self._paused,
        }

    def _send(self) -> None:
        params = self._params()
        if params != self._last_sent:
            self._last_sent = params
            self._news.set()
            self._editor.status(params)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class LoadProgress:
    """One progress display from the first word of a start to its end. Before the editor allows it, only the
    newest line is kept."""

    def __init__(self, editor: Editor, spawn: Spawn, name: str) -> None:
        self._editor = editor
        self._spawn = spawn
        self._name = name
        self._numbers = count(1)
        self.wanted = False  # whether the client has progress displays at all
        self._token: str | None = None
        self._begun = False
        self._detail = ""

    def show(self, detail: str) -> None:
        """Another line; the first one opens the display."""
        self._detail = detail
        if not self.wanted:
            return
        if self._token is None:
            self._token = f"qwen/{self._name}/{next(self._numbers)}"
            self._spawn(self._begin(self._token))
        elif self._begun:
            self._editor.report_progress(self._token, detail)

    def finish(self, detail: str) -> None:
        """Close the display, if there is one."""
        token, begun = self._token, self._begun
        self._token, self._begun = None, False
        if token is not None and begun:
            self._editor.end_progress(token, detail)

    async def _begin(self, token: str) -> None:
        allowed = await self._editor.create_progress(token)
        if allowed and self._token == token:
            self._begun = True
            self._editor.begin_progress(token, self._detail)
