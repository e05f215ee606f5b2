"""The policy against a slow model: what is reused is the longest kept prefix that ends at a snapshot."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import Snapshot
from inference.prefix_cache import FORK_WORTH, MAX_SNAPSHOTS, Kept, PrefixCache, common_prefix, count_rows, pack

# Few different ids and a shared stem make prompts that part late, early and not at all.
stems = st.integers(0, 3).map(lambda n: list(range(100, 100 + 40 * n)))
prompts = st.builds(lambda stem, tail: stem + tail, stems, st.lists(st.integers(0, 2), min_size=1, max_size=12))


def run_job(cache: PrefixCache, prompt: list[int], marks: list[int], n_answer: int, next_seq: int) -> Kept | None:
    """What the runner does with one job, without a backend."""
    plan = cache.plan(pack(prompt), n_answer)
    if plan is None:
        return None
    match, dropped = plan
    for kept in dropped:
        assert not kept.busy
        cache.forget(kept)
    kept = cache.begin(match, next_seq)
    done = match.n_tokens
    assert pack(prompt[:done]) == kept.tokens
    for stop in sorted({at for at in [*marks, match.branch, len(prompt) - 1] if done < at < len(prompt)}):
        cache.append(kept, pack(prompt[done:stop]))
        done = stop
        cache.remember(kept, Snapshot(stop, 10, None), prompt_end=stop == len(prompt) - 1 and stop not in marks)
    cache.append(kept, pack(prompt[done:] + [7] * n_answer))
    return kept


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix_counts_equal_tokens(a: list[int], b: list[int]) -> None:
    slow = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert common_prefix(pack(a), pack(b)) == slow


@given(st.lists(st.tuples(prompts, st.lists(st.integers(1, 60), max_size=3), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_reuses_the_longest_prefix_that_ends_at_a_snapshot(jobs: list[tuple[list[int], list[int], bool]]) -> None:
    cache = PrefixCache(max_rows=500, max_sequences=4)
    for number, (prompt, marks, stays_busy) in enumerate(jobs):
        packed = pack(prompt)
        slow = max(
            (
                at
                for kept in cache.kept
                for at in kept.snapshots
                if at < len(prompt) and kept.tokens[: 4 * at] == packed[: 4 * at]
            ),
            default=0,
        )
        assert cache.match(packed).n_tokens == slow
        kept = run_job(cache, prompt, marks, n_answer=3, next_seq=number)
        if kept is not None and not (stays_busy and sum(k.busy for k in cache.kept) < 3):
            cache.release(kept)
        check_limits(cache)


def check_limits(cache: PrefixCache) -> None:
    rows = {row for kept in cache.kept for first, last in kept.rows for row in range(first, last)}
    assert cache.n_rows() == len(rows) <= cache.max_rows
    assert len(cache.kept) <= cache.max_sequences
    for kept in cache.kept:
        assert sum(last - first for first, last in kept.rows) == kept.n_tokens
        assert all(0 < at <= kept.n_tokens for at in kept.snapshots)
        assert len(kept.snapshots) <= MAX_SNAPSHOTS


def test_typing_goes_on_in_place_and_keeps_one_end_snapshot() -> None:
    cache = PrefixCache(max_rows=10_000, max_sequences=4)
    prompt = list(range(1000))
    for key in range(20):
        kept = run_job(cache, prompt + list(range(2000, 2000 + key)), marks=[500], n_answer=5, next_seq=key)
        assert kept is not None
        cache.release(kept)
    assert [sorted(k.snapshots) for k in cache.kept] == [[500, 1018]]


def test_two_buffers_share_the_rows_of_their_trunk() -> None:
    cache = PrefixCache(max_rows=10_000, max_sequences=4)
    trunk = list(range(3000))
    for number, tail in enumerate([[1] * 400, [2] * 400, [1] * 401, [2] * 401]):
        kept = run_job(cache, trunk + tail, marks=[3000], n_answer=0, next_seq=number)
        assert kept is not None
        cache.release(kept)
    assert len(cache.kept) == 2
    assert cache.n_rows() == 3000 + 2 * 401
    assert cache.snapshot_bytes() == 10 * 3  # the trunk's is held once


def test_a_short_loss_is_cut_and_a_long_one_is_copied() -> None:
    cache = PrefixCache(max_rows=10_000, max_sequences=4)
    kept = run_job(cache, list(range(1000)), marks=[500, 990], n_answer=0, next_seq=0)
    assert kept is not None
    cache.release(kept)
    assert not cache.match(pack([*range(995), 5])).fork
    far = cache.match(pack([*range(600), 5]))
    assert (far.n_tokens, far.fork, far.branch) == (500, True, 600)
    assert 999 - far.n_tokens >= FORK_WORTH


def test_gives_up_its_best_match_when_both_do_not_fit() -> None:
    cache = PrefixCache(max_rows=1000, max_sequences=4)
    kept = run_job(cache, list(range(900)), marks=[100], n_answer=0, next_seq=0)
    assert kept is not None
    cache.release(kept)
    plan = cache.plan(pack([*range(100), *[1] * 800]), 50)
    assert plan is not None
    match, dropped = plan
    assert (match.n_tokens, match.fork, dropped) == (100, False, [])  # cut short rather than copied


def test_waits_while_a_running_job_holds_the_room() -> None:
    cache = PrefixCache(max_rows=1000, max_sequences=4)
    kept = run_job(cache, list(range(900)), marks=[], n_answer=0, next_seq=0)
    assert kept is not None
    other = pack([5] * 200)
    assert cache.plan(other, 0) is None
    cache.release(kept)
    plan = cache.plan(other, 0)
    assert plan is not None and plan[1] == [kept]


def test_the_oldest_goes_first_and_the_trunk_with_its_last_user() -> None:
    cache = PrefixCache(max_rows=4000, max_sequences=3)
    trunk = list(range(3000))
    for number, tail in enumerate([[1] * 300, [2] * 300]):
        kept = run_job(cache, trunk + tail, marks=[3000], n_answer=0, next_seq=number)
        assert kept is not None
        cache.release(kept)
    third = run_job(cache, trunk + [3] * 600, marks=[3000], n_answer=0, next_seq=2)
    assert third is not None
    assert [k.seq for k in cache.kept] == [1, 2]
    assert cache.n_rows() == 3000 + 300 + 600


def test_rows_count_once() -> None:
    assert count_rows([(0, 10), (5, 12), (20, 21)]) == 13
    assert count_rows([]) == 0
