"""From a cursor to what else a prompt holds, on small repositories."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from qwen_lsp.context.candidates import Symbol
from qwen_lsp.context.memo import Memo
from qwen_lsp.context.pack import Item, estimate
from qwen_lsp.context.rank import ordered
from qwen_lsp.context.retrieve import Workspace, at_place, packed, ranking, retrieve
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.snapshot import Index, IndexSnapshot
from qwen_lsp.index.store import Store
from qwen_lsp.index.symbols import Definition, of_buffer
from tests.qwen_lsp.context.conftest import Indexed, window, workspace

CART = '''class Cart:
    """What a customer wants."""

    def total_price(self, rate: float) -> float:
        return sum(item.price for item in self.items) * rate

    def clear(self) -> None:
        self.items = []
'''
SHOP = {
    "shop/cart.py": CART,
    "shop/tax.py": "def vat_rate(country: str) -> float:\n    return RATES[country]\n\n\nRATES = {'de': 1.19}\n",
    "shop/invoice.py": (
        "from shop.cart import Cart\nfrom shop.tax import vat_rate\n\n\n"
        "def invoice_for(cart: Cart, country: str) -> str:\n    return f'{cart.total_price(vat_rate(country))}'\n"
    ),
    "app.py": "from shop.cart import Cart\n\n\ndef main() -> None:\n    cart = Cart()\n    \n",
    "other/cart.py": "class Cart:\n    wheels = 4\n\n    def push(self) -> None: ...\n",
    "README.md": "# Shop\n\nA Cart has a total_price.\n",
}
OPEN_APP = {"app.py": "from shop.cart import Cart\n\n\ndef main(country: str) -> None:\n    cart = Cart()\n    $0\n"}


def shown(items: Sequence[Item]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for item in items:
        names.setdefault(item.symbol.path, []).append(item.symbol.definition.name)
    return names


def check(indexed: Indexed, texts: Mapping[str, str], n_tokens: int = 500) -> Sequence[Item]:
    root, index = indexed(SHOP)
    snapshot, cursor = window(root, texts)
    return packed(ranking(snapshot, cursor, workspace(root, index)), n_tokens)


def test_what_is_imported_comes_with_its_members(indexed: Indexed) -> None:
    assert shown(check(indexed, OPEN_APP))["shop/cart.py"] == ["Cart", "total_price", "clear", "items"]


def test_similar_code_tells_what_may_come_next(indexed: Indexed) -> None:
    """`vat_rate` stands nowhere in the file: the invoice, which also has carts and countries, uses it."""
    items = check(indexed, OPEN_APP)
    (rate,) = [item for item in items if item.symbol.definition.name == "vat_rate"]
    assert rate.symbol.evidence["feedback"] > 0 and "name" not in rate.symbol.evidence


def test_of_two_with_one_name_the_imported_one_is_first(indexed: Indexed) -> None:
    root, index = indexed(SHOP)
    snapshot, cursor = window(root, OPEN_APP)
    carts = [
        each.symbol.path
        for each in ranking(snapshot, cursor, workspace(root, index)).scored
        if each.symbol.definition.name == "Cart"
    ]
    assert carts == ["shop/cart.py", "other/cart.py"]


def test_headings_and_the_file_itself_are_not_shown(indexed: Indexed) -> None:
    assert shown(check(indexed, OPEN_APP, 5_000)).keys() == {
        "shop/cart.py",
        "shop/invoice.py",
        "shop/tax.py",
        "other/cart.py",
    }


CUSTOMERS = "CREATE TABLE customers (\n" + "".join(f"  note_{number} TEXT,\n" for number in range(20)) + ");"
INVOICES = "CREATE TABLE invoice_lines (\n  line_no INTEGER,\n  net_amount NUMERIC\n" + ");"
TABLES = {
    "schema.sql": f"{CUSTOMERS}\n\n{INVOICES}\n",
    "old/schema.sql": f"{INVOICES}\n-- as it was\n",
    ".qwenignore": "old/\n",
    "secrets.txt": "invoice_lines net_amount line_no\n",
}
OPEN_QUERY = {"app.py": 'LINES = """\nSELECT line_no, $0\nFROM invoice_lines\n"""\n'}


def test_a_file_without_a_grammar_is_shown_in_paragraphs(indexed: Indexed) -> None:
    """The one that is like the cursor's surroundings, whole; what is excluded stays so."""
    root, index = indexed(TABLES)
    snapshot, cursor = window(root, OPEN_QUERY)
    files = retrieve(snapshot, cursor, workspace(root, index), 1_000)
    assert [(file.path, file.text) for file in files] == [("schema.sql", f"{INVOICES}\n")]
    (item,) = packed(ranking(snapshot, cursor, workspace(root, index)), 1_000)
    assert item.as_json()["kind"] == "paragraph" and item.symbol.evidence.keys() == {"similar"}


def test_a_file_that_has_changed_since_shows_no_paragraph(indexed: Indexed) -> None:
    root, index = indexed(TABLES)
    (root / "schema.sql").write_text(f"-- new\n{TABLES['schema.sql']}")
    files = retrieve(*window(root, OPEN_QUERY), workspace(root, index), 1_000)
    assert files == ()


def test_a_paragraph_of_an_open_buffer_counts_as_it_is_there(tmp_path: Path, indexed: Indexed) -> None:
    root, _ = indexed(TABLES)
    texts = OPEN_QUERY | {"schema.sql": f"-- new\n\n{INVOICES.replace('NUMERIC', 'MONEY')}\n"}
    with closing(Store(tmp_path / "store")) as store, closing(Index(store, root)) as index:
        index.show("schema.sql", of_buffer(texts["schema.sql"].encode(), None))
        with index.snapshot() as live:
            (file,) = retrieve(*window(root, texts), workspace(root, live), 1_000)
    assert "MONEY" in file.text and "-- new" in file.text


