"""Where a run begins to stand once, against counting runs one by one."""

from hypothesis import given
from hypothesis import strategies as st

from inference.line_runs import least_ends


def counted(lines: list[str]) -> list[int]:
    runs = [(i, j) for i in range(len(lines)) for j in range(i + 1, len(lines) + 1)]
    texts = [lines[i:j] for i, j in runs]
    once = [run for run, text in zip(runs, texts, strict=True) if texts.count(text) == 1]
    return [min(j for at, j in once if at == i) for i in sorted({at for at, _ in once})]


@given(st.lists(st.sampled_from("abc"), max_size=12))
def test_as_counted(lines: list[str]) -> None:
    assert least_ends(lines) == counted(lines)


def test_lines_that_repeat() -> None:
    n = 2000
    assert least_ends(["x"] * n) == [n]
    assert least_ends(["a", "b"] * (n // 2)) == [n - 1, n - 1]
    assert least_ends([str(i % 7) for i in range(n)]) == [n - 6] * 7
    assert least_ends([str(i) for i in range(n)]) == [i + 1 for i in range(n)]


def test_nothing_to_find() -> None:
    assert least_ends([]) == []
    assert least_ends(["a"]) == [1]
