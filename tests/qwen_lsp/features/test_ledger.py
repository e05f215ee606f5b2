"""What the index found beside what is open: who gets the room of a base, and what is still to be told at a cursor."""

from pathlib import Path

from qwen_lsp.context.candidates import Symbol
from qwen_lsp.context.pack import ContextFile, Item, estimate
from qwen_lsp.features.ledger import NOTED_SCORE, NOTED_TOKENS, compacted, grown, lacking
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.symbols import extract
from qwen_lsp.settings import Settings
from tests.qwen_lsp.context.conftest import window

ROOT = Path("/w")
CART = "class Cart:\n    def total(self):\n        return 1\n"

CONTEXT_TOKENS = Settings().completion_context_tokens


def items(path: str, text: str, score: float = 2.0, whole: bool = False) -> list[Item]:
    found = extract(text.encode(), language_of(path)).definitions
    texts = [text[each.start : each.end] + "\n" if whole else each.signature + "\n" for each in found]
    return [
        Item(Symbol(path, number, each, {}), score, shown, estimate(shown), whole)
        for number, (each, shown) in enumerate(zip(found, texts, strict=True))
    ]


def base(texts: dict[str, str], *found: Item) -> dict[str, str]:
    return {file.path: file.text for file in compacted(*window(ROOT, texts), found).base}


def test_open_files_take_the_room_that_the_index_leaves() -> None:
    open_files = {"app.py": "x = 1\n$0", "notes.md": "# Notes\n"}
    assert base(open_files) == {"notes.md": "# Notes\n", "app.py": "x = 1\n"}
    assert list(base(open_files, *items("cart.py", CART))) == ["cart.py", "notes.md", "app.py"]
    long = f"def f({'a, ' * CONTEXT_TOKENS}b): pass\n"
    many = [Item(each.symbol, 1.0, long, CONTEXT_TOKENS) for each in items("cart.py", CART)]
    assert list(base(open_files, *many)) == ["cart.py", "app.py"]


def test_an_open_file_that_was_found_is_shown_once() -> None:
    assert (
        base({"app.py": "$0", "cart.py": CART}, *items("cart.py", CART))["cart.py"] == "class Cart:\ndef total(self):\n"
    )


def test_what_an_open_file_no_longer_has_is_not_shown() -> None:
    """It was found some keys ago; the log begins with the files as they are now."""
    texts = {"app.py": "$0", "cart.py": CART.replace("total", "sum")}
    assert base(texts, *items("cart.py", CART))["cart.py"] == "class Cart:\n"
    texts["cart.py"] = CART.replace("return 1", "return 2")
    assert base(texts, *items("cart.py", CART, whole=True)) == {"cart.py": texts["cart.py"], "app.py": ""}


def test_what_is_lacking_is_what_is_strong_and_not_shown() -> None:
    ledger = compacted(*window(ROOT, {"app.py": "$0"}), items("cart.py", CART))
    tax = items("tax.py", "def vat(): pass\ndef net(): pass\n")
    assert lacking(ledger, [*items("cart.py", CART), *tax]) == (ContextFile("tax.py", "def vat():\ndef net():\n"),)
    assert lacking(ledger, items("tax.py", "def vat(): pass\n", NOTED_SCORE - 0.1)) == ()
    later = grown(ledger, *window(ROOT, {"app.py": "$0"}), tax[:1])
    assert later.log == (ContextFile("tax.py", "def vat():\n"),)
    assert later.known == ledger.known and later.base == ledger.base
    assert lacking(later, tax) == (ContextFile("tax.py", "def net():\n"),)


def test_little_is_told_at_once_the_best_first() -> None:
    ledger = compacted(*window(ROOT, {"app.py": "$0"}))
    many = items("big.py", "".join(f"def f{number:04}(): pass\n" for number in range(400)))
    best = items("z.py", "def best(): pass\n", 3.0)
    files = lacking(ledger, [*many, *best])
    assert [file.path for file in files] == ["big.py", "z.py"]
    assert sum(estimate(file.text) for file in files) <= NOTED_TOKENS + len(many)  # each line is counted for itself


def test_what_the_index_says_late_goes_behind_what_was_shown_meanwhile() -> None:
    texts = {"app.py": "$0"}
    ledger = compacted(*window(ROOT, texts))
    later = grown(ledger, *window(ROOT, texts), items("cart.py", CART, NOTED_SCORE - 0.1), is_bare=True)
    assert later.base == ledger.base and later.log == (ContextFile("cart.py", "class Cart:\ndef total(self):\n"),)


def test_a_new_base_begins_as_the_old_one_did() -> None:
    """Open files in the order of their opening; the first one has changed in one line, and that is told in the log."""
    long = "".join(f"def f{n}(): return {n}\n" for n in range(30))
    texts = {"a.py": long, "b.py": long, "c.py": "x = $0\n"}
    old = compacted(*window(ROOT, texts), [])
    assert [file.path for file in old.base] == ["a.py", "b.py", "c.py"]
    now = {**texts, "a.py": long.replace("return 3\n", "return 4\n"), "d.py": "D = 1\n"}
    fresh = compacted(*window(ROOT, now), [], old)
    assert fresh.base[:3] == old.base and fresh.base[3:] == (ContextFile("d.py", "D = 1\n"),)
    assert fresh.log == ("@@ a.py:4 @@\n-def f3(): return 3\n+def f3(): return 4\n",)
    rewritten = {**texts, "a.py": long.upper()}
    later = compacted(*window(ROOT, rewritten), [], old)
    assert [file.path for file in later.base] == ["b.py", "a.py", "c.py"] and later.log == ()
