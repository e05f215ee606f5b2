"""Completion items: one, last in the menu, with an edit that every client's filter lets through."""

from typing import Any

import pytest

from qwen_lsp.features.complete import Nothing
from qwen_lsp.text.fences import fenced
from tests.fake_editor import FakeEditor
from tests.qwen_lsp.lsp.wire import Wire, at, profile

COMPLETION = "textDocument/completion"
URI = "file:///w/a.py"


async def ask(text: str, cursor: int, says: Any, name: str = "helix_25.07.1") -> tuple[Any, FakeEditor]:
    wire, editor = Wire(), FakeEditor("utf-8")
    await wire.begin(profile(name), clientInfo={"name": name.split("_")[0]})
    wire.notify("textDocument/didOpen", editor.open(URI, text))
    wire.script.says = says
    where = editor.position(URI, cursor)
    return await wire.ask(COMPLETION, at(URI, where["line"], where["character"])), editor


async def test_an_item_replaces_the_word_that_is_typed() -> None:
    result, editor = await ask("é🙂 = pri\nnext", 8, "nt(1)\nmore()")
    assert result["isIncomplete"] is True
    (item,) = result["items"]
    assert item["label"] == "print(1)…"
    assert item["filterText"] == "print(1)"
    assert item["sortText"] > "zzz"
    assert item["textEdit"]["newText"] == "print(1)\nmore()"
    assert item["textEdit"]["range"] == {"start": editor.position(URI, 5), "end": editor.position(URI, 8)}
    assert item["documentation"] == {"kind": "markdown", "value": "```python\nprint(1)\nmore()\n```"}
    editor.accept(URI, item["textEdit"]["range"], item["textEdit"]["newText"])
    assert editor.text(URI) == "é🙂 = print(1)\nmore()\nnext"


async def test_an_editor_that_renders_no_markdown_gets_plain_text() -> None:
    wire, editor = Wire(), FakeEditor("utf-16")
    await wire.begin()
    wire.notify("textDocument/didOpen", editor.open(URI, "a"))
    result = await wire.ask(COMPLETION, at(URI, 0, 1))
    assert result["items"][0]["documentation"] == "asuggestion"


async def test_no_suggestion_is_an_empty_list_that_may_grow() -> None:
    result, _ = await ask("a", 1, Nothing("why not"))
    assert result == {"isIncomplete": True, "items": []}


async def test_an_unknown_document_is_an_empty_list() -> None:
    wire = Wire()
    await wire.begin()
    assert await wire.ask(COMPLETION, at("file:///nowhere", 3, 3)) == {"isIncomplete": True, "items": []}


@pytest.mark.parametrize(("text", "fence"), [("a", "```"), ("``` in text", "````"), ("`````", "``````")])
def test_the_fence_is_longer_than_any_in_the_text(text: str, fence: str) -> None:
    assert fenced(text, "no language\n") == f"{fence}\n{text}\n{fence}"
