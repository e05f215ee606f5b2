"""The policy against a slow model: what is reused is the longest kept prefix that ends at a snapshot."""

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import Snapshot
from inference.kept import Kept, pack
from inference.prefix_cache import AHEAD_FORK_WORTH, FORK_WORTH, MAX_SNAPSHOTS, Eviction, PrefixCache

# Few different ids and a shared stem make prompts that part late, early and not at all.
stems = st.integers(0, 3).map(lambda n: list(range(100, 100 + 40 * n)))
prompts = st.builds(lambda stem, tail: stem + tail, stems, st.lists(st.integers(0, 2), min_size=1, max_size=12))


SNAPSHOT_BYTES = 10


def cache_of(max_rows: int, max_sequences: int, max_bytes: int = 1 << 40, row_bytes: int = 1) -> PrefixCache:
    return PrefixCache(max_rows, max_sequences, max_bytes, row_bytes)


def run_job(
    cache: PrefixCache, prompt: list[int], marks: list[int], n_answer: int, next_seq: int, is_ahead: bool = False
) -> Kept | None:
    """What the runner does with one job, without a backend."""
    admitted = cache.admit(pack(prompt), n_answer, is_ahead)
    if admitted is None:
        return None
    match, evictions = admitted
    assert all(not eviction.kept.busy for eviction in evictions)
    kept = cache.begin(match, next_seq, len(prompt) - match.n_tokens + n_answer)
    done = match.n_tokens
    assert pack(prompt[:done]) == kept.tokens
    for stop in sorted({at for at in [*marks, match.branch, len(prompt) - 1] if done < at < len(prompt)}):
        cache.append(kept, pack(prompt[done:stop]))
        done = stop
        is_end = stop == len(prompt) - 1 and stop not in marks
        cache.remember(kept, Snapshot(stop, SNAPSHOT_BYTES, None), prompt_end=is_end, is_ahead=is_ahead)
    cache.append(kept, pack(prompt[done:] + [7] * n_answer))
    return kept


