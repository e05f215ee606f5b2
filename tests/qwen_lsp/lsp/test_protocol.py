"""Whatever comes in, every request is answered exactly once, and nothing that came in is quoted."""

import random
from typing import Any

import pytest

from qwen_lsp.lsp.server import HANDLERS
from tests.qwen_lsp.lsp.wire import Wire, inline_at, profile

URI = "file:///w/a.py"
INLINE = "textDocument/inlineCompletion"
SECRET = "hunter2"


@pytest.mark.parametrize(
    ("message", "answered_as", "code"),
    [
        ({"jsonrpc": "2.0", "id": 7, "method": INLINE}, 7, -32602),
        ({"jsonrpc": "2.0", "id": 7, "method": INLINE, "params": {"textDocument": SECRET}}, 7, -32602),
        ({"jsonrpc": "2.0", "id": 7, "method": INLINE, "params": inline_at(URI, -1, 0)}, 7, -32602),
        ({"jsonrpc": "2.0", "id": 7, "method": INLINE, "params": inline_at(URI, 2**40, 0)}, 7, -32602),
        ({"jsonrpc": "2.0", "id": 7, "method": INLINE, "params": [1, SECRET]}, 7, -32602),
        ({"jsonrpc": "2.0", "id": "7", "method": "textDocument/none", "params": {"a": SECRET}}, "7", -32601),
        ({"jsonrpc": "2.0", "id": 7, "method": "textDocument/hover", "params": inline_at(URI, 0, 0)}, 7, -32601),
        ({"jsonrpc": "2.0", "id": 7, "method": "textDocument/didSave", "params": {"textDocument": {}}}, 7, -32601),
        ({"jsonrpc": "2.0", "id": 7, "method": "exit"}, 7, -32601),
        ({"jsonrpc": "2.0", "id": 7, "method": 5}, 7, -32600),
        ({"jsonrpc": "1.0", "id": 7, "method": INLINE, "params": {}}, 7, -32600),
        ({"jsonrpc": "2.0", "id": [1], "method": "shutdown"}, None, -32600),
        ({"jsonrpc": "2.0", "id": {"a": 1}, "method": "shutdown"}, None, -32600),
        ({"id": 7, "method": INLINE}, None, -32600),
        ([1, 2], None, -32600),
        (SECRET, None, -32600),
        (None, None, -32600),
        ({"jsonrpc": "2.0", "id": 7, "method": "initialize", "params": {"capabilities": {}}}, 7, -32600),
        ({"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": {"command": "rm"}}, 7, -32602),
    ],
)
async def test_malformed_requests_get_one_error(
    message: Any, answered_as: Any, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire()
    await wire.begin()
    wire.raw(message)
    answer = await wire.answer(answered_as)
    assert answer["error"]["code"] == code
    assert SECRET not in str(answer)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"contentChanges": SECRET}},
        {"jsonrpc": "2.0", "method": "textDocument/didOpen"},
        {"jsonrpc": "2.0", "method": INLINE, "params": inline_at(URI, 0, 0)},
        {"jsonrpc": "2.0", "method": "shutdown"},
        {"jsonrpc": "2.0", "method": "$/unheardOf", "params": {"x": 1}},
        {"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": 12345}},
        {"jsonrpc": "2.0", "method": "$/cancelRequest"},
        {"jsonrpc": "2.0", "id": 999, "result": {"applied": True}},
        {"jsonrpc": "2.0", "id": 999, "error": {"code": "x"}},
        {"jsonrpc": "2.0", "id": None, "result": None},
    ],
)
async def test_malformed_notifications_and_answers_are_ignored(message: Any) -> None:
    wire = Wire()
    await wire.begin()
    n_answers = len(wire.answers)
    wire.raw(message)
    assert await wire.ask("workspace/executeCommand", {"command": "qwen.why"}) == []
    assert len(wire.answers) == n_answers + 1


async def test_nothing_is_served_before_initialize_and_after_shutdown() -> None:
    wire = Wire()
    early = await wire.answer(wire.send(INLINE, inline_at(URI, 0, 0)))
    assert early["error"]["code"] == -32002
    wire.notify("textDocument/didOpen", {"textDocument": {"uri": URI, "languageId": "x", "version": 1, "text": ""}})
    assert wire.server.session.document(URI) is None
    await wire.begin()
    assert await wire.ask("shutdown", None) is None
    late = await wire.answer(wire.send(INLINE, inline_at(URI, 0, 0)))
    assert late["error"]["code"] == -32600


async def test_shutdown_answers_open_requests_and_closes_the_engine() -> None:
    wire = Wire()
    await wire.begin()
    wire.notify("textDocument/didOpen", {"textDocument": {"uri": URI, "languageId": "x", "version": 1, "text": ""}})
    wire.script.gate.clear()
    waiting = wire.send(INLINE, inline_at(URI, 0, 0))
    await wire.until_begun(1)
    assert await wire.ask("shutdown", None) is None
    assert (await wire.answer(waiting))["error"]["code"] == -32800
    assert wire.engines[0].closed
    assert wire.script.closed == [1]
    assert not wire.server.protocol.was_shut_down or wire.server.session._background.is_idle


