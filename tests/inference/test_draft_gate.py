"""The gate as a table of steps, and its law: whatever happens, drafting loses no more than it is allowed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.draft_gate import CREDIT, DEAR, DEAR_SHARE, FIRST_PLAIN, LOSS_SHARE, MAX_CREDIT, SURE_AFTER, Gate

PLAIN = (1, 1, 1.0)  # tokens evaluated, tokens drawn, seconds
FIRST = [PLAIN] * FIRST_PLAIN
GOOD = (9, 9, 2.0)  # eight drafted, all right, in the time of two plain steps
BAD = (9, 1, 2.0)  # eight drafted, all wrong: one second lost
HICCUP = (9, 9, 500.0)


@pytest.mark.parametrize(
    ("steps", "limit"),
    [
        pytest.param([], 0, id="nothing to compare with"),
        pytest.param([GOOD], 0, id="still nothing"),
        pytest.param([PLAIN], 0, id="one may be slow, as the first often is"),
        pytest.param([(1, 1, 500.0), PLAIN, BAD], 8, id="then the faster one counts"),
        pytest.param(FIRST, 16, id="the credit, and no idea yet what a draft costs"),
        pytest.param([*FIRST, BAD], 8, id="half the credit is worth eight tokens"),
        pytest.param([*FIRST, BAD, BAD], 0, id="the credit is gone"),
        pytest.param([*FIRST, BAD, BAD, *[PLAIN] * 4], 0, id="too little for a probe"),
        pytest.param([*FIRST, BAD, BAD, *[PLAIN] * 5], 1, id="a probe of one token"),
        pytest.param([*FIRST, BAD, BAD, *[PLAIN] * 34], 8, id="the longer nothing is lost, the more is dared"),
        pytest.param([*FIRST, BAD, BAD, *[PLAIN] * 5, (2, 2, 1.125)], 8, id="a probe that wins"),
        pytest.param([*FIRST, *[GOOD] * 1000, *[BAD] * 31], 8, id="old gains count"),
        pytest.param([*FIRST, *[GOOD] * 1000, *[BAD] * 32], 0, id="up to the cap"),
        pytest.param([*FIRST, *[GOOD] * 4, HICCUP], 16, id="one slow step is no evidence"),
        pytest.param([*FIRST, *[(3, 3, 4.0)] * 4, *[PLAIN] * 200], 0, id="dearer than steps of their own: shut"),
        pytest.param([*FIRST, *[(3, 3, 4.0)] * 4, *[PLAIN] * 300], 1, id="until a look at it can be paid for"),
        pytest.param([*FIRST, *[(3, 3, 3.0), (11, 11, 4.0)] * 9], 16, id="dear to begin with, cheap when long"),
        pytest.param([*FIRST, (1, 1, 500.0), BAD, BAD, BAD, BAD], 0, id="nor is a slow plain step"),
    ],
)
def test_table(steps: list[tuple[int, int, float]], limit: int) -> None:
    gate = Gate()
    for step in steps:
        gate.limit(16)  # the runner asks before each step
        gate.saw(*step)
    assert gate.limit(16) == limit


@given(st.lists(st.tuples(st.integers(1, 32), st.floats(0, 1)), max_size=400), st.floats(0, 1))
def test_never_loses_more_than_its_share(world: list[tuple[int, float]], token_s: float) -> None:
    """A plain step takes a second, each further token `token_s`. `world`: draft lengths, and how much is right."""
    gate = Gate()
    spent = plain_would = n_plain = 0.0
    for n_wanted, right in world:
        n_drafted = gate.limit(n_wanted)
        n_drawn = 1 + int(right * n_drafted)
        cost = 1 + n_drafted * token_s
        gate.saw(n_drafted + 1, n_drawn, cost)
        spent, plain_would, n_plain = spent + cost, plain_would + n_drawn, n_plain + (n_drafted == 0)
    one_pass = 32 * token_s  # the first, whose cost nobody knows
    assert spent <= plain_would + CREDIT + LOSS_SHARE * n_plain + one_pass + 1e-6


@given(st.lists(st.floats(0, 1), max_size=2000), st.floats(0, 2), st.floats(0.05, 1))
def test_what_a_draft_costs_by_itself_is_seen(world: list[float], fixed_s: float, token_s: float) -> None:
    """llama.cpp prepares anew whenever the number of tokens changes: beside a small model that is a step or two."""
    gate, spent, plain_would = Gate(), 0.0, 0.0
    for right in world:
        n_drafted = gate.limit(32)
        cost = 1.0 if not n_drafted else 1 + fixed_s + n_drafted * token_s
        n_drawn = 1 + int(right * n_drafted)
        gate.saw(n_drafted + 1, n_drawn, cost)
        spent, plain_would = spent + cost, plain_would + n_drawn
    first = 2 * (fixed_s + 32 * token_s)  # nobody knows yet what they cost
    assert spent <= plain_would + CREDIT + LOSS_SHARE * len(world) + first + fixed_s + 1e-6


@given(st.integers(1, 3000), st.floats(DEAR, 2))
def test_what_loses_even_when_it_is_right_is_seldom_tried(n_steps: int, token_s: float) -> None:
    """A model so small that each further token of a pass costs as much as a pass: all drafts fail here, besides."""
    gate, drafts, lost, n_unsure = Gate(), 0, 0.0, 0
    for _ in range(n_steps):
        n_drafted = gate.limit(16)
        gate.saw(1 + n_drafted, 1, 1 + n_drafted * (token_s + 0.01))
        drafts, lost = drafts + (n_drafted > 0), lost + n_drafted * (token_s + 0.01)
        n_unsure += drafts < SURE_AFTER
    first = CREDIT + 16 * (token_s + 0.01)
    assert lost <= first + LOSS_SHARE * n_unsure + DEAR_SHARE * (n_steps - n_unsure) + 1e-6


@given(st.integers(1, 3000), st.floats(0.01, 2))
def test_looking_in_vain_is_paid_for(n_steps: int, looked_s: float) -> None:
    """A text with nothing to copy from: beside a small model the search alone would be felt."""
    gate, looked = Gate(), 0.0
    for _ in range(n_steps):
        cost = looked_s if gate.limit(16) else 0.0
        gate.saw(1, 1, 1.0, cost)
        looked += cost
    assert looked <= CREDIT + LOSS_SHARE * n_steps + looked_s


@given(st.integers(1, 3000), st.floats(0.05, 1))
def test_wasted_tokens_are_few(n_steps: int, token_s: float) -> None:
    """An opponent who lets every draft fail."""
    gate, n_wasted = Gate(), 0
    for _ in range(n_steps):
        n_drafted = gate.limit(16)
        n_wasted += n_drafted
        gate.saw(1 + n_drafted, 1, 1 + n_drafted * token_s)
    assert n_wasted * token_s <= CREDIT + LOSS_SHARE * n_steps + 16 * token_s + 1e-6


@given(st.lists(st.sampled_from([PLAIN, GOOD, BAD, HICCUP]), max_size=200))
def test_what_was_gained_allows_no_more_than_the_cap(steps: list[tuple[int, int, float]]) -> None:
    gate = Gate()
    gate.saw(*PLAIN)
    for step in steps:
        gate.saw(*step)
    for _ in range(int(MAX_CREDIT)):
        gate.saw(*BAD)
    assert gate.limit(16) == 0
