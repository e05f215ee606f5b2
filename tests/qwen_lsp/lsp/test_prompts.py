"""What the index knows reaches the prompt: found ahead, put into the log or a new base at rest, not on a key's way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.engine.client import Request
from qwen_lsp.features.complete import Nothing
from qwen_lsp.index.build import build
from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.indexer import State, Switched
from qwen_lsp.index.store import Store
from qwen_lsp.lsp import prompts
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.prompt.segments import Text
from tests.qwen_lsp.index.trees import repository, write
from tests.qwen_lsp.lsp.test_indexing import child, known, until
from tests.qwen_lsp.lsp.test_ledger import Engine
from tests.qwen_lsp.lsp.test_sync import open_
from tests.qwen_lsp.lsp.wire import Wire, at, inline_at

APP = "from shop.cart import Cart\n\n\ndef main(cart: Cart) -> None:\n    print(cart)\n"
TREE = {
    ".gitignore": "local/\n",
    "app.py": APP,
    "shop/cart.py": "class Cart:\n    def total_price(self, rate: float) -> float:\n        return rate\n",
    "shop/tax.py": "VAT_RATES = {}\n",
    "local/notes.py": "def hidden_one() -> None: ...\n",
}


class Shop:
    """A window on a small repository that is indexed already."""

    def __init__(self, root: Path) -> None:
        self.root, self.wire, self.engine = root, Wire(), Engine()
        self.wire.script.says = Nothing("a suggestion would be remembered, and the next request not ask")
        self.engine.gate.set()

    def uri(self, path: str) -> str:
        return (self.root / path).as_uri()

    async def begin(self, **options: Any) -> None:
        await self.wire.begin(rootUri=self.root.as_uri(), **options)
        self.wire.engines[0].generate = self.engine.generate  # type: ignore[method-assign]
        await until(lambda: known(self.wire, self.uri("app.py")))

    async def ledger(self, path: str = "app.py", line: int = 4) -> Ledger:
        await self.wire.ask("textDocument/inlineCompletion", inline_at(self.uri(path), line, 0))
        found = self.wire.script.ledgers[-1]
        assert found is not None
        return found

    async def based(self, path: str = "app.py") -> Ledger:
        """The ledger once there is a base, and all that is lacking has been shown."""
        async with asyncio.timeout(10):
            while not (await self.ledger(path)).base:
                pass
        await until(lambda: not self.wire.server.session.prompts._growing)
        return await self.ledger(path)

    async def rows(self, path: str = "app.py", line: int = 4) -> list[dict[str, Any]]:
        place = {"uri": self.uri(path), "position": {"line": line, "character": 0}}
        found = await self.wire.ask("workspace/executeCommand", {"command": "qwen.context", "arguments": [place]})
        assert isinstance(found, list)
        return found

    async def until_found(self, path: str) -> None:
        await until(lambda: self.uri(path) in self.wire.server.session.prompts._found)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-gitconfig"))
    monkeypatch.setattr(prompts, "IDLE_S", 0.0)
    root = write(repository(tmp_path / "root"), TREE)
    indexed(root)
    return root


def indexed(root: Path) -> None:
    """The store has what the disk has."""
    store = Store(store_folder(root, index_folder()))
    build(store, root, n_workers=1, idle=False, progress=lambda _: None, cancelled=lambda: False)
    store.close()


@pytest.fixture
def shop(root: Path) -> Shop:
    return Shop(root)


def shown(ledger: Ledger) -> dict[str, str]:
    return {file.path: file.text for file in ledger.base}


async def test_a_file_that_was_opened_has_its_base_from_the_index(shop: Shop) -> None:
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    await shop.until_found("app.py")
    found = shown(await shop.based())
    assert list(found)[-1] == "app.py" and "def total_price(self, rate: float) -> float" in found["shop/cart.py"]


async def test_a_file_that_was_opened_is_looked_through_for_credentials_before_a_key(shop: Shop) -> None:
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    document = shop.wire.server.session.document(shop.uri("app.py"))
    assert document is not None
    await until(lambda: document._masked == APP)


async def test_a_key_before_the_index_answers_is_served_from_what_is_open(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a base with what the index found is warmed, and takes its place."""
    await shop.begin()
    monkeypatch.setattr(shop.wire.server.session.prompts, "opened", lambda uri: None)
    open_(shop.wire, shop.uri("app.py"), APP)
    assert (await shop.ledger()).is_empty
    async with asyncio.timeout(10):
        while "shop/cart.py" not in shown(await shop.ledger()):
            pass
    assert _text(shop.engine.asked[0]).count("total_price") == 1


async def test_what_the_cursor_comes_to_need_is_noted_once_and_read_ahead(shop: Shop) -> None:
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    await shop.until_found("app.py")
    first = await shop.based()
    change = {
        "range": {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 4}},
        "text": "VAT_RATES, ",
    }
    document = {"uri": shop.uri("app.py"), "version": 2}
    shop.wire.notify("textDocument/didChange", {"textDocument": document, "contentChanges": [change]})
    async with asyncio.timeout(10):
        while ContextFile("shop/tax.py", "VAT_RATES = {}\n") not in (later := await shop.ledger()).log:
            pass
    assert later.base == first.base
    edit = "@@ app.py:5 @@\n-    print(cart)\n+    VAT_RATES, print(cart)\n"
    assert later.log == (edit, ContextFile("shop/tax.py", "VAT_RATES = {}\n")), "what was typed is told, too"
    await until(lambda: any("VAT_RATES =" in _text(asked) for asked in shop.engine.asked))
    assert (await shop.ledger()).log == later.log


