"""Inline completion: latest wins, cancel, typed-through text, positions, reasons."""

import asyncio
from typing import Any

import pytest

from qwen_lsp.errors import EngineLost, EngineSuperseded
from qwen_lsp.features.complete import Nothing
from qwen_lsp.lsp.capabilities import WHY
from qwen_lsp.lsp.handlers import suggest
from tests.fake_editor import FakeEditor
from tests.qwen_lsp.lsp.wire import Wire, inline_at

INLINE = "textDocument/inlineCompletion"
REFRESH = "qwen/refresh"
NONE: dict[str, Any] = {"items": []}  # nothing to show; null would leave what Neovim shows
URI = "file:///w/a.py"


async def opened(
    text: str, encoding: Any = "utf-16", refreshes: bool = False, **options: Any
) -> tuple[Wire, FakeEditor]:
    wire, editor = Wire(), FakeEditor(encoding)
    capabilities = {"general": {"positionEncodings": [encoding]}, "experimental": {"qwen": {"refresh": refreshes}}}
    await wire.begin(capabilities, **options)
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
    counts = (await wire.ask("workspace/executeCommand", {"command": "qwen.stats"}))["counts"]
    assert (counts["shown"], counts["accepted"]) == (1, 1)


async def test_a_newer_request_makes_the_older_one_null_and_closes_its_stream() -> None:
    wire, editor = await opened("a")
    wire.script.gate.clear()
    wire.script.begins = "sug"
    first = wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    type_text(wire, editor, 1, "b")
    wire.script.begins = ""
    second = wire.send(INLINE, inline_at(URI, 0, 2))
    assert (await wire.answer(first))["result"] is None
    await wire.until_begun(2)
    assert wire.script.closed == [1]
    wire.script.gate.set()
    assert (await wire.answer(second))["result"]["items"][0]["insertText"] == "suggestion"
    assert await why(wire) == ["", "a newer request took its place"]


async def test_typing_along_what_is_being_made_joins_it() -> None:
    wire, editor = await opened("a")
    wire.script.gate.clear()
    ids = [wire.send(INLINE, inline_at(URI, 0, 1))]
    for n, key in enumerate("sug"):  # nothing of the answer is known yet
        await wire.until_begun(1)
        type_text(wire, editor, 1 + n, key)
        ids.append(wire.send(INLINE, inline_at(URI, 0, 2 + n)))
    await wire.until(lambda: len(wire.answers) >= len(ids))
    wire.script.gate.set()
    item = (await wire.answer(ids[-1]))["result"]["items"][0]
    assert (item["insertText"], item["range"]["start"]["character"], item["range"]["end"]["character"]) == (
        "suggestion",
        1,
        4,
    )
    assert [(await wire.answer(request))["result"] for request in ids[:-1]] == [None] * 3
    assert len(wire.script.begun) == 1 and wire.script.closed == []


async def test_an_answer_that_turns_out_to_begin_otherwise_is_asked_again() -> None:
    wire, editor = await opened("a")
    wire.script.gate.clear()
    wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    type_text(wire, editor, 1, "x")
    second = wire.send(INLINE, inline_at(URI, 0, 2))
    await asyncio.sleep(0)
    assert len(wire.script.begun) == 1
    wire.script.manners[0].heard("su")
    await wire.until_begun(2)
    assert wire.script.closed == [1]
    wire.script.gate.set()
    assert (await wire.answer(second))["result"]["items"][0]["insertText"] == "suggestion"


async def test_work_goes_on_after_the_clients_cancel_and_is_kept() -> None:
    wire, _ = await opened("a", refreshes=True)
    wire.script.gate.clear()
    request = wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    wire.notify("$/cancelRequest", {"id": request})
    wire.notify("$/cancelRequest", {"id": request})  # twice, as some clients do
    assert (await wire.answer(request))["error"]["code"] == -32800
    assert wire.script.closed == [] and wire.said(REFRESH) == []
    wire.script.gate.set()
    await wire.until(lambda: bool(wire.said(REFRESH)))
    assert wire.said(REFRESH) == [{"uri": URI}]
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"][0]["insertText"] == "suggestion"
    assert len(wire.script.begun) == 1


async def test_cancelled_work_ends_once_the_text_leaves_it_behind() -> None:
    wire, editor = await opened("a")
    wire.script.gate.clear()
    wire.script.begins = "sug"
    request = wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    wire.notify("$/cancelRequest", {"id": request})
    type_text(wire, editor, 1, "su")
    await asyncio.sleep(0)
    assert wire.script.closed == []
    type_text(wire, editor, 3, "!")
    await asyncio.sleep(0)
    assert wire.script.closed == [1]