def test_a_small_budget_keeps_the_best_and_a_large_one_shows_bodies(indexed: Indexed) -> None:
    root, index = indexed(SHOP)
    snapshot, cursor = window(root, OPEN_APP)
    (few,) = retrieve(snapshot, cursor, workspace(root, index), 14)
    assert (few.path, few.text) == ("shop/cart.py", "class Cart:\n")
    many = {file.path: file.text for file in retrieve(snapshot, cursor, workspace(root, index), 2_000)}
    assert "    def total_price(self, rate: float) -> float:\n        return sum" in many["shop/cart.py"]


@pytest.mark.parametrize("n_tokens", [0, 10, 25, 40, 60, 100, 200, 1_000])
def test_the_budget_is_kept(indexed: Indexed, n_tokens: int) -> None:
    root, index = indexed(SHOP)
    snapshot, cursor = window(root, OPEN_APP)
    files = retrieve(snapshot, cursor, workspace(root, index), n_tokens)
    assert sum(estimate(file.path) + estimate(file.text) for file in files) <= n_tokens
    assert [file.path for file in files] == sorted(file.path for file in files)


def test_what_was_kept_from_the_last_key_changes_nothing(indexed: Indexed) -> None:
    """Also where the cursor has moved since, to another file too, and one has been edited in its buffer."""
    root, index = indexed(SHOP)
    kept = workspace(root, index)
    moved = {"app.py": "$0" + SHOP["app.py"]}
    elsewhere = {"other/shop.py": "from cart import Cart\n\nCart().push($0)\n"}
    for texts in (OPEN_APP, moved, OPEN_APP | {"shop/tax.py": SHOP["shop/tax.py"]}, elsewhere, OPEN_APP):
        snapshot, cursor = window(root, texts)
        assert retrieve(snapshot, cursor, kept, 400) == retrieve(snapshot, cursor, workspace(root, index), 400)


def test_another_buffer_counts_as_it_is_now(tmp_path: Path, indexed: Indexed) -> None:
    """What it defines since its last save is found by name, and its body is the buffer's."""
    root, _ = indexed(SHOP)
    texts = {
        "app.py": "from shop.tax import vat_of\n\nprint(vat_of($0\n",
        "shop/tax.py": "def vat_of(price: float) -> float:\n    return price * 0.19  # new\n",
    }
    with closing(Store(tmp_path / "store")) as store, closing(Index(store, root)) as index:
        for path, text in texts.items():
            index.show(path, of_buffer(text.encode(), language_of(path)))
        with index.snapshot() as live:
            files = {file.path: file.text for file in retrieve(*window(root, texts), workspace(root, live), 1_000)}
    assert files["shop/tax.py"] == texts["shop/tax.py"]


def test_a_file_that_has_changed_since_shows_no_body(indexed: Indexed) -> None:
    root, index = indexed(SHOP)
    (root / "shop/cart.py").write_text("# new first line\n" + CART)
    snapshot, cursor = window(root, OPEN_APP)
    items = packed(ranking(snapshot, cursor, workspace(root, index)), 2_000)
    whole = {item.symbol.path for item in items if item.is_whole}
    assert "shop/invoice.py" in whole and "shop/cart.py" not in whole


def test_outside_of_the_root_and_in_secret_files_nothing_is_retrieved(indexed: Indexed, tmp_path: Path) -> None:
    root, index = indexed(SHOP)
    for path in ("../elsewhere.py", ".env"):
        snapshot, cursor = window(root, {path: "Cart$0\n"})
        assert retrieve(snapshot, cursor, workspace(root, index), 500) == ()


class Nothing:
    """An index that knows no file."""

    def file(self, path: str) -> None:
        return None

    def known(self, paths: object) -> frozenset[str]:
        return frozenset()

    def files_defining(self, name: str) -> tuple[()]:
        return ()

    def rare_terms(self, terms: object, limit: int = 50) -> tuple[()]:
        return ()


def test_without_an_index_nothing_is_retrieved(tmp_path: Path) -> None:
    snapshot, cursor = window(tmp_path, {"a.py": "import os\nprint($0\n"})
    assert retrieve(snapshot, cursor, Workspace(tmp_path, Nothing(), Memo()), 500) == ()


def test_a_place_on_the_disk(indexed: Indexed) -> None:
    root, index = indexed(SHOP)
    items = at_place(root, index, root / "app.py", 5, 4, 300)
    assert shown(items)["shop/cart.py"] == ["Cart", "total_price", "clear", "items"]
    assert all(item.as_json()["n_tokens"] == estimate(item.text) for item in items)


def test_equal_scores_go_by_path_and_place(indexed: Indexed) -> None:
    _, index = indexed(SHOP)
    symbols = [
        Symbol(path, number, definition, {"name": 0.5})
        for path in ("shop/tax.py", "other/cart.py")
        for number, definition in enumerate(_definitions(index, path))
        if definition.kind in ("class", "function", "method")
    ]
    order = [(each.symbol.path, each.symbol.number) for each in ordered(symbols)]
    assert order == sorted(order) and ordered(reversed(symbols)) == ordered(symbols)


def _definitions(index: IndexSnapshot, path: str) -> Sequence[Definition]:
    outline = index.file(path)
    assert outline is not None
    return outline.definitions
