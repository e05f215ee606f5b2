"""The server without a process: JSON in, JSON out, and features that a test opens and closes like gates."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qwen_lsp.engine.client import Engine, EngineState, Usage
from qwen_lsp.errors import QwenError
from qwen_lsp.features.actions import Action, Done
from qwen_lsp.features.complete import Completion, Manner, Nothing
from qwen_lsp.features.trial import Trial
from qwen_lsp.features.wishes import Problem
from qwen_lsp.lsp.server import make_server
from qwen_lsp.lsp.session import Features
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.settings import Layout
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.edits import EditSet, FileEdit
from qwen_lsp.text.snapshot import Snapshot

PROFILES = {
    path.stem.removeprefix("caps_"): path for path in sorted((Path(__file__).parents[2] / "profiles").glob("*"))
}
USAGE = Usage(10, 8, 2, 4, 1.0)
TIMEOUT_S = 10.0
PLAIN: dict[str, Any] = {"general": {"positionEncodings": ["utf-16"]}}


def profile(name: str) -> dict[str, Any]:
    """The capabilities that a real editor sent."""
    loaded: dict[str, Any] = json.loads(PROFILES[name].read_text("utf-8"))
    return loaded


class FakeEngine:
    """An engine whose state a test sets. It answers nothing; the features here do not ask it."""

    def __init__(self) -> None:
        self.state = EngineState("off")
        self.callbacks: list[Callable[[EngineState], None]] = []
        self.n_started = 0
        self.closed = False
        self.start_error: QwenError | None = None

    async def start(self) -> None:
        self.n_started += 1
        if self.start_error is not None:
            raise self.start_error

    def on_state(self, callback: Callable[[EngineState], None]) -> None:
        self.callbacks.append(callback)

    def become(self, kind: Any, detail: str = "", model: str = "") -> None:
        self.state = EngineState(kind, detail, model)
        for callback in self.callbacks:
            callback(self.state)

    async def close(self) -> None:
        self.closed = True

    def generate(self, request: Any) -> Any:
        raise AssertionError("no feature of these tests asks the engine")


class FakeChild:
    """A program that says what a test puts into `says`, and ends with an exception in there."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self.module, self.arguments = module.rpartition(".")[2], list(arguments)
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.says: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = False

    def send(self, value: object) -> None:
        self.heard.put_nowait(value)

    async def receive(self) -> object:
        value = await self.says.get()
        if isinstance(value, Exception):
            raise value
        return value

    async def close(self) -> None:
        self.closed = True


class Script:
    """Features as a test wants them. `gate` holds every answer back until it is set."""

    def __init__(self) -> None:
        self.says: str | Nothing | Exception = "suggestion"
        self.others: tuple[str, ...] = ()
        self.gate = asyncio.Event()
        self.gate.set()
        self.ahead = asyncio.Event()  # holds back what is made before anybody asks
        self.ahead.set()
        self.begins = ""  # what is heard of an answer before the gate
        self.manners: list[Manner] = []
        self.begun: list[Cursor] = []
        self.ledgers: list[Ledger | None] = []
        self.news = asyncio.Event()
        self.closed: list[int] = []  # versions whose stream was closed before its end
        self.edits: EditSet | Nothing | Exception | None = None
        self.disabled: str | None = None
        self.trial: Trial | None = None  # None: the layout that is wanted works
        self.tried: list[Layout] = []

    def features(self) -> Features:
        return Features(self.complete, self.offer, self.carry_out, self.try_layouts)

    async def try_layouts(self, engine: Engine, wanted: Layout) -> Trial:
        self.tried.append(wanted)
        return self.trial or Trial(wanted)

    async def complete(
        self, snapshot: Snapshot, cursor: Cursor, engine: Engine, ledger: Ledger | None, manner: Manner
    ) -> Completion | Nothing:
        self.begun.append(cursor)
        self.ledgers.append(ledger)
        self.manners.append(manner)
        self.news.set()
        manner.heard(self.begins)
        try:
            await (self.ahead if manner.priority == "warm-up" else self.gate).wait()
        except asyncio.CancelledError:
            self.closed.append(cursor.document.version)
            raise
        if isinstance(self.says, Exception):
            raise self.says
        if isinstance(self.says, Nothing):
            return self.says
        return Completion(self.says, cursor.offset, cursor.offset, USAGE, self.others if manner.n_others else None)

    def offer(
        self, snapshot: Snapshot, uri: str, start: int, end: int, problems: Sequence[Problem] = ()
    ) -> tuple[Action, ...]:
        version = snapshot.documents[uri].version
        return (
            Action("refactor.rewrite", "Rewrite", "a1", uri, version, start, end, None),
            Action("refactor.rewrite", "Not now", "a2", uri, version, start, end, self.disabled or "too long"),
        )

    async def carry_out(self, snapshot: Snapshot, action: Action, engine: Engine) -> Done | Nothing:
        await self.gate.wait()
        if isinstance(self.edits, Exception):
            raise self.edits
        if isinstance(self.edits, Nothing):
            return self.edits
        edit = FileEdit(action.uri, action.version, action.start, action.end, "DONE 🙂")
        return Done(self.edits or EditSet((edit,)), USAGE)


