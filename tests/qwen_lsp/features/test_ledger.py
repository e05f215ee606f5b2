"""What the index found beside what is open: who gets the room of a base, and what is still to be told at a cursor."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.context.candidates import Symbol
from qwen_lsp.context.pack import ContextFile, Item, estimate
from qwen_lsp.features.ledger import (
    FILE_TOKENS,
    NOTED_SCORE,
    NOTED_TOKENS,
    bare,
    budget_tokens,
    compacted,
    grown,
    hole_of,
    lacking,
    room_for,
    shortage,
)
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.symbols import extract
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.prompt.tail import TAIL_TOKENS
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


@given(st.integers(512, 300_000), st.integers(0, 65_536), st.integers(1, 512))
def test_a_prompt_has_the_room_that_the_context_leaves(ctx: int, context_tokens: int, max_tokens: int) -> None:
    asked = Settings(ctx=ctx, completion_context_tokens=context_tokens, completion_max_tokens=max_tokens)
    room, wanted = room_for(asked), room_for(replace(asked, ctx=None))
    assert wanted is not None
    if room is None:
        assert ctx < FILE_TOKENS + 2048 + max_tokens and "holds" not in (shortage(asked) or "")
        return
    assert room.shown + room.hunks + TAIL_TOKENS + max_tokens <= ctx
    assert 0 <= room.others <= context_tokens and room.others + FILE_TOKENS <= room.shown <= wanted.shown
    assert (room == wanted) is (ctx >= budget_tokens(asked))
    assert (shortage(asked) is not None) is (room.others < context_tokens)


def test_a_context_of_16k_has_a_ledger_with_2048_tokens_of_other_files() -> None:
    asked = Settings(ctx=16_384, completion_context_tokens=2048)
    room = room_for(asked)
    assert room is not None and room.others == 2048 and shortage(asked) is None
    assert shortage(replace(asked, ctx=4096)) == (
        "ctx = 4096 has room for 568 tokens of other files (completion.context_tokens: 2048)"
    )
    assert "ctx = 2048 is too short" in (shortage(replace(asked, ctx=2048)) or "")


def texts_at(n: int, edits: Sequence[int]) -> dict[str, str]:
    """Three files of thousands of tokens, the cursor in the first at line `n`, some lines of all edited."""
    texts = {}
    for name in ("app.py", "b.py", "c.py"):
        lines = [f"value_{name[0]}{number} = {number}  # {'x' * 40}\n" for number in range(600)]
        for number in edits:
            lines[number] = f"edited_{number} = {'y' * 90}\n"
        texts[name] = "".join(lines)
    lines = texts["app.py"].splitlines(keepends=True)
    return texts | {"app.py": "".join([*lines[:n], "$0", *lines[n:]])}


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([3600, 4096, 8192, 16_384]),
    st.lists(st.tuples(st.integers(0, 599), st.lists(st.integers(0, 599), max_size=20)), min_size=1, max_size=6),
)
def test_no_prompt_outgrows_its_context(ctx: int, steps: list[tuple[int, list[int]]]) -> None:
    ledger: Ledger | None = None
    for n, edits in steps:
        snapshot, cursor = window(ROOT, texts_at(n, edits))
        snapshot = replace(snapshot, settings=Settings(ctx=ctx, completion_context_tokens=4096))
        ledger = bare(ledger, snapshot, cursor)
        assert ledger is not None
        for fresh in (ledger, ledger := grown(ledger, snapshot, cursor)):
            hole = hole_of(fresh)
            shown = [entry if isinstance(entry, str) else entry.path + entry.text for entry in (*hole.files, *hole.log)]
            n_tokens = sum(map(estimate, [*shown, hole.before, hole.after]))
            assert n_tokens + Settings().completion_max_tokens <= ctx
