"""Scores and intervals, against what can be said without them."""

import pytest

from qwen_lsp.eval.score import Interval, difference, mean, score, similarity


@pytest.mark.parametrize(
    ("said", "wanted", "exact", "first_line"),
    [
        ("a + b", "a + b", True, True),
        ("a + b  ", "a + b\n", True, True),
        (" a + b", "a + b", False, False),
        ("a\nb", "a\nc", False, True),
        ("", "a", False, False),
    ],
)
def test_exact_but_for_white_space_at_line_ends(said: str, wanted: str, exact: bool, first_line: bool) -> None:
    found = score(said, wanted, parses=True)
    assert (found.exact, found.first_line) == (exact, first_line)


def test_similarity_is_of_common_runs() -> None:
    assert similarity("abcd", "abcd") == 1.0
    assert similarity("abcd", "bcde") == pytest.approx(0.75)
    assert similarity("", "a") == 0.0
    assert similarity("", "") == 1.0


ALONE = [str(number) for number in range(90)]  # each value a group of its own


def test_a_difference_is_sure_where_it_is_always_there() -> None:
    own = ALONE[:30]
    always = difference([1.0] * 30, [0.0] * 30, own, 1)
    assert always.is_sure and always.high == 1.0
    assert difference([0.0] * 30, [1.0] * 30, own, 1).is_sure
    assert not difference([1.0, 0.0] * 15, [0.0, 1.0] * 15, own, 1).is_sure
    assert not mean([], [], 1).is_sure


def test_an_interval_covers_the_mean_and_repeats() -> None:
    values = [float(n % 3 == 0) for n in range(90)]
    found = mean(values, ALONE, 3)
    assert found == mean(values, ALONE, 3)
    assert found.low < found.mean < found.high
    assert found.mean == pytest.approx(1 / 3)
    # Of a share p of n the standard error is sqrt(p (1 - p) / n).
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * (2 / 9 / 90) ** 0.5, rel=0.2)


def test_values_that_come_together_count_as_fewer() -> None:
    """Ten commits with nine equal holes each say no more than ten holes do."""
    values = [float(n % 3 == 0) for n in range(10) for _ in range(9)]
    groups = [str(n) for n in range(10) for _ in range(9)]
    together, alone = mean(values, groups, 3), mean(values, ALONE, 3)
    assert together.mean == alone.mean
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(3, rel=0.3)


def test_what_never_happened_may_happen_yet() -> None:
    """None of 30 right is no proof of zero: Clopper and Pearson's limit for it is 1 - 0.025 ** (1 / 30)."""
    own = ALONE[:30]
    never, always = mean([0.0] * 30, own, 1), mean([1.0] * 30, own, 1)
    assert (never.mean, never.low) == (0.0, 0.0) and never.high == pytest.approx(0.1157, abs=1e-4)
    assert (always.mean, always.high) == (1.0, 1.0) and always.low == pytest.approx(0.8843, abs=1e-4)
    none = difference([0.2] * 30, [0.2] * 30, own, 1)
    assert not none.is_sure and none.high == -none.low == pytest.approx(0.1157, abs=1e-4)
    assert difference([0.2] * 30, [0.2] * 30, own, 1, 0.99).high > none.high


def test_a_few_commits_say_nothing_for_sure() -> None:
    assert mean([0.5] * 8, ["a", "b", "c", "d"] * 2, 1) == Interval(0.5, 0.0, 1.0)
    assert not difference([1.0] * 4, [0.0] * 4, ["a", "b", "c", "d"], 1).is_sure


def test_more_confidence_is_a_wider_interval() -> None:
    ours, theirs = [float(n % 3 == 0) for n in range(90)], [0.2] * 90
    plain, wide = difference(ours, theirs, ALONE, 1), difference(ours, theirs, ALONE, 1, 0.995)
    assert wide.low < plain.low < plain.high < wide.high
