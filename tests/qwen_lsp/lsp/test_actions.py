"""Code actions: offered at once, resolved with versions, refused when stale; a command where there is no resolve."""

from typing import Any

import pytest

from qwen_lsp.errors import EngineMissing
from qwen_lsp.features.complete import Nothing
from qwen_lsp.text.edits import EditSet, FileEdit
from tests.fake_editor import FakeEditor, Refused
from tests.qwen_lsp.lsp.wire import Wire, profile

URI = "file:///w/a.py"
TEXT = "é🙂 = 1\r\nprint(é)\r\n"


async def opened(capabilities: dict[str, Any], encoding: Any = "utf-8") -> tuple[Wire, FakeEditor]:
    wire, editor = Wire(), FakeEditor(encoding)
    await wire.begin(capabilities)
    wire.notify("textDocument/didOpen", editor.open(URI, TEXT))
    return wire, editor


def select(editor: FakeEditor, start: int, end: int, **context: Any) -> dict[str, Any]:
    where = {"start": editor.position(URI, start), "end": editor.position(URI, end)}
    return {"textDocument": {"uri": URI}, "range": where, "context": {"diagnostics": [], **context}}


async def offered(wire: Wire, editor: FakeEditor, **context: Any) -> Any:
    return await wire.ask("textDocument/codeAction", select(editor, 0, 2, **context))


@pytest.mark.parametrize(
    ("name", "encoding"), [("nvim_0.12.4", "utf-8"), ("vscode_1.139.1", "utf-16"), ("helix_25.07.1", "utf-8")]
)
async def test_an_action_resolves_to_an_edit_with_versions(name: str, encoding: str) -> None:
    wire, editor = await opened(profile(name), encoding)
    action, disabled = await offered(wire, editor)
    assert "edit" not in action and "command" not in action
    assert disabled["disabled"] == {"reason": "too long"}
    resolved = await wire.ask("codeAction/resolve", action)
    part = resolved["edit"]["documentChanges"][0]
    assert part["textDocument"] == {"uri": URI, "version": 1}
    assert part["edits"][0]["range"]["end"] == editor.position(URI, 2)
    for message in editor.apply(resolved["edit"]):
        wire.notify("textDocument/didChange", message)
    assert editor.text(URI) == "DONE 🙂" + TEXT[2:]
    with pytest.raises(Refused):
        editor.apply(resolved["edit"])


async def test_disabled_actions_only_for_clients_that_show_them() -> None:
    wire, editor = await opened(profile("nvim_0.11.4"))
    assert [action["title"] for action in await offered(wire, editor)] == ["Rewrite"]


@pytest.mark.parametrize(
    ("only", "n_found"),
    [(["refactor"], 2), (["refactor.rewrite"], 2), ([""], 2), (["quickfix"], 0), (["refactor.re"], 0), ([], 0)],
)
async def test_only(only: list[str], n_found: int) -> None:
    wire, editor = await opened(profile("nvim_0.12.4"))
    assert len(await offered(wire, editor, only=only)) == n_found


async def test_a_stale_action_is_refused_before_the_model_is_asked() -> None:
    wire, editor = await opened(profile("nvim_0.12.4"))
    action, _ = await offered(wire, editor)
    wire.notify("textDocument/didChange", editor.type(URI, 0, "x"))
    error = (await wire.answer(wire.send("codeAction/resolve", action)))["error"]
    assert error["code"] == -32801
    assert "changed" in error["message"]


async def test_a_change_while_the_model_works_is_content_modified() -> None:
    wire, editor = await opened(profile("nvim_0.12.4"))
    action, _ = await offered(wire, editor)
    wire.script.gate.clear()
    request = wire.send("codeAction/resolve", action)
    wire.notify("textDocument/didChange", editor.type(URI, 0, "x"))
    wire.script.gate.set()
    assert (await wire.answer(request))["error"]["code"] == -32801


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        (Nothing("the model would leave it as it is"), "the model would leave it as it is"),
        (EngineMissing("no engine"), "no engine"),
    ],
)
async def test_a_reason_instead_of_an_edit(edits: Any, message: str) -> None:
    wire, editor = await opened(profile("nvim_0.12.4"))
    action, _ = await offered(wire, editor)
    wire.script.edits = edits
    error = (await wire.answer(wire.send("codeAction/resolve", action)))["error"]
    assert error == {"code": -32803, "message": message}
    assert wire.server.session.status.why()[0]["reason"] == message
    assert wire.said("window/showMessage")[-1]["message"] == f"qwen-lsp: Rewrite: {message}"


