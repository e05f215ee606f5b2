"""Anything that a client may send, in any order: no crash, and each request is answered exactly once.

The real features run, on an engine that says random things, fails, or says nothing until it is let.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_lsp.engine.client import Piece, Request, Usage
from qwen_lsp.errors import EngineBusy, EngineLost, EngineSuperseded
from qwen_lsp.lsp.capabilities import COMMANDS
from qwen_lsp.lsp.server import FEATURES
from qwen_lsp.lsp.session import Features
from tests.fake_editor import FakeEditor
from tests.qwen_lsp.lsp.wire import FakeEngine, Script, Wire, inline_at

INLINE = "textDocument/inlineCompletion"
URIS = ("file:///w/a.py", "file:///w/b.go", "file:///w/.env", "untitled:1", "file:///w/c")
N_KEYS = 1_000
INTERNAL_ERROR = -32603

BITS = [
    "x",
    " = ",
    "\n",
    "\r\n",
    "\r",
    "    ",
    "\t",
    "(",
    ")",
    "def f():",
    '"',
    "é",
    "\U0001f600",
    "\ud800",
    "# ",
    "\x0c",
]
TEXTS = st.lists(st.sampled_from(BITS), max_size=15).map("".join)
ANSWERS = st.lists(st.sampled_from([*BITS, "<|im_end|>", "```python\n", "return x"]), max_size=8)
NUMBERS = st.integers(-2, 40) | st.sampled_from([2**31 - 1, 2**31, 2**53])
POSITIONS = st.fixed_dictionaries({"line": NUMBERS, "character": NUMBERS})
RANGES = st.fixed_dictionaries({"start": POSITIONS, "end": POSITIONS})
DOCUMENTS = st.fixed_dictionaries({"uri": st.sampled_from(URIS)})
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text("ab\n", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["uri", "text", "id", "position", "textDocument", "paused"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
CONTEXTS = st.fixed_dictionaries(
    {"triggerKind": st.integers(0, 3)},
    optional={"selectedCompletionInfo": st.fixed_dictionaries({"range": RANGES, "text": TEXTS})},
)
CHANGES = st.lists(
    st.fixed_dictionaries({"text": TEXTS}) | st.fixed_dictionaries({"range": RANGES, "text": TEXTS}), max_size=3
)


def message(method: str, **params: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.fixed_dictionaries(params).map(lambda built: (method, built))


LANGUAGES = st.sampled_from(["python", "go", "x"])
ITEMS = st.fixed_dictionaries(
    {
        "uri": st.sampled_from(URIS),
        "languageId": LANGUAGES,
        "version": NUMBERS,
        "text": TEXTS,
    }
)
VERSIONED = st.fixed_dictionaries({"uri": st.sampled_from(URIS), "version": NUMBERS})
NOTIFICATIONS = st.one_of(
    message("textDocument/didOpen", textDocument=ITEMS),
    message("textDocument/didChange", textDocument=VERSIONED, contentChanges=CHANGES),
    message("textDocument/didClose", textDocument=DOCUMENTS),
    message("textDocument/didSave", textDocument=DOCUMENTS),
    message("workspace/didChangeConfiguration", settings=JSON),
    message("$/cancelRequest", id=st.integers(1, 40)),
)
REQUESTS = st.one_of(
    message(INLINE, textDocument=DOCUMENTS, position=POSITIONS, context=CONTEXTS),
    message("textDocument/completion", textDocument=DOCUMENTS, position=POSITIONS),
    message(
        "textDocument/codeAction",
        textDocument=DOCUMENTS,
        range=RANGES,
        context=st.fixed_dictionaries({"diagnostics": st.just([])}),
    ),
    message(
        "workspace/executeCommand",
        command=st.sampled_from(["qwen.why", "qwen.accepted", "qwen.pause", "qwen.stats", "qwen.applyAction", "nope"]),
        arguments=st.lists(JSON | st.sampled_from(["1", "2", "3"]), max_size=3),
    ),
)
MALFORMED = st.tuples(st.sampled_from([INLINE, "textDocument/didChange", "textDocument/didOpen", "nope"]), JSON)


class Moody:
    """What it says, or how it fails, in turn; every third answer waits until it is let."""

    def __init__(self, says: list[Any]) -> None:
        self.says, self.n_asked, self.gate = says, 0, asyncio.Event()

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        self.n_asked += 1
        yield Usage(10, None, 0, None, 0.0)
        if self.n_asked % 3 == 0:
            await self.gate.wait()
        said = self.says[self.n_asked % len(self.says)] if self.says else ""
        if isinstance(said, Exception):
            raise said
        for bit in said:
            yield Piece(bit.encode("utf-8", "replace").decode(), 1.0)
            await asyncio.sleep(0)
        yield Usage(10, 8, 3, 5, 2.0)


class Real(Script):
    """The real features."""

    def features(self) -> Features:
        return FEATURES


class Fuzzed(Wire):
    def __init__(self, moody: Moody) -> None:
        self.moody = moody
        super().__init__(Real())

    def _engine(self, settings: Any) -> Any:
        engine = FakeEngine()
        engine.generate = self.moody.generate  # type: ignore[method-assign]
        self.engines.append(engine)
        return engine


async def run(says: list[Any], messages: list[tuple[str, str, Any]]) -> tuple[Wire, list[int]]:
    wire = Fuzzed(Moody(says))
    await wire.begin(initializationOptions={"completion": {"debounce_ms": 0}, "index": {"enabled": False}})
    wire.engines[0].become("ready", model="moody")
    ids: list[int] = []
    for kind, method, params in messages:
        if kind == "tell":
            wire.notify(method, params)
        elif kind == "turn":
            await asyncio.sleep(0)
        else:
            ids.append(wire.send(method, params))
    wire.moody.gate.set()
    for msg_id in ids:
        await wire.answer(msg_id)
    await wire.ask("shutdown", None)
    return wire, ids


STEPS = st.lists(
    st.one_of(
        NOTIFICATIONS.map(lambda pair: ("tell", *pair)),
        REQUESTS.map(lambda pair: ("ask", *pair)),
        MALFORMED.map(lambda pair: ("ask", *pair)),
        MALFORMED.map(lambda pair: ("tell", *pair)),
        st.just(("turn", "", None)),
    ),
    max_size=40,
)
MOODS = st.lists(
    ANSWERS | st.sampled_from([EngineLost("gone"), EngineBusy("busy"), EngineSuperseded("newer")]), max_size=4
)


CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=150, deadline=None, suppress_health_check=CHECKS)
@given(MOODS, STEPS)
def test_whatever_is_sent_is_answered_once(
    caplog: pytest.LogCaptureFixture, says: list[Any], messages: list[tuple[str, str, Any]]
) -> None:
    caplog.clear()
    wire, ids = asyncio.run(run(says, messages))
    for msg_id in ids:
        (answer,) = wire.answers[msg_id]
        assert answer.get("error", {}).get("code") != INTERNAL_ERROR, answer
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert not wire.server.protocol._request_futures
    assert set(wire.answers) <= {None, *range(wire._next_id + 1)}


async def test_a_burst_of_a_thousand_keys() -> None:
    """As fast as they can be sent, each with a request; Neovim cancels none, VS Code all but the last."""
    wire, editor = Fuzzed(Moody([["x", " = ", "f(", ")"]])), FakeEditor("utf-16")
    wire.moody.gate.set()
    await wire.begin(initializationOptions={"completion": {"debounce_ms": 1}, "index": {"enabled": False}})
    wire.engines[0].become("ready", model="moody")
    wire.notify("textDocument/didOpen", editor.open(URIS[0], ""))
    ids: list[int] = []
    line, column, text = 0, 0, ""
    for n in range(N_KEYS):
        key = "\n" if n % 25 == 24 else "abc ("[n % 5]
        wire.notify("textDocument/didChange", editor.type(URIS[0], len(text), key))
        text += key
        line, column = (line + 1, 0) if key == "\n" else (line, column + 1)
        if n % 3 == 0 and ids:
            wire.notify("$/cancelRequest", {"id": ids[-1]})
        ids.append(wire.send(INLINE, inline_at(URIS[0], line, column, invoked=n % 4 == 0)))
        if n % 50 == 0:
            await asyncio.sleep(0.002)
    answers = [await wire.answer(msg_id) for msg_id in ids]
    assert all(len(wire.answers[msg_id]) == 1 for msg_id in ids)
    assert all("error" not in answer or answer["error"]["code"] == -32800 for answer in answers)
    assert "result" in answers[-1]
    assert wire.moody.n_asked < N_KEYS / 2, "most keys came too fast to be asked about"
    document = wire.server.session.document(URIS[0])
    assert document is not None and document.text == text
    await wire.ask("shutdown", None)


def test_all_commands_are_known_to_the_fuzz() -> None:
    assert {"qwen.why", "qwen.accepted", "qwen.pause", "qwen.stats", "qwen.applyAction"} <= set(COMMANDS)
