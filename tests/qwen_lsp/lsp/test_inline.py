"""Inline completion: latest wins, cancel, typed-through text, positions, reasons."""

import asyncio
from typing import Any

import pytest

from qwen_lsp.errors import EngineLost, EngineSuperseded
from qwen_lsp.features.complete import Nothing
from qwen_lsp.lsp.capabilities import WHY
from tests.fake_editor import FakeEditor
from tests.qwen_lsp.lsp.wire import Wire, inline_at

INLINE = "textDocument/inlineCompletion"
URI = "file:///w/a.py"


async def opened(text: str, encoding: Any = "utf-16", **options: Any) -> tuple[Wire, FakeEditor]:
    wire, editor = Wire(), FakeEditor(encoding)
    await wire.begin({"general": {"positionEncodings": [encoding]}}, **options)
    wire.notify("textDocument/didOpen", editor.open(URI, text))
    return wire, editor


def type_text(wire: Wire, editor: FakeEditor, offset: int, text: str, n_replaced: int = 0) -> None:
    wire.notify("textDocument/didChange", editor.type(URI, offset, text, n_replaced))


async def why(wire: Wire) -> list[str]:
    found = await wire.ask("workspace/executeCommand", {"command": WHY})
    return [answer["reason"] for answer in found]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_a_suggestion_lands_where_the_cursor_is(encoding: str) -> None:
    wire, editor = await opened("x = '🙂é' + \r\ny", encoding)
    wire.script.says = "'漢'\r\nz = 1"
    where = editor.position(URI, len("x = '🙂é' + "))
    result = await wire.ask(INLINE, inline_at(URI, where["line"], where["character"]))
    item = result["items"][0]
    assert item["range"] == {"start": where, "end": where}
    assert item["command"]["command"] == "qwen.accepted"
    wire.notify("textDocument/didChange", editor.accept(URI, item["range"], item["insertText"]))
    assert editor.text(URI) == "x = '🙂é' + '漢'\r\nz = 1\r\ny"
    document = wire.server.session.document(URI)
    assert document is not None and document.text == editor.text(URI)
    await wire.ask("workspace/executeCommand", item["command"])
    await wire.ask("workspace/executeCommand", item["command"])  # a second time does not count
    assert wire.server.session.status.n_accepted == 1


async def test_a_newer_request_makes_the_older_one_null_and_closes_its_stream() -> None:
    wire, editor = await opened("a")
    wire.script.gate.clear()
    first = wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    type_text(wire, editor, 1, "b")
    second = wire.send(INLINE, inline_at(URI, 0, 2))
    assert (await wire.answer(first))["result"] is None
    assert wire.script.closed == [1]
    wire.script.gate.set()
    assert (await wire.answer(second))["result"]["items"][0]["insertText"] == "suggestion"
    assert await why(wire) == ["", "a newer request took its place"]


async def test_the_clients_cancel_is_an_error_and_closes_the_stream() -> None:
    wire, _ = await opened("a")
    wire.script.gate.clear()
    request = wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    wire.notify("$/cancelRequest", {"id": request})
    wire.notify("$/cancelRequest", {"id": request})  # twice, as some clients do
    assert (await wire.answer(request))["error"]["code"] == -32800
    assert wire.script.closed == [1]


async def test_a_burst_of_requests_is_answered_one_by_one() -> None:
    wire, editor = await opened("")
    ids = []
    for n in range(200):
        type_text(wire, editor, n, "x")
        ids.append(wire.send(INLINE, inline_at(URI, 0, n + 1, invoked=n % 2 == 0)))
        if n % 7 == 0:
            wire.notify("$/cancelRequest", {"id": ids[-1]})
        if n % 5 == 0:
            await asyncio.sleep(0)
    answers = [await wire.answer(request) for request in ids]
    assert all(len(wire.answers[request]) == 1 for request in ids)
    assert answers[-1]["result"]["items"][0]["insertText"] == "suggestion"
    outcomes = {"cancelled" if "error" in a else "null" if a["result"] is None else "text" for a in answers}
    assert outcomes == {"cancelled", "null", "text"}
    assert not wire.server.protocol._request_futures


@pytest.mark.parametrize(
    ("typed", "at", "expected"),
    [
        ("sug", 3, ("suggestion", 3, 6)),  # the suggestion still holds, over what was typed
        ("sux", 3, None),
        ("suggestion", 3, None),  # nothing is left of it
        ("s", 0, None),  # typed somewhere else
    ],
)
async def test_text_typed_while_the_model_thinks(typed: str, at: int, expected: Any) -> None:
    wire, editor = await opened("ab🙂 = 1")
    wire.script.gate.clear()
    request = wire.send(INLINE, inline_at(URI, 0, 4))
    await wire.until_begun(1)
    type_text(wire, editor, at, typed)
    wire.script.gate.set()
    result = (await wire.answer(request))["result"]
    if expected is None:
        assert result is None
        assert await why(wire) == ["the text changed meanwhile"]
        return
    text, start, end = expected
    item = result["items"][0]
    assert item["insertText"] == text
    assert item["range"] == {"start": editor.position(URI, start), "end": editor.position(URI, end)}


