"""Counts in a file: added by several windows, private, readable whatever stands in it."""

import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp import stats
from qwen_lsp.cli import main
from qwen_lsp.stats import Stats


def counted(n: int = 1) -> Stats:
    found = Stats()
    found.count("shown", 4 * n)
    found.count("accepted", n)
    for ms in range(1, 101):
        found.took("request to ghost text", ms)
    return found


def test_windows_add_up(tmp_path: Path) -> None:
    path = tmp_path / "data" / "stats.json"
    threads = [threading.Thread(target=stats.add, args=(path, counted())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = stats.read(path)
    assert (total.counts["shown"], total.counts["accepted"]) == (32, 8)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["stats.json", "stats.lock"]


def test_percentiles_are_right_to_a_fifth() -> None:
    found = counted().summary()["ms"]["request to ghost text"]
    assert found["n"] == 100
    for rank in ("50", "95", "99"):
        assert found[rank] == pytest.approx(int(rank), rel=0.2)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["version", "counts", "times", "shown", "1", "-3", "x"]), inner)))  # fmt: skip
def test_whatever_stands_in_the_file(value: object) -> None:
    found = stats.parsed(value)
    assert stats.parsed(json.loads(json.dumps(found.as_json()))) == found
    assert found.lines() and found.summary()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path))
    stats.add(stats.stats_file(), counted())
    assert main(["stats"]) == 0
    shown = capsys.readouterr().out
    assert "accepted of shown" in shown and "25.0%" in shown
    assert main(["stats", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["shown"] == 4