@pytest.mark.parametrize(
    "data",
    [
        None,
        7,
        {},
        {"kind": "k", "title": "t", "id": "i", "uri": URI, "version": "1", "start": 0, "end": 1},
        {"kind": "k", "title": "t", "id": "i", "uri": URI, "version": 1, "start": 5, "end": 1},
        {"kind": "k", "title": "t", "id": "i", "uri": URI, "version": 1, "start": 0, "end": 9999},
        {"kind": "k", "title": "t", "id": "i", "uri": "file:///other", "version": 1, "start": 0, "end": 1},
    ],
)
async def test_foreign_data_is_refused(data: Any) -> None:
    wire, _ = await opened(profile("nvim_0.12.4"))
    error = (await wire.answer(wire.send("codeAction/resolve", {"title": "x", "data": data})))["error"]
    assert error["code"] == -32602


async def test_a_command_only_action_comes_back_as_it_is() -> None:
    wire, _ = await opened(profile("helix_25.07.1"))
    action = {"title": "x", "command": {"title": "x", "command": "other.command"}}
    assert await wire.ask("codeAction/resolve", action) == action


async def test_an_unknown_document_offers_nothing() -> None:
    wire, editor = await opened(profile("nvim_0.12.4"))
    params = select(editor, 0, 1) | {"textDocument": {"uri": "file:///nowhere"}}
    assert await wire.ask("textDocument/codeAction", params) is None


NO_RESOLVE: dict[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "workspace": {"applyEdit": True},
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {"codeActionKind": {"valueSet": [""]}}}},
}


async def run_command(wire: Wire, editor: FakeEditor, applies: bool, reports: bool = True) -> Any:
    """Offer, execute; the editor applies the edit (or not) and says that it did."""

    def on_request(method: str, params: Any) -> Any:
        assert method == "workspace/applyEdit"
        if applies:
            for message in editor.apply(params["edit"]):
                wire.notify("textDocument/didChange", message)
        return {"applied": reports, **({} if reports else {"failureReason": "read only"})}

    wire.on_request = on_request
    (action,) = await offered(wire, editor)
    command = action.get("command") if isinstance(action.get("command"), dict) else action
    return await wire.ask("workspace/executeCommand", command)


async def test_without_resolve_the_command_applies_the_edit() -> None:
    wire, editor = await opened(NO_RESOLVE, "utf-16")
    assert await run_command(wire, editor, applies=True) == {"applied": True}
    assert editor.text(URI) == "DONE 🙂" + TEXT[2:]


async def test_without_literals_the_command_itself_is_offered() -> None:
    wire, editor = await opened({"workspace": {"applyEdit": True}}, "utf-16")
    assert await run_command(wire, editor, applies=True) == {"applied": True}


async def test_the_editors_refusal_is_told() -> None:
    wire, editor = await opened(NO_RESOLVE, "utf-16")
    result = await run_command(wire, editor, applies=False, reports=False)
    assert result == {"applied": False, "reason": "read only"}
    assert wire.said("window/showMessage")[-1]["message"].endswith("Rewrite: read only")


async def test_the_buffers_are_believed_not_the_editor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_S", "SETTLE_S"):
        monkeypatch.setattr(f"qwen_lsp.lsp.handlers.actions.{name}", 0.01)
    wire, editor = await opened(NO_RESOLVE, "utf-16")

    def does_something_else(method: str, params: Any) -> Any:
        wire.notify("textDocument/didChange", editor.type(URI, 0, "#"))
        return {"applied": True}

    wire.on_request = does_something_else
    (action,) = await offered(wire, editor)
    result = await wire.ask("workspace/executeCommand", action["command"])
    assert result == {"applied": False, "reason": "the buffers are not as the edit leaves them"}


async def test_an_editor_that_stands_still_until_the_answer_is_looked_at_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("QUIET_S", "LATE_S"):
        monkeypatch.setattr(f"qwen_lsp.lsp.handlers.actions.{name}", 0.01)
    wire, editor = await opened(NO_RESOLVE, "utf-16")
    assert await run_command(wire, editor, applies=False) == {"applied": True}
    await wire.until(lambda: bool(wire.said("window/showMessage")))
    assert "not as the edit leaves them" in wire.said("window/showMessage")[-1]["message"]


async def test_an_edit_of_a_file_that_is_not_open_is_refused() -> None:
    wire, editor = await opened(profile("nvim_0.12.4"))
    action, _ = await offered(wire, editor)
    wire.script.edits = EditSet((FileEdit("file:///w/closed.py", None, 0, 0, "x"),))
    assert (await wire.answer(wire.send("codeAction/resolve", action)))["error"]["code"] == -32602
