"""What the index bench measures, on a workspace of two files; not how long it takes."""

from pathlib import Path

import pytest

from qwen_lsp.index.build import build
from qwen_lsp.index.store import Store
from scripts.benches.figures import quantiles, spread
from scripts.benches.index import STEPS, table
from scripts.benches.index_keys import KEYS_PER_FILE, MOVES, asks, keys

LONG = "".join(
    f"def function_{number}(value):\n    return shared_name(value) + {number}\n\n\n" for number in range(100)
)
FILES = {
    "long.py": "from shared import shared_name\n\n\n" + LONG,
    "shared.py": "def shared_name(value): return value\n",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-gitconfig"))
    root = tmp_path / "workspace"
    root.mkdir()
    for path, text in FILES.items():
        (root / path).write_text(text)
    return root


def test_a_key_reads_a_part_of_a_long_file(root: Path) -> None:
    found = keys(root, sorted(FILES))
    assert found["n_keys"] == KEYS_PER_FILE, "of the long file only"
    assert 0 < found["bytes_of_whole"] < 1, "how much is the grammar's affair: Python's looks at each indent again"


def test_a_file_is_asked_about_once_and_then_some_lines_on(root: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    build(store, root, n_workers=1, idle=False, progress=lambda _: None, cancelled=lambda: False)
    found = asks(store, root)
    assert (found["n_first"], found["n_moved"]) == (len(FILES), MOVES * len(FILES))
    assert found["first_cpu_ms_median"] > 0
    assert asks(store, root, lambda: True)["n_first"] == 0
    store.close()


def test_only_what_was_measured_is_told() -> None:
    assert table("x", {}) == ["x"]
    parse = {"cpu_s": 2.0, "wall_s": 2.0, "n_files": 3, "n_bytes": 4e6}
    cold = {"cpu_s": 3.0, "wall_s": 4.0, "store_mb": 2.0, "peak_mb": 9.0}
    told = "\n".join(table("x", {"parse": parse, "cold-1": cold}))
    assert "cold CPU / parse CPU        1.50" in told and "two processes" not in told
    assert {"parse", "cold-1"} < set(STEPS)


def test_quantiles() -> None:
    assert quantiles([3.0, 1.0, 2.0]) == (2.0, 3.0)
    assert spread("ms", [float(value) for value in range(101)]) == {"ms_median": 50.0, "ms_p95": 95.0, "ms_p99": 99.0}
    assert set(spread("ms", []).values()) == {0.0}
