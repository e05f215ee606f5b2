"""Figures made of samples, and goals held against them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.inference_figures import Cold, Decoded, Forced, Preempted, Sample, Step, p95, rows, table_lines
from scripts.benches.inference_goals import Verdict, verdict_lines, verdicts

KEY = Sample("llama", "ours", 1000, "ledger", "key", 1100, 1098, 8, 9, 0.004, 0.01, 0.01)
FORCED = Forced(2, 2000, 100, 1.0, 1.0, 3.5, 3.5, (3.5,), (3.5,))
DECODED = Decoded("llama", 10, 1300, 100, 20.0, FORCED, replace(FORCED, cpu_ratios=(0.5, 0.96, 0.97)))


def judged(
    *samples: Sample,
    cold: tuple[Cold, ...] = (),
    preempted: tuple[Preempted, ...] = (),
    decoded: Decoded | None = None,
    engine: str = "llama",
) -> dict[str, bool | None]:
    """Verdicts by the beginning of their goal."""
    peer = {"llama": "llama-server", "mlx": "mlx_lm.server"}[engine]
    found = verdicts(engine, peer, rows(samples), cold, preempted, decoded)
    return {each.goal: each.reached for each in found}


def one(found: dict[str, bool | None], begins: str) -> bool | None:
    (reached,) = [reached for goal, reached in found.items() if goal.startswith(begins)]
    return reached


def test_a_row_has_medians_of_its_samples_and_the_mean_of_coarse_cpu_time() -> None:
    samples = [replace(KEY, evaluated=n, cpu_s=cpu) for n, cpu in ((9, 0.01), (10, 0.0), (30, 0.02))]
    (row,) = rows(samples)
    assert (row.n, row.evaluated, row.evaluated_p95, row.to_first_max) == (3, 10, 30, 2)
    assert row.cpu_s == pytest.approx(0.01)


def test_first_requests_and_keys_servers_and_contexts_are_rows_of_their_own() -> None:
    step: Step = "first"
    others = [replace(KEY, step=step), replace(KEY, server="llama-server"), replace(KEY, context=4000)]
    assert [row.n for row in rows([KEY, *others, KEY])] == [2, 1, 1, 1]


@given(st.lists(st.integers(), min_size=1))
def test_p95_has_at_most_a_twentieth_above_it(values: list[int]) -> None:
    assert sum(value > p95(values) for value in values) <= len(values) / 20


def test_nothing_measured_nothing_claimed() -> None:
    assert set(judged().values()) == {None}


@pytest.mark.parametrize(("evaluated", "reached"), [(16, True), (17, False)])
def test_tokens_per_key(evaluated: int, reached: bool) -> None:
    """At every context: one that is over the goal decides."""
    found = judged(replace(KEY, evaluated=1), replace(KEY, context=4000, evaluated=evaluated))
    assert one(found, "tokens per key, answer included: median") is reached


@pytest.mark.parametrize(("at_32k", "reached"), [(9, True), (10, False)])
def test_flat(at_32k: int, reached: bool) -> None:
    assert one(judged(KEY), "flat") is None
    assert one(judged(KEY, replace(KEY, context=32_000, evaluated=at_32k)), "flat") is reached


@pytest.mark.parametrize(("to_first", "reached"), [(160, True), (161, False)])
def test_an_edit_in_the_log(to_first: int, reached: bool) -> None:
    edit = replace(KEY, trace="edit-log", prompt=1200, reused=1200 - to_first)
    assert one(judged(edit), "edit of e") is reached


@pytest.mark.parametrize(
    ("engine", "peer", "peers", "reached"),
    [
        ("llama", "llama-server", 180, True),
        ("llama", "llama-server", 179, False),
        ("mlx", "mlx_lm.server", 4500, True),
        ("mlx", "mlx_lm.server", 4499, False),
    ],
)
def test_fewer_tokens_than_a_peer_at_32k_only(engine: str, peer: str, peers: int, reached: bool) -> None:
    ours = replace(KEY, engine=engine, context=32_000)
    theirs = replace(ours, server=peer, trace="middle", evaluated=peers)
    assert one(judged(ours, theirs, engine=engine), "tokens per key in the middle") is reached
    small = (replace(ours, context=4000), replace(theirs, context=4000))
    assert one(judged(*small, engine=engine), "tokens per key in the middle") is None


@pytest.mark.parametrize(("seconds", "reached"), [(0.012, True), (0.0119, False)])
def test_first_token_against_a_prefix_first_peer(seconds: float, reached: bool) -> None:
    ours = replace(KEY, context=4000)
    theirs = replace(ours, server="llama-server", trace="middle", first_token_s=seconds)
    assert one(judged(ours, theirs), "first token against llama-server, prefix first, at 4k") is reached


def test_times_of_mlx_are_not_judged() -> None:
    assert not [goal for goal in judged(engine="mlx") if goal.startswith("first token against")]


@pytest.mark.parametrize(("cpu", "reached"), [(1.03, True), (1.04, False)])
def test_cold_prefill_is_judged_by_the_median_of_pairs_at_the_largest_context(cpu: float, reached: bool) -> None:
    cold = (
        Cold("llama", 1000, 1.0, 9.0, 1.0, 1.0, 0.1, 1.0),
        Cold("llama", 32_000, 2.0, cpu, 1.0, 1.0, 0.1, 0.5),
        Cold("llama", 32_000, 2.0, 2 * cpu, 1.0, 2.0, 0.1, 1.0),  # a slow minute
        Cold("llama", 32_000, 2.0, 5.0, 1.0, 1.0, 0.1, 0.5),
    )
    assert one(judged(cold=cold), "cold prefill against the raw engine with the same") is reached
    assert one(judged(cold=cold), "cold prefill against the raw engine with its own") is False


@pytest.mark.parametrize(("seconds", "reached"), [(0.1, True), (0.11, False)])
def test_restart(seconds: float, reached: bool) -> None:
    cold = (Cold("llama", 32_000, 2.0, 2.0, 2.0, 2.0, 0.1, 2.0),)
    again = replace(KEY, trace="restart", context=32_000, first_token_s=seconds)
    assert one(judged(again, cold=cold), "first token after a restart") is reached


@pytest.mark.parametrize(("during", "reached"), [((0.2, 0.25, 9.0), True), ((0.26,), False), ((), None)])
def test_typing_during_a_prefill(during: tuple[float, ...], reached: bool | None) -> None:
    mine = Preempted("llama", "ours", 30_000, 0.1, (0.1, 0.1), during)
    peers = replace(mine, server="llama-server", during_s=(99.0,))
    assert one(judged(preempted=(mine, peers)), "typing during") is reached


def test_decoding() -> None:
    found = judged(decoded=DECODED)
    assert one(found, "edits, tokens per pass") is one(found, "edits, speed") is one(found, "text without") is True
    slow = replace(
        DECODED, replay_passes=110, edits=replace(FORCED, cpu_s=1.2), others=replace(FORCED, wall_ratios=(0.94,))
    )
    found = judged(decoded=slow)
    assert one(found, "edits, tokens per pass") is one(found, "edits, speed") is one(found, "text without") is False


def test_tables_are_text() -> None:
    lines = table_lines(rows([KEY, replace(KEY, context=32_000)]))
    assert [line for line in lines if "context" in line] == [
        "llama, 1k tokens of context",
        "llama, 32k tokens of context",
    ]
    assert verdict_lines([Verdict("llama", "a goal", "5", None)]) == ["not measured llama  a goal: 5"]