class Wire:
    """A client of one in-process server. Every message goes through JSON text, as over stdio."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.engines: list[FakeEngine] = []
        self.children: list[FakeChild] = []
        self.server = make_server(self._engine, self.script.features(), self._launch)
        self.server.protocol.set_writer(self, include_headers=False)
        self.answers: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        self.heard: list[dict[str, Any]] = []  # notifications and requests of the server
        self._news = asyncio.Event()
        self._next_id = 0
        self.on_request: Callable[[str, Any], Any] = lambda method, params: None

    def _engine(self, settings: Any) -> Any:
        self.engines.append(FakeEngine())
        return self.engines[-1]

    async def _launch(self, module: str, arguments: Sequence[str]) -> FakeChild:
        self.children.append(FakeChild(module, arguments))
        self._news.set()
        return self.children[-1]

    def write(self, data: bytes) -> None:
        message = json.loads(data)
        if "method" in message:
            self.heard.append(message)
            if "id" in message:
                answer = self.on_request(message["method"], message.get("params"))
                asyncio.get_running_loop().call_soon(
                    self.raw, {"jsonrpc": "2.0", "id": message["id"], "result": answer}
                )
        else:
            self.answers[message.get("id")].append(message)
        self._news.set()

    def close(self) -> None:
        """The server may close its writer."""

    def raw(self, message: Any) -> None:
        """Hand any JSON value to the server as the reader would."""
        protocol = self.server.protocol
        protocol.handle_message(json.loads(json.dumps(message), object_hook=protocol.structure_message))

    def notify(self, method: str, params: Any) -> None:
        self.raw({"jsonrpc": "2.0", "method": method, "params": params})

    def send(self, method: str, params: Any) -> int:
        """A request; its id."""
        self._next_id += 1
        self.raw({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": params})
        return self._next_id

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_begun(self, n: int) -> None:
        """Wait until the features were asked `n` times."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self.script.begun) < n:
                self.script.news.clear()
                await self.script.news.wait()

    async def answer(self, msg_id: Any) -> dict[str, Any]:
        """The one answer to a request."""
        await self.until(lambda: bool(self.answers[msg_id]))
        assert len(self.answers[msg_id]) == 1
        return self.answers[msg_id][0]

    async def ask(self, method: str, params: Any) -> Any:
        """A request's result; an error fails the test."""
        answer = await self.answer(self.send(method, params))
        assert "error" not in answer, answer
        return answer["result"]

    async def begin(self, capabilities: dict[str, Any] | None = None, **options: Any) -> Any:
        """initialize and initialized; the result of the first."""
        params = {"processId": None, "rootUri": None, "capabilities": capabilities or PLAIN, **options}
        result = await self.ask("initialize", params)
        self.notify("initialized", {})
        return result

    def said(self, method: str) -> list[Any]:
        """Parameters of what the server said with this method."""
        return [message["params"] for message in self.heard if message["method"] == method]


def at(uri: str, line: int, character: int, **more: Any) -> dict[str, Any]:
    """The parameters of a request at a position."""
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}, **more}


def inline_at(uri: str, line: int, character: int, invoked: bool = True) -> dict[str, Any]:
    return at(uri, line, character, context={"triggerKind": 1 if invoked else 2})
