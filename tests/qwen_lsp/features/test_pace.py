"""How long to wait before the model is asked, as a table of rhythms and latencies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.features.pace import MOST_PAUSE_S, REMEMBERED, THOUGHT_S, Pace, answered, keyed, pause_s

LEAST_S = 0.025


def typed(*gaps: float, answers: tuple[float, ...] = ()) -> Pace:
    """Keys with these gaps between them, then answers that took so long."""
    pace, now = keyed(Pace(), 0.0), 0.0
    for gap in gaps:
        now += gap
        pace = keyed(pace, now)
    for seconds in answers:
        pace = answered(pace, seconds)
    return pace


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (Pace(), LEAST_S),  # nothing is known
        (typed(0.1, 0.1, 0.1), LEAST_S),  # no answer yet
        (typed(0.1, answers=(0.5,)), LEAST_S),  # no rhythm yet
        (typed(0.2, 0.2, 0.2, answers=(0.1,)), LEAST_S),  # the answer is there before the next key
        (typed(0.08, 0.08, 0.08, answers=(0.3,)), 0.1),  # it is not: wait until the fingers rest
        (typed(0.3, 0.3, 0.3, answers=(9.0,)), MOST_PAUSE_S),
        (typed(0.08, 0.08, 0.08, 2.0, answers=(0.3,)), LEAST_S),  # after a thought
        (typed(0.08, 0.08, 0.08, answers=(0.3, 0.01, 0.01)), LEAST_S),  # one slow answer is none
    ],
)
def test_the_pause(pace: Pace, expected: float) -> None:
    assert pause_s(pace, LEAST_S) == pytest.approx(expected)


def test_a_pause_that_the_user_set_is_the_least() -> None:
    assert pause_s(typed(0.08, 0.08, 0.08, answers=(0.3,)), 2.0) == 2.0


@given(st.lists(st.floats(-5, 5), max_size=40), st.lists(st.floats(0, 60), max_size=40), st.floats(0, 0.1))
def test_the_pause_is_bounded_whatever_the_clock_does(gaps: list[float], answers: list[float], least_s: float) -> None:
    pace = typed(*gaps, answers=tuple(answers))
    assert least_s <= pause_s(pace, least_s) <= MOST_PAUSE_S
    assert len(pace.gaps) <= REMEMBERED and all(0 <= gap <= THOUGHT_S for gap in pace.gaps)
