"""Arithmetic on packed ids and on numbered rows, against slow models."""

from hypothesis import given
from hypothesis import strategies as st

from inference.kept import Runs, common_prefix, common_rows, count_rows, first_rows, pack


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix_counts_equal_tokens(a: list[int], b: list[int]) -> None:
    slow = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert common_prefix(pack(a), pack(b)) == slow


def test_rows_count_once() -> None:
    assert count_rows([(0, 10), (5, 12), (20, 21)]) == 13
    assert count_rows([]) == 0


def numbers(runs: Runs) -> list[int]:
    return [row for first, last in runs for row in range(first, last)]


# A path and where another one leaves it; rows that come later have larger numbers.
lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(lengths, st.integers(0, 20), st.integers(0, 3))
def test_paths_share_what_lies_before_their_fork(runs: list[int], at: int, n_more: int) -> None:
    path = [(10 * i, 10 * i + n) for i, n in enumerate(runs)]
    child = first_rows(path, at) + [(100, 100 + n_more)] * bool(n_more)
    assert numbers(first_rows(path, at)) == numbers(path)[:at]
    assert common_rows(path, child) == common_rows(child, path) == min(at, len(numbers(path)))