async def test_no_answer_comes_after_the_editor_has_stopped_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suggest, "DEADLINE_S", 0.0)
    wire, _ = await opened("a", refreshes=True)
    wire.script.gate.clear()
    assert await wire.ask(INLINE, inline_at(URI, 0, 1, invoked=False)) == NONE
    assert await why(wire) == ["the model still thinks after 0 ms; what it finds is kept"]
    wire.engines[0].become("starting", "63 %")
    assert await wire.ask(INLINE, inline_at(URI, 0, 1, invoked=False)) == NONE
    assert (await why(wire))[0] == "the model is loading: 63 %"
    wire.script.gate.set()
    await wire.until(lambda: bool(wire.said(REFRESH)))
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1, invoked=False)))["items"][0]["insertText"] == "suggestion"
    assert len(wire.script.begun) == 1


async def test_who_pressed_a_key_is_answered_late() -> None:
    """VS Code waits then, and would not ask again for a place to which nothing was said."""
    wire, _ = await opened("a", refreshes=True)
    wire.script.gate.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suggest, "DEADLINE_S", 0.0)
        request = wire.send(INLINE, inline_at(URI, 0, 1))
        await wire.until_begun(1)
    wire.script.gate.set()
    assert (await wire.answer(request))["result"]["items"][0]["insertText"] == "suggestion"
    assert wire.said(REFRESH) == []


