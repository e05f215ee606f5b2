"""The benches cut, replay and score with the harness of `qwen-lsp eval`, and have no second way of their own."""

from pathlib import Path

import pytest

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.quantiles import quantile
from qwen_lsp.eval.replay import Spread, spread, trace
from scripts.benches import figures, refactor, refactor_scripted, retrieval, typing, typing_baseline
from tests.qwen_lsp.eval.repositories import repository


@pytest.mark.parametrize(
    ("bench", "names"),
    [
        (typing, ("trace", "play", "opened", "spread", "Repository")),
        (typing_baseline, ("Stroke", "local", "request")),
        (retrieval, ("masked_lines", "definitions_of", "seen", "Tree", "mean")),
        (figures, ("quantile",)),
        (refactor, ("cut", "drawn")),
        (refactor_scripted, ("carry_out", "OwnTests")),
    ],
)
def test_a_bench_takes_it_from_the_harness(bench: object, names: tuple[str, ...]) -> None:
    for name in names:
        assert getattr(bench, name).__module__.startswith("qwen_lsp.eval."), name


def test_a_share_is_read_off_in_one_way() -> None:
    values = [float(n) for n in range(20, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile(values, 1.0)) == (10, 19, 20)
    assert figures.quantiles(values) == (10, 19) and spread(values) == Spread(10, 19, 20)
    assert quantile([], 0.5) == 0.0 and quantile([7.0], 0.95) == 7.0


def test_the_typing_bench_replays_what_eval_replays(tmp_path: Path) -> None:
    trees = [{"a.py": "x = 1\n"}, {"a.py": "x = 1\nvalue = 2\n"}, {"a.py": "x = 1\nvalue = 2\nother = 3\n"}]
    past = Repository(repository(tmp_path / "w", trees))
    assert typing.cut(past, 10) == trace(past, 10, typing.SEED)
    assert typing._told([1, 2, 300]) == "median 2.0, p95 300.0, most 300.0" and spread([]) is None
    assert typing._told([]) == "none"
