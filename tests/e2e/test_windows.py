"""Editor windows on the real server and the real daemon: one keystroke to its edit, and what survives a kill -9."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lsprotocol import types as t

from qwen_lsp.demo.editor import Editor
from qwen_lsp.engine.client import LocalEngine, Piece, Request, Usage
from qwen_lsp.errors import EngineLost
from qwen_lsp.index.grammars import encode, parse
from qwen_lsp.post.syntax import n_faults
from qwen_lsp.prompt.segments import Prompt, Text
from qwen_lsp.settings import Settings
from qwen_lsp.text.lines import Encoding
from tests.e2e.daemons import Daemons

STOCK = '''class Stock:
    """All items by name: größe, 数量, 🧺."""

    def __init__(self):
        self.items = {}

    def add(self, name, quantity=1):
        self.items[name] = self.items.get(name, 0) + quantity
        return self.items[name]

    def take(self, name, quantity=1):
        if self.items.get(name, 0) < quantity:
            raise KeyError(name)
        self.items[name] -= quantity
        return self.items[name]

    def is_empty(self):
        pass

    def names(self):
        return sorted(self.items)
'''
PLACES = ("self.items[name] = self.items", "return self.items", "raise Key", "return sor", "self.items[name] -= ")
# The model does not end this one by itself; a faulty answer that goes on, not a wise one.
ENDLESS = Prompt((Text("NUMBERS = [\n" + "    1,\n" * 300),))

pytestmark = pytest.mark.parametrize("engine", ["llama", "mlx"])


@asynccontextmanager
async def window(
    root: Path, engine: str, encoding: Encoding = "utf-16", ghost_text: bool = True
) -> AsyncIterator[Editor]:
    editor = Editor(root, encoding, ghost_text, engine)
    await editor.start()
    try:
        await editor.ready()
        yield editor
    finally:
        await editor.stop()


def cut_at(editor: Editor, uri: str, place: str) -> int:
    """Delete the rest of the line behind the last occurrence of `place`; the cursor's offset."""
    document = editor.documents[uri]
    offset = document.text.rindex(place) + len(place)
    editor.replace(uri, offset, document.lines.end_of(document.lines.line_at(offset)), "")
    return offset


def faults(text: str) -> int:
    tree = parse("python", encode(text))
    assert tree is not None
    return n_faults(tree.root_node)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_keystroke_becomes_ghost_text_and_ghost_text_an_edit(
    daemons: Daemons, tmp_path: Path, engine: str, encoding: Encoding
) -> None:
    shown = []
    async with window(tmp_path, engine, encoding) as editor:
        for number, place in enumerate(PLACES):
            uri = editor.open(f"stock{number}.py", "python", STOCK)
            offset = cut_at(editor, uri, place)
            items = await editor.inline(uri, offset)
            before = editor.documents[uri]
            for item in items:
                assert isinstance(item.insert_text, str) and item.insert_text.strip()
                assert item.range is not None and item.range.end.line == before.lines.line_at(offset)
                editor.replace_range(uri, item.range, item.insert_text)
                assert faults(editor.documents[uri].text) <= faults(before.text)
                shown.append(item.insert_text)
            why = await editor.command("qwen.why")
            assert items or why[0]["reason"]  # never silent
    assert shown, "the embedded model had nothing to say anywhere"


async def test_the_menu_serves_an_editor_without_ghost_text(daemons: Daemons, tmp_path: Path, engine: str) -> None:
    async with window(tmp_path, engine, ghost_text=False) as editor:
        labels = []
        for number, place in enumerate(PLACES):
            uri = editor.open(f"stock{number}.py", "python", STOCK)
            items = await editor.completion(uri, cut_at(editor, uri, place))
            labels += [item.label for item in items]
            assert all(isinstance(item.text_edit, t.TextEdit) for item in items)
        assert labels


async def test_an_action_is_resolved_into_a_versioned_edit(daemons: Daemons, tmp_path: Path, engine: str) -> None:
    async with window(tmp_path, engine) as editor:
        uri = editor.open("stock.py", "python", STOCK)
        stub = STOCK.index("        pass") + 8
        offers = await editor.actions(uri, stub, stub)
        assert offers[0].title == "Qwen: fill in is_empty"
        assert offers[0].edit is None  # no model before it is chosen
        done = await editor.resolve(offers[0])
        if done.edit is None:  # the model may have nothing sound to say; then there is a reason
            why = await editor.command("qwen.why")
            assert why[0]["reason"]
        else:
            assert editor.apply(done.edit)
            assert "        pass" not in editor.documents[uri].text
            assert faults(editor.documents[uri].text) == 0


async def test_windows_share_a_daemon_and_recover_when_it_is_killed(
    daemons: Daemons, tmp_path: Path, engine: str
) -> None:
    async with window(tmp_path, engine) as one, window(tmp_path, engine, "utf-8") as two:
        [first] = [each for each in daemons.running() if each["engine"] == engine]
        uris = [editor.open("stock.py", "python", STOCK) for editor in (one, two)]
        os.kill(first["pid"], signal.SIGKILL)
        for editor, uri in zip((one, two), uris, strict=True):
            items = await editor.inline(uri, cut_at(editor, uri, PLACES[1]))
            why = await editor.command("qwen.why")
            assert items or why[0]["reason"]
            assert editor.status["state"] == "ready"
        [second] = [each for each in daemons.running() if each["engine"] == engine]
        assert second["pid"] != first["pid"]
        assert second["tokens_evaluated"] > 0
        assert second["tokens_reused"] > 0  # the second window asked about the same text


async def test_a_daemon_killed_in_the_middle_of_a_stream_is_replaced(daemons: Daemons, engine: str) -> None:
    request = Request(ENDLESS, 2000, "typing")
    client = LocalEngine(Settings(engine="mlx" if engine == "mlx" else "llama"))
    try:
        await client.start()
        [first] = [each for each in daemons.running() if each["engine"] == engine]
        with pytest.raises(EngineLost):
            async for item in client.generate(request):
                if isinstance(item, Piece):
                    os.kill(first["pid"], signal.SIGKILL)
        short = Request(request.prompt, 3, "typing")
        counts = [item async for item in client.generate(short) if isinstance(item, Usage)]
        assert counts[-1].completion_tokens == 3
        [second] = [each for each in daemons.running() if each["engine"] == engine]
        assert second["pid"] != first["pid"]
    finally:
        await client.close()


async def test_a_closed_stream_stops_the_job(daemons: Daemons, engine: str) -> None:
    client = LocalEngine(Settings(engine="mlx" if engine == "mlx" else "llama"))
    try:
        await client.start()
        before = daemons.evaluated(engine)
        stream = client.generate(Request(ENDLESS, 4000, "typing"))
        async for item in stream:
            if isinstance(item, Piece):
                break
        await stream.aclose()
        counts = [-1, await asyncio.to_thread(daemons.evaluated, engine)]
        while counts[-1] != counts[-2]:
            counts.append(await asyncio.to_thread(daemons.evaluated, engine))
        assert counts[-1] - before < 4000
    finally:
        await client.close()