@given(st.lists(st.tuples(prompts, st.lists(st.integers(1, 60), max_size=3), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=200, deadline=None)
def test_reuses_the_longest_prefix_that_ends_at_a_snapshot(jobs: list[tuple[list[int], list[int], bool]]) -> None:
    cache = cache_of(max_rows=500, max_sequences=4)
    for number, (prompt, marks, stays_busy) in enumerate(jobs):
        packed = pack(prompt)
        slow = max(
            (
                at
                for kept in cache.kept
                for at in kept.stops
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
        assert all(0 < at <= kept.n_tokens for at in kept.stops)
        assert len(kept.stops) <= MAX_SNAPSHOTS


def test_typing_goes_on_in_place_and_keeps_one_end_snapshot() -> None:
    cache = cache_of(max_rows=10_000, max_sequences=4)
    prompt = list(range(1000))
    for key in range(20):
        kept = run_job(cache, prompt + list(range(2000, 2000 + key)), marks=[500], n_answer=5, next_seq=key)
        assert kept is not None
        cache.release(kept)
    assert [sorted(k.stops) for k in cache.kept] == [[500, 1018]]


def test_two_buffers_share_the_rows_of_their_trunk() -> None:
    cache = cache_of(max_rows=10_000, max_sequences=4)
    trunk = list(range(3000))
    for number, tail in enumerate([[1] * 400, [2] * 400, [1] * 401, [2] * 401]):
        kept = run_job(cache, trunk + tail, marks=[3000], n_answer=0, next_seq=number)
        assert kept is not None
        cache.release(kept)
    assert len(cache.kept) == 2
    assert cache.n_rows() == 3000 + 2 * 401
    assert cache.snapshot_bytes() == 10 * 3  # the trunk's is held once


def test_a_short_loss_is_cut_and_a_long_one_is_copied() -> None:
    cache = cache_of(max_rows=10_000, max_sequences=4)
    kept = run_job(cache, list(range(1000)), marks=[500, 990], n_answer=0, next_seq=0)
    assert kept is not None
    cache.release(kept)
    assert not cache.match(pack([*range(995), 5])).fork
    far = cache.match(pack([*range(600), 5]))
    assert (far.n_tokens, far.fork, far.branch) == (500, True, 600)
    assert 999 - far.n_tokens >= FORK_WORTH


def test_what_is_read_ahead_leaves_the_tail_that_is_typed_at() -> None:
    cache = cache_of(max_rows=10_000, max_sequences=4)
    key = run_job(cache, [*range(1000), *[1] * 60], marks=[1000], n_answer=0, next_seq=0)
    assert key is not None
    cache.release(key)
    longer = pack([*range(1000), *[2] * 40])
    assert not cache.match(longer).fork, "a key takes the place of the one before"
    ahead = cache.match(longer, AHEAD_FORK_WORTH)
    assert (ahead.n_tokens, ahead.fork) == (1000, True)
    next_one = cache.match(pack([*range(1000), *[1] * 60, 3]), AHEAD_FORK_WORTH)
    assert (next_one.n_tokens, next_one.fork) == (1059, False), "what begins as the key did goes on with its sequence"


def test_a_key_goes_on_from_the_key_before_though_its_suggestion_was_followed_ahead_of_need() -> None:
    cache = cache_of(max_rows=10_000, max_sequences=4)
    line = list(range(1000))
    for n_typed in range(5, 9):  # each key begins another token, and its suggestion goes on for six more
        prompt = [*line, *[1] * n_typed]
        n_known = cache.match(pack(prompt)).n_tokens
        assert n_known == (0 if n_typed == 5 else len(prompt) - 2), "the last token of the key before, and the new one"
        for more, is_ahead in ((0, False), (6, True)):
            kept = run_job(cache, [*prompt, *[2] * more], [1000], n_answer=3, next_seq=n_typed, is_ahead=is_ahead)
            assert kept is not None
            cache.release(kept)
    assert [sorted(kept.stops) for kept in cache.kept] == [[1000, 1007, 1013]], "one end of each"


def test_a_log_of_many_small_hunks_goes_on_from_its_end() -> None:
    """However many snapshots it had: the older ones go, that stand as near to each other."""
    cache = cache_of(max_rows=100_000, max_sequences=4)
    log = list(range(1000))
    for n in range(3 * MAX_SNAPSHOTS):
        for tail in ([*range(5000, 5060), 1], [*range(5000, 5060), 1, 2]):
            prompt = [*log, *tail]
            if n:
                assert cache.match(pack(prompt)).n_tokens >= len(log) - (20 if len(tail) == 61 else 0)
            kept = run_job(cache, prompt, [1000, len(log), len(log) + 50], n_answer=3, next_seq=n)
            assert kept is not None
            cache.release(kept)
        log += range(9000 + 20 * n, 9020 + 20 * n)
    assert all(len(kept.stops) == MAX_SNAPSHOTS and 1000 in kept.stops for kept in cache.kept)


def test_gives_up_its_best_match_when_both_do_not_fit() -> None:
    cache = cache_of(max_rows=1000, max_sequences=4)
    kept = run_job(cache, list(range(900)), marks=[100], n_answer=0, next_seq=0)
    assert kept is not None
    cache.release(kept)
    admitted = cache.admit(pack([*range(100), *[1] * 800]), 50)
    assert admitted is not None
    match, evictions = admitted
    assert (match.n_tokens, match.fork, evictions) == (100, False, [])  # cut short rather than copied


def test_waits_while_a_running_job_holds_the_room() -> None:
    cache = cache_of(max_rows=1000, max_sequences=4)
    kept = run_job(cache, list(range(900)), marks=[], n_answer=0, next_seq=0)
    assert kept is not None
    other = pack([5] * 200)
    assert cache.admit(other, 0) is None
    cache.release(kept)
    admitted = cache.admit(other, 0)
    assert admitted is not None and admitted[1] == [Eviction(kept, None)]


def test_the_oldest_tail_goes_first_and_the_trunk_stays() -> None:
    cache = cache_of(max_rows=4000, max_sequences=3)
    trunk = list(range(3000))
    for number, tail in enumerate([[1] * 300, [2] * 300]):
        kept = run_job(cache, trunk + tail, marks=[3000], n_answer=0, next_seq=number)
        assert kept is not None
        cache.release(kept)
    third = run_job(cache, trunk + [3] * 600, marks=[3000], n_answer=0, next_seq=2)
    assert third is not None
    assert [k.seq for k in cache.kept] == [1, 2]
    assert cache.n_rows() == 3000 + 300 + 600


budgets = st.tuples(st.integers(300, 700), st.integers(1, 3))


@given(budgets, st.lists(st.tuples(prompts, st.lists(st.integers(1, 60), max_size=3), st.booleans()), max_size=12))
@settings(max_examples=200, deadline=None)
def test_bytes_stay_within_the_budget(budget: tuple[int, int], jobs: list[tuple[list[int], list[int], bool]]) -> None:
    max_bytes, row_bytes = budget
    cache = cache_of(max_rows=10_000, max_sequences=4, max_bytes=max_bytes, row_bytes=row_bytes)
    for number, (prompt, marks, stays_busy) in enumerate(jobs):
        kept = run_job(cache, prompt, marks, n_answer=3, next_seq=number)
        assert cache.n_rows() * row_bytes + cache.snapshot_bytes() <= max_bytes
        if kept is not None and not (stays_busy and sum(k.busy for k in cache.kept) < 3):
            cache.release(kept)
        check_limits(cache)


def complete(cache: PrefixCache, prompt: list[int], marks: list[int], number: int) -> int:
    """One job from begin to end. Returns how much of its prompt it found."""
    n_found = cache.match(pack(prompt)).n_tokens
    kept = run_job(cache, prompt, marks, n_answer=0, next_seq=number)
    assert kept is not None
    cache.release(kept)
    return n_found


def test_the_trunk_outlives_any_number_of_tails_under_a_byte_budget() -> None:
    trunk = list(range(3000))
    cache = cache_of(max_rows=100_000, max_sequences=8, max_bytes=5000)
    found = [complete(cache, [*trunk, *[3000 + n] * 700], [3000], n) for n in range(20)]
    assert found == [0] + [3000] * 19
    assert cache.n_evicted > 10


def test_a_snapshot_that_saves_little_goes_before_one_that_saves_much() -> None:
    cache = cache_of(max_rows=100_000, max_sequences=8, max_bytes=1000 + 3 * SNAPSHOT_BYTES)
    complete(cache, list(range(1000)), [400, 420, 800], 0)  # and one at the end, 999
    assert [sorted(kept.stops) for kept in cache.kept] == [[400, 800, 999]]


def test_what_was_used_long_ago_goes_before_what_was_used_lately() -> None:
    cache = cache_of(max_rows=100_000, max_sequences=8, max_bytes=2 * (500 + 2 * SNAPSHOT_BYTES))
    old, new, third = [1] * 500, [2] * 500, [3] * 300
    for number, prompt in enumerate([old, new, new, third]):
        complete(cache, prompt, [250], number)
    assert cache.match(pack(new)).n_tokens == 499
    assert cache.match(pack(old)).n_tokens < 499