async def test_a_closed_document_gets_no_suggestion() -> None:
    wire, _ = await opened("ab")
    wire.script.gate.clear()
    request = wire.send(INLINE, inline_at(URI, 0, 2))
    await wire.until_begun(1)
    wire.notify("textDocument/didClose", {"textDocument": {"uri": URI}})
    wire.script.gate.set()
    assert (await wire.answer(request))["result"] is None


@pytest.mark.parametrize(("text", "expected"), [("print", "print(x)"), ("prune", None)])
async def test_the_item_selected_in_the_menu_is_respected(text: str, expected: str | None) -> None:
    wire, _ = await opened("  pr")
    wire.script.says = "int(x)"
    params = inline_at(URI, 0, 4)
    word = {"start": {"line": 0, "character": 2}, "end": {"line": 0, "character": 4}}
    params["context"]["selectedCompletionInfo"] = {"range": word, "text": text}
    result = await wire.ask(INLINE, params)
    if expected is None:
        assert result is None
    else:
        assert result["items"][0]["insertText"] == expected
        assert result["items"][0]["range"] == word


async def test_every_empty_answer_has_a_reason() -> None:
    wire, _ = await opened("a")
    assert await wire.ask(INLINE, inline_at("file:///w/unknown.py", 0, 0)) is None
    wire.script.says = Nothing("the file is excluded")
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) is None
    wire.script.says = EngineLost("the connection broke")
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) is None
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) is None
    assert await why(wire) == [
        "the connection broke",
        "the file is excluded",
        "the editor has not opened this file with us",
    ]
    errors = [said for said in wire.said("window/showMessage") if said["type"] == 1]
    assert [said["message"] for said in errors] == ["qwen-lsp: the connection broke"]  # once, not per key
    assert wire.said("qwen/status")[-1]["reason"] == "the connection broke"


async def test_what_the_engine_gave_up_for_a_newer_request_is_no_failure() -> None:
    wire, _ = await opened("a")
    wire.script.says = EngineSuperseded("a newer request took this one's place")
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) is None
    assert await why(wire) == ["a newer request took its place"]
    assert [said for said in wire.said("window/showMessage") if said["type"] == 1] == []
    assert not any(said["reason"] for said in wire.said("qwen/status"))


async def test_an_unexpected_error_is_answered_without_source_text() -> None:
    wire, _ = await opened("a")
    wire.script.says = KeyError("password = hunter2")
    answer = await wire.answer(wire.send(INLINE, inline_at(URI, 0, 1)))
    assert answer["error"] == {"code": -32603, "message": "internal error (KeyError)"}
    wire.script.says = "fine"
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"][0]["insertText"] == "fine"


async def test_positions_outside_the_text_are_clamped() -> None:
    wire, _ = await opened("ab\ncd")
    result = await wire.ask(INLINE, inline_at(URI, 99, 99))
    assert result["items"][0]["range"]["start"] == {"line": 1, "character": 2}


async def test_an_automatic_request_waits_for_the_pause_and_an_invoked_one_does_not() -> None:
    wire, _ = await opened("a", initializationOptions={"completion": {"debounceMs": 5000}})
    waiting = wire.send(INLINE, inline_at(URI, 0, 1, invoked=False))
    await asyncio.sleep(0)
    assert wire.script.begun == []
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"]
    assert (await wire.answer(waiting))["result"] is None
    assert len(wire.script.begun) == 1


async def test_what_a_suggestion_cost_is_in_the_ring() -> None:
    wire, _ = await opened("a")
    costs = []
    for _ in range(3):
        await wire.ask(INLINE, inline_at(URI, 0, 1))
        (answer,) = await wire.ask("workspace/executeCommand", {"command": WHY})
        costs.append((answer["reason"], answer["times"], answer["usage"]["evaluated_tokens"]))
    assert costs == [("", 1, 4), ("", 2, 0), ("", 3, 0)], "the same question again asks no model"


async def test_typing_along_a_suggestion_asks_no_model() -> None:
    wire, editor = await opened("x = \ny\n")
    wire.script.says = "sum(xs)"
    shown = [await wire.ask(INLINE, inline_at(URI, 0, 4))]
    for n, key in enumerate("sum"):
        type_text(wire, editor, 4 + n, key)
        shown.append(await wire.ask(INLINE, inline_at(URI, 0, 5 + n)))
    assert [one["items"][0]["insertText"] for one in shown] == ["sum(xs)", "um(xs)", "m(xs)", "(xs)"]
    assert len(wire.script.begun) == 1
    type_text(wire, editor, 7, "!")
    await wire.ask(INLINE, inline_at(URI, 0, 8))
    assert len(wire.script.begun) == 2


async def test_a_usage_line_for_clients_that_trace() -> None:
    wire, _ = await opened("a", trace="messages")
    await wire.ask(INLINE, inline_at(URI, 0, 1))
    assert '"evaluated_tokens": 4' in wire.said("$/logTrace")[0]["verbose"]
    wire.notify("$/setTrace", {"value": "off"})
    await wire.ask(INLINE, inline_at(URI, 0, 1))
    assert len(wire.said("$/logTrace")) == 1