async def test_an_ignored_file_has_no_prompt_and_stands_in_none(shop: Shop) -> None:
    await shop.begin()
    for path in ("app.py", "local/notes.py"):
        open_(shop.wire, shop.uri(path), TREE[path])
    await shop.wire.ask("textDocument/inlineCompletion", inline_at(shop.uri("local/notes.py"), 0, 0))
    assert shop.wire.script.ledgers == [None]
    ledger = await shop.based()
    assert "local/notes.py" not in shown(ledger) and "hidden_one" not in str(ledger.known)
    (row,) = await shop.rows("local/notes.py", 0)
    assert row["reason"] == "notes.py is left out: ignored (.gitignore:1: local/)"


@pytest.mark.parametrize("how", ["save", "watched", "look"])
async def test_a_file_that_is_ignored_from_now_on_leaves_the_prompt(shop: Shop, how: str) -> None:
    await shop.begin()
    for path in ("app.py", "shop/tax.py"):
        open_(shop.wire, shop.uri(path), TREE[path])
    assert await shop.based()
    write(shop.root, {".gitignore": "tax.py\n"})
    match how:
        case "save":
            shop.wire.notify("textDocument/didSave", {"textDocument": {"uri": shop.uri(".gitignore")}})
        case "watched":
            changes = [{"uri": shop.uri(".gitignore"), "type": 2}]
            shop.wire.notify("workspace/didChangeWatchedFiles", {"changes": changes})
        case _:
            child(shop.wire, "indexer").says.put_nowait(State(str(shop.root), "ready", 4, 4))
    documents = shop.wire.server.session.open_documents()
    await until(lambda: bool(documents[shop.uri("shop/tax.py")].barred))
    ledger = await shop.ledger()
    assert all(source.path != "shop/tax.py" for source in ledger.known.values())


@pytest.mark.parametrize("changes", [True, False])
async def test_after_a_switch_of_branches_a_new_base_shows_what_the_disk_has(shop: Shop, changes: bool) -> None:
    """At rest, without an edit; where nothing that is shown is another, the base stays."""
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    await shop.until_found("app.py")
    before = await shop.based()
    assert "total_price(self, rate: float)" in shown(before)["shop/cart.py"]
    path = "shop/cart.py" if changes else "shop/tax.py"
    write(shop.root, {path: TREE[path].replace("rate", "tax_rate").replace("RATES", "TAX_RATES")})
    indexed(shop.root)
    session = shop.wire.server.session
    assert session._indexing is not None
    session._indexing._heard(Switched(str(shop.root)))
    of = session.prompts
    assert of._is_switched
    await until(lambda: not of._is_switched and not of._growing)
    after = await shop.ledger()
    if not changes:
        assert after.base is before.base
        return
    assert "total_price(self, tax_rate: float)" in shown(after)["shop/cart.py"]
    assert shown(after)["app.py"] == shown(before)["app.py"] and after.log == ()
    assert "self, rate" not in _text(shop.engine.asked[-1]) and shop.engine.asked[-1].priority == "warm-up"


async def test_a_look_that_changes_nothing_leaves_the_ledger(shop: Shop) -> None:
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    await shop.until_found("app.py")
    before = await shop.based()
    await shop.wire.server.session.judge()
    assert (await shop.ledger()).base is before.base


async def test_the_command_shows_rows_and_changes_nothing(shop: Shop) -> None:
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    await shop.until_found("app.py")
    before = await shop.based()
    rows = await shop.rows(line=0)
    assert [row["part"] for row in rows] == ["base"] * len(before.base) + ["tail"]
    (cart,) = [row for row in rows if row["path"] == "shop/cart.py"]
    assert {symbol["name"] for symbol in cart["symbols"]} == {"Cart", "total_price"}
    assert all(row["n_tokens"] > 0 for row in rows)
    assert (await shop.ledger()).tail == before.tail
    assert "shop/cart.py" in shop.wire.said("window/showMessage")[-1]["message"]


@pytest.mark.parametrize("argument", [None, {}, {"uri": "file:///w/x.py"}, at("file:///nobody/opened.py", 0, 0)])
async def test_the_command_needs_a_place_in_an_open_file(shop: Shop, argument: Any) -> None:
    await shop.begin()
    if isinstance(argument, dict) and "textDocument" in argument:
        argument = {"uri": argument["textDocument"]["uri"], "position": argument["position"]}
    asked = {"command": "qwen.context", "arguments": [argument]}
    answer = await shop.wire.answer(shop.wire.send("workspace/executeCommand", asked))
    assert answer["error"]["code"] == -32602


async def test_closing_waits_for_what_is_asked(shop: Shop) -> None:
    await shop.begin()
    open_(shop.wire, shop.uri("app.py"), APP)
    await shop.wire.ask("shutdown", None)
    assert not shop.wire.server.session.prompts._retrieval._asked


def _text(request: Request) -> str:
    return "".join(segment.text for segment in request.prompt.segments if isinstance(segment, Text))