async def test_an_answer_that_can_not_be_written_is_an_error() -> None:
    wire = Wire()
    await wire.begin()
    protocol = wire.server.protocol
    protocol._send_response(77, result=object())
    assert (await wire.answer(77))["error"]["code"] == -32603


async def test_bytes_that_are_no_json_are_answered_with_a_parse_error() -> None:
    wire = Wire()
    await wire.begin()
    wire.server.report_server_error(ValueError(SECRET), Exception)
    assert (await wire.answer(None))["error"]["code"] == -32700


async def test_a_late_answer_to_a_question_that_nobody_waits_for_any_more() -> None:
    wire = Wire()
    await wire.begin()
    future = wire.server.protocol.send_request("window/workDoneProgress/create", {"token": "t"}, msg_id="q1")
    future.cancel()
    wire.raw({"jsonrpc": "2.0", "id": "q1", "result": None})
    assert await wire.ask("workspace/executeCommand", {"command": "qwen.why"}) == []


async def test_notifications_leave_nothing_behind() -> None:
    """pygls keeps a future for every notification that its own sync handles."""
    wire = Wire()
    await wire.begin()
    wire.notify("textDocument/didOpen", {"textDocument": {"uri": URI, "languageId": "x", "version": 1, "text": ""}})
    for version in range(2, 50):
        change = {"textDocument": {"uri": URI, "version": version}, "contentChanges": [{"text": "x" * version}]}
        wire.notify("textDocument/didChange", change)
    assert await wire.ask("workspace/executeCommand", {"command": "qwen.why"}) == []
    assert not wire.server.protocol._request_futures


async def test_a_word_of_a_newer_editor_does_not_lock_its_user_out() -> None:
    wire = Wire()
    capabilities = profile("nvim_0.12.4")
    capabilities["textDocument"]["completion"]["completionItem"]["insertTextModeSupport"] = {"valueSet": [99]}
    capabilities["general"]["quantum"] = True
    result = await wire.begin(capabilities, trace="entangled", rootUri="file:///w")
    assert result["capabilities"]["positionEncoding"] == "utf-8"
    assert "completionProvider" not in result["capabilities"]
    assert wire.server.session.client.resolves
    assert len(wire.server.session.snapshot().roots) == 1


@pytest.mark.parametrize("params", [None, 5, {}, {"capabilities": 5}, {"capabilities": {"textDocument": [1]}}])
async def test_an_initialize_that_says_nothing(params: Any) -> None:
    wire = Wire()
    answer = await wire.answer(wire.send("initialize", params))
    assert ("result" in answer) == isinstance(params, dict)


METHODS = [method for method in HANDLERS if method not in ("initialize", "shutdown")]
ATOMS: list[Any] = [None, True, -1, 0, 1, 2**31, 1.5, "", URI, "file:///w/%ZZ", "\ud800", [], {}, {"uri": URI}]


def random_value(draw: random.Random, depth: int = 0) -> Any:
    if depth > 3 or draw.random() < 0.3:
        return draw.choice(ATOMS)
    names = ["textDocument", "position", "line", "character", "range", "start", "end", "context", "text", "uri"]
    names += ["version", "contentChanges", "arguments", "command", "settings", "qwen", "data", "title", "event"]
    return {draw.choice(names): random_value(draw, depth + 1) for _ in range(draw.randrange(4))}


def random_params(draw: random.Random) -> Any:
    """Near the truth half of the time, so that the handlers are reached as well."""
    if draw.random() < 0.5:
        return random_value(draw)
    place = {"line": draw.choice((0, 1, 2**31 - 1)), "character": draw.choice((0, 1, 7, 2**31 - 1))}
    params = inline_at(URI, place["line"], place["character"])
    params |= {"range": {"start": place, "end": {"line": 0, "character": 0}}, "title": "x", "settings": {"qwen": {}}}
    params["textDocument"] |= {"version": draw.randrange(-3, 9), "languageId": "x", "text": draw.choice(("", "a\r"))}
    params["context"] |= {"diagnostics": []}
    changes = [{"text": "é"}, {"text": "🙂\n", "range": {"start": place, "end": place}}]
    params |= {"contentChanges": draw.sample(changes, draw.randrange(3)), "command": draw.choice(("qwen.why", "x"))}
    if draw.random() < 0.3:
        params[draw.choice(list(params))] = random_value(draw)
    return params


async def test_random_messages_each_request_answered_once() -> None:
    draw = random.Random(5)
    wire = Wire()
    await wire.begin()
    requests = []
    for _ in range(1_900):
        method, params = draw.choice(METHODS), random_params(draw)
        if draw.random() < 0.4:
            wire.notify(method, params)
        else:
            requests.append(wire.send(method, params))
        if draw.random() < 0.1 and requests:
            wire.notify("$/cancelRequest", {"id": draw.choice(requests)})
    results = [await wire.answer(request) for request in requests]
    codes = {answer["error"]["code"] for answer in results if "error" in answer}
    assert codes <= {-32601, -32602, -32800}
    assert sum("result" in answer for answer in results) > 100
    assert -32603 not in codes and not wire.server.protocol._request_futures
