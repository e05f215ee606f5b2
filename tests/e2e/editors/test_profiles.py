"""The protocol under each editor's recorded capabilities: a real server and daemon, pytest-lsp's client, no editor."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from lsprotocol import types as t
from pygls.exceptions import JsonRpcException

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.desk import PROFILES, Desk, desk

ANNOTATING = ("nvim_0.12", "vscode")  # the others are asked by a message
COMMENT = f"# qwen: {project.INSTRUCTION}\n"
AFTER = {**project.FILES, **{name: project.refactored(name) for name in (*project.CHANGED, project.TAXES)}}


@pytest.fixture(params=PROFILES)
async def window(request: pytest.FixtureRequest, daemons: Daemons, tmp_path: Path) -> AsyncIterator[Desk]:
    project.settings(daemons.home)
    async with desk(request.param, project.make(tmp_path), tmp_path / "traffic.jsonl") as found:
        yield found


async def refactored(window: Desk) -> object:
    """The directive's way: its comment is the first line of the stock."""
    uri = window.open("shop/stock.py", COMMENT + project.STOCK)
    [action] = [each for each in await window.actions(uri, 0) if each.title == f"Qwen: {project.INSTRUCTION}"]
    assert action.kind == "refactor.rewrite" and action.edit is None
    return await window.chosen(action)


async def suggested(window: Desk, text: str) -> t.InlineCompletionItem | t.CompletionItem | None:
    """What is suggested at the end of a text, asked for as the editor does: ghost text, or an item of its menu."""
    uri = window.open("shop/stock.py", text)
    where = (t.TextDocumentIdentifier(uri), window.place(uri, len(text)))
    capabilities = window.capabilities.text_document
    items: Sequence[t.InlineCompletionItem | t.CompletionItem]
    if capabilities is not None and capabilities.inline_completion is not None:
        context = t.InlineCompletionContext(t.InlineCompletionTriggerKind.Invoked)
        ghost = await window.client.text_document_inline_completion_async(t.InlineCompletionParams(context, *where))
        assert isinstance(ghost, t.InlineCompletionList)
        items = ghost.items
    else:
        menu = await window.client.text_document_completion_async(t.CompletionParams(*where))
        assert isinstance(menu, t.CompletionList)
        items = menu.items
    assert len(items) < 2
    return items[0] if items else None


# Helix renders Markdown beside an item, and does not say so.
UNSAID = pytest.mark.filterwarnings(
    "ignore:Client does not support documentation format:pytest_lsp.LspSpecificationWarning"
)


@UNSAID
async def test_a_suggestion_is_offered_as_the_editor_takes_it_and_its_acceptance_counted(window: Desk) -> None:
    item = await suggested(window, f"{project.STOCK}\n    {project.TOTAL_TYPED}\n")
    if isinstance(item, t.CompletionItem):
        assert isinstance(item.text_edit, t.TextEdit)
        text: object = item.text_edit.new_text
    else:
        text = item.insert_text if item is not None else None
    assert text == project.TOTAL.rstrip("\n")
    assert item is not None and item.command is not None
    before = (await window.command("qwen.stats"))["counts"].get("accepted", 0)
    await window.command(item.command.command, *(item.command.arguments or ()))
    assert (await window.command("qwen.stats"))["counts"]["accepted"] == before + 1


@UNSAID
async def test_silence_has_a_reason(window: Desk) -> None:
    assert await suggested(window, f"{project.STOCK}\n{project.NOTHING_TYPED}") is None
    await window.until(lambda: window.states[-1].reason != "")
    assert (await window.command("qwen.why"))[0]["reason"] == window.states[-1].reason


async def test_files_are_watched_by_whoever_offers_it(window: Desk) -> None:
    """The others leave it to the server."""
    workspace = window.capabilities.workspace
    watches = workspace is not None and workspace.did_change_watched_files
    if watches and watches.dynamic_registration:
        await window.until(lambda: t.WORKSPACE_DID_CHANGE_WATCHED_FILES in window.registered)
    else:
        await window.command("qwen.why")
        assert window.registered == []


async def test_an_action_is_listed_resolved_and_applied(window: Desk) -> None:
    uri = window.open("shop/stock.py")
    actions = await window.actions(uri, project.STOCK.index("pass"))
    [fill] = [each for each in actions if each.title == "Qwen: fill in is_empty"]
    assert fill.edit is None and fill.data is not None and fill.command is None
    await window.chosen(fill)
    assert window.buffers.text(uri) == project.STOCK.replace("pass\n", f"{project.IS_EMPTY}\n")


async def test_a_directive_is_delivered_as_the_editor_confirms(window: Desk) -> None:
    assert isinstance(done := await refactored(window), dict) and done["applied"] is True
    assert window.files() == AFTER
    [edit] = window.edits
    texts = [part for part in edit["documentChanges"] if "textDocument" in part]
    versions = {part["textDocument"]["uri"]: part["textDocument"].get("version") for part in texts}
    assert versions == {
        window.uri(name): 1 if name == "shop/stock.py" else None for name in (*project.CHANGED, project.TAXES)
    }
    [created] = [part for part in edit["documentChanges"] if part.get("kind") == "create"]
    assert created["uri"] == window.uri(project.TAXES)
    if window.profile.startswith(ANNOTATING):
        [note] = edit["changeAnnotations"].values()
        assert note["needsConfirmation"] is True and "4 files change" in note["description"]
        assert all(each["annotationId"] for part in texts for each in part["edits"])
        assert window.asked == []
    else:
        [question] = window.asked
        assert all(name in question.message for name in AFTER if name != "shop/basket.py")
        assert edit.get("changeAnnotations") is None


async def test_a_refused_one_changes_nothing(window: Desk) -> None:
    window.agrees = False
    done = await refactored(window)
    assert isinstance(done, dict) and done["applied"] is False and done["reason"]
    assert window.files() == {**project.FILES, "shop/stock.py": COMMENT + project.STOCK}
    assert done["reason"] in window.client.messages[-1].message


async def test_what_an_editor_did_not_do_is_noticed(window: Desk) -> None:
    window.leaves = frozenset({window.uri("shop/orders.py")})
    done = await refactored(window)
    assert isinstance(done, dict) and done["applied"] is False
    assert done["reason"] == "not applied to orders.py: the texts are not as the edit leaves them"


async def test_a_running_one_is_cancelled_as_the_editor_can(window: Desk) -> None:
    uri = window.open("shop/stock.py")
    arguments = [{"instruction": project.SLOW_INSTRUCTION, "uri": uri}]
    request = asyncio.create_task(window.command("qwen.refactor", *arguments))
    token = await window.progress("refactor")
    if window.profile.startswith("vscode"):
        window.client.window_work_done_progress_cancel(t.WorkDoneProgressCancelParams(token))
    else:
        assert await window.command("qwen.cancel") == {"cancelled": 1}
    with pytest.raises(JsonRpcException, match="you cancelled it"):
        await request
    assert window.files() == project.FILES
    assert window.edits == []
