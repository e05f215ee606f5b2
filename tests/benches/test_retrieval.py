"""What the retrieval bench masks and counts, on a repository of three files."""

from dataclasses import replace
from pathlib import Path

import pytest

from scripts.benches.retrieval import BUDGETS, GOAL_TOKENS, Counts, Name, Results, _repository, measure, summary, table
from scripts.benches.retrieval_peers import Shown, cut

FILES = {
    "cart.py": "class Cart:\n    def total_price(self): return 1\n\n\ndef load_cart(path): return Cart()\n",
    "app.py": "from cart import load_cart\n\n\ndef main():\n    print(load_cart('x').total_price())\n",
    "other.py": "def unused(): ...\n",
}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-gitconfig"))
    root = tmp_path / "shop"
    root.mkdir()
    for path, text in FILES.items():
        (root / path).write_text(text)
    found = Results("shop", held_out=True)
    measure(root, "python", 5, tmp_path, found)
    return found


def test_one_line_uses_one_name_that_its_file_has_and_one_that_it_has_not(results: Results) -> None:
    ours = results.counts["qwen-lsp"][GOAL_TOKENS]
    assert (ours.found, ours.total) == (2, 2)
    assert (ours.of(hard=True).found, ours.of(hard=True).total) == (1, 1)
    none = results.counts["open file"][GOAL_TOKENS]
    assert none.found == 0 and [replace(name, is_found=True) for name in none.names] == ours.names
    assert {name: row.keys() for name, row in results.counts.items()} == dict.fromkeys(
        ("qwen-lsp", "open file", "BM25", "repo map"), dict.fromkeys(BUDGETS).keys()
    )
    assert len(results.first_ms) == len(results.moved_ms) == 1


def test_what_is_told(results: Results) -> None:
    told = table(results)
    assert told[0] == "shop (held out): 2 names, 1 of them hard"
    assert "2000: 100 / 100" in told[1]
    assert summary([results])[0] == (
        "held out, 2000 tokens, qwen-lsp   100.0 % (0.0 … 100.0) of 2, hard 100.0 % (0.0 … 100.0) of 1"
    ), "one file says nothing for sure"


def test_names_of_one_file_are_drawn_together() -> None:
    together = Counts([Name(f"{n // 4}.py", False, n // 4 % 2 == 0) for n in range(40)])
    alone = Counts([replace(name, file=str(n)) for n, name in enumerate(together.names)])
    wide, narrow = together.interval(), alone.interval()
    assert wide.mean == narrow.mean == 0.5 and wide.high - wide.low > narrow.high - narrow.low


def test_what_is_too_long_is_left_out() -> None:
    long, short = Shown("a", 0, 9, 50), Shown("b", 0, 9, 10)
    assert cut([long, short], 20) == [short] and cut([short, long], 60) == [short, long]


def test_a_repository_needs_a_folder_and_a_language(tmp_path: Path) -> None:
    assert _repository(f"{tmp_path}=python") == (tmp_path, "python")