async def test_clients_that_do_not_refresh_are_answered_late_and_not_told() -> None:
    wire, _ = await opened("a")
    wire.script.gate.clear()
    request = wire.send(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(1)
    wire.notify("$/cancelRequest", {"id": request})
    wire.script.gate.set()
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"]
    assert wire.said(REFRESH) == []


async def test_the_next_suggestion_is_made_as_if_this_one_were_accepted() -> None:
    wire, editor = await opened("a\nz")
    wire.engines[0].become("ready")
    item = (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"][0]
    await wire.until_begun(2)
    there = wire.script.begun[1]
    assert (there.document.text, there.offset) == ("asuggestion\nz", 11)
    assert wire.script.manners[1].priority == "warm-up"
    await asyncio.sleep(0)
    wire.notify("textDocument/didChange", editor.accept(URI, item["range"], item["insertText"]))
    assert (await wire.ask(INLINE, inline_at(URI, 0, 11)))["items"][0]["insertText"] == "suggestion"
    assert {manner.priority for manner in wire.script.manners[1:]} == {"warm-up"}
    assert (await why(wire))[0] == ""


async def test_nothing_is_made_ahead_of_a_suggestion_that_is_typed_past() -> None:
    """Nobody has read it: the next key is there before."""
    wire, editor = await opened("a\nz")
    wire.engines[0].become("ready")
    for n, key in enumerate("!?!?"):
        assert (await wire.ask(INLINE, inline_at(URI, 0, n + 1)))["items"]
        type_text(wire, editor, n + 1, key)
    assert (await wire.ask(INLINE, inline_at(URI, 0, 5)))["items"]
    await wire.until_begun(6)
    assert [manner.priority for manner in wire.script.manners] == [*["typing"] * 5, "warm-up"]
    assert wire.script.begun[-1].document.text == "a!?!?suggestion\nz", "the last one was looked at"


async def test_what_follows_a_suggestion_that_is_typed_along_is_made_once_before_its_end() -> None:
    """Also where nothing follows it: that is known then."""
    wire, editor = await opened("a\nz")
    wire.engines[0].become("ready")
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"]
    wire.script.says = Nothing("the model has nothing to say here")
    for n, key in enumerate("suggestio"):
        type_text(wire, editor, n + 1, key)
        assert (await wire.ask(INLINE, inline_at(URI, 0, n + 2)))["items"]
        if n == 1:  # from here on eight characters are left
            await wire.until_begun(2)
    assert [there.document.text for there in wire.script.begun] == ["a\nz", "asuggestion\nz"]


async def test_what_is_made_ahead_ends_when_somebody_asks() -> None:
    wire, editor = await opened("a")
    wire.engines[0].become("ready")
    wire.script.ahead.clear()
    await wire.ask(INLINE, inline_at(URI, 0, 1))
    await wire.until_begun(2)
    type_text(wire, editor, 1, "!")
    assert (await wire.ask(INLINE, inline_at(URI, 0, 2)))["items"]
    assert len(wire.script.closed) == 1 and wire.script.begun[2].offset == 2


async def test_a_pause_is_told_and_ends() -> None:
    wire, _ = await opened("a")
    assert await wire.ask("workspace/executeCommand", {"command": "qwen.pause"}) == {"paused": True}
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) == NONE
    assert wire.said("qwen/status")[-1]["paused"] is True
    assert await why(wire) == ["paused: the command qwen.pause goes on"]
    arguments = [{"paused": False}]
    answer = await wire.ask("workspace/executeCommand", {"command": "qwen.pause", "arguments": arguments})
    assert answer == {"paused": False}
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"]


async def test_what_was_taken_back_is_not_offered_again_unless_asked_for() -> None:
    wire, editor = await opened("a")
    item = (await wire.ask(INLINE, inline_at(URI, 0, 1, invoked=False)))["items"][0]
    wire.notify("textDocument/didChange", editor.accept(URI, item["range"], item["insertText"]))
    await wire.ask("workspace/executeCommand", item["command"])
    type_text(wire, editor, 1, "", len("suggestion"))
    assert await wire.ask(INLINE, inline_at(URI, 0, 1, invoked=False)) == NONE
    assert (await why(wire))[0] == "you did not want this suggestion here a moment ago"
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"]
    counts = (await wire.ask("workspace/executeCommand", {"command": "qwen.stats"}))["counts"]
    assert (counts["accepted"], counts["undone"]) == (1, 1)


async def test_who_presses_a_key_for_it_gets_several_and_may_take_any() -> None:
    wire, editor = await opened("a")
    wire.script.others = ("first", "second")
    alone = await wire.ask(INLINE, inline_at(URI, 0, 1, invoked=False))
    assert [item["insertText"] for item in alone["items"]] == ["suggestion"]
    several = await wire.ask(INLINE, inline_at(URI, 0, 1))
    assert [item["insertText"] for item in several["items"]] == ["suggestion", "first", "second"]
    assert len({item["command"]["arguments"][0] for item in several["items"]}) == 3
    n_asked = len(wire.script.begun)
    assert len((await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"]) == 3
    assert len(wire.script.begun) == n_asked
    item = several["items"][2]
    wire.notify("textDocument/didChange", editor.accept(URI, item["range"], item["insertText"]))
    await wire.ask("workspace/executeCommand", item["command"])
    counts = (await wire.ask("workspace/executeCommand", {"command": "qwen.stats"}))["counts"]
    assert counts["accepted"] == 1


async def test_a_part_of_a_suggestion_can_be_taken() -> None:
    wire, editor = await opened("a")
    item = (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"][0]
    type_text(wire, editor, 1, "sugg")
    (name,) = item["command"]["arguments"]
    for arguments in ([name, 4], [name, "4"], [name, -1], [7], []):
        await wire.ask("workspace/executeCommand", {"command": "qwen.accepted", "arguments": arguments})
    counts = (await wire.ask("workspace/executeCommand", {"command": "qwen.stats"}))["counts"]
    assert (counts["shown"], counts["accepted"], counts["partly accepted"]) == (1, 0, 1)


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
        assert result == NONE
    else:
        assert result["items"][0]["insertText"] == expected
        assert result["items"][0]["range"] == word


async def test_every_empty_answer_has_a_reason() -> None:
    wire, _ = await opened("a")
    assert await wire.ask(INLINE, inline_at("file:///w/unknown.py", 0, 0)) == NONE
    wire.script.says = Nothing("the file is excluded")
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) == NONE
    wire.script.says = EngineLost("the connection broke")
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) == NONE
    assert await wire.ask(INLINE, inline_at(URI, 0, 1)) == NONE
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


@pytest.mark.parametrize(("normalizes", "said"), [(True, "b\nc"), (False, "b\r\nc")])
async def test_lines_end_as_the_editor_takes_them(normalizes: bool, said: str) -> None:
    wire, editor = Wire(), FakeEditor("utf-16")
    await wire.begin({"workspace": {"workspaceEdit": {"normalizesLineEndings": normalizes}}})
    wire.notify("textDocument/didOpen", editor.open(URI, "a\r\n"))
    wire.script.says = "b\r\nc"
    assert (await wire.ask(INLINE, inline_at(URI, 0, 1)))["items"][0]["insertText"] == said
