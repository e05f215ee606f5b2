"""Sequences leave llama.cpp's pool and come back: what they say is the same, and a pass has few rows beside it."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.backends.base import EngineSettings, Snapshot, Step
from inference.backends.llama import LlamaBackend
from inference.backends.llama_pool import LEAST_ROWS, TO_MOVE, Pool
from inference.generation import GREEDY
from tests.inference.backends.test_contract import answer, opened, say
from tests.inference.backends.test_llama import tokenizer_of

SETTINGS = EngineSettings(n_ctx=2048, n_cells=4096, max_sequences=5, n_threads=1, chunk=128, exact=True)


@pytest.fixture(scope="module")
def backend(exact_gguf: Path) -> Iterator[LlamaBackend]:
    made = LlamaBackend("small", exact_gguf, tokenizer_of(exact_gguf), SETTINGS)
    yield made
    made.shutdown()


@pytest.fixture
def others(backend: LlamaBackend) -> Iterator[list[int]]:
    """Three sequences of 600 tokens each, which share nothing."""
    seqs = [backend.open() for _ in range(3)]
    for seq in seqs:
        backend.evaluate(seq, text(seq, 600))
    yield seqs
    for seq in seqs:
        backend.close(seq)


def text(seed: int, n_tokens: int) -> list[int]:
    numbers = random.Random(seed)
    return [numbers.randrange(60, 2000) for _ in range(n_tokens)]


def test_a_prompt_is_evaluated_beside_nobody(backend: LlamaBackend, others: list[int]) -> None:
    """What a pass costs follows the highest cell that is used: of four sequences only its own rows are there."""
    pool = backend._pool
    assert pool.n_inside() == 600
    with opened(backend, text(9, 300)):
        assert pool.n_inside() == 300
        assert pool.high() < 300 + LEAST_ROWS


def test_who_was_away_says_what_it_would_have_said(backend: LlamaBackend, others: list[int]) -> None:
    for seq in others:
        backend.evaluate(seq, [65] * TO_MOVE)
    said = [_said(backend, seq, 66, 6) for seq in others]
    assert said == [answer(backend, [*text(seq, 600), *[65] * TO_MOVE, 66], 6) for seq in others]


def test_two_that_take_short_turns_stay(backend: LlamaBackend) -> None:
    """Moving would cost more than the other's rows do."""
    with opened(backend, text(1, 400)) as one, opened(backend, text(2, TO_MOVE - 1)) as other:
        for _ in range(20):
            backend.evaluate(one, [65])
            backend.evaluate(other, [65])
            assert backend._pool.out_bytes() == 0


def test_a_trunk_is_stored_once_wherever_it_is(backend: LlamaBackend) -> None:
    """Two windows of one repository, then one of another, then the first two again."""
    trunk, row_bytes = text(1, 1500), backend.info.row_bytes
    with opened(backend, trunk) as first:
        mark = backend.snapshot(first)
        second = backend.fork(first, mark)
        backend.evaluate(first, text(2, 300))
        backend.evaluate(second, text(3, 300))
        assert backend._pool.n_inside() == 1800  # the tail that is not in use is away
        with opened(backend, text(4, 500)):
            assert backend._pool.n_inside() == 500
            states = 2 * backend.info.snapshot_bytes
            assert 2100 * row_bytes < backend._pool.out_bytes() < 2150 * row_bytes + states + 1000
        said = [_said(backend, seq, 65, 4) for seq in (first, second)]
        assert backend._pool.n_inside() <= 2110  # 3,610 if each had its own
        backend.close(second)
    assert said == [answer(backend, [*trunk, *text(end, 300), 65], 4) for end in (2, 3)]


def test_no_more_is_away_than_was_planned_for(backend: LlamaBackend, exact_gguf: Path) -> None:
    limit = 700 * backend.info.row_bytes + backend._state_bytes
    settings = replace(SETTINGS, away_bytes=limit)
    made = LlamaBackend("small", exact_gguf, tokenizer_of(exact_gguf), settings)
    with opened(made, text(1, 600)), opened(made, text(2, 600)), opened(made, text(3, 600)):
        assert 0 < made._pool.out_bytes() <= limit
        assert made._pool.n_inside() == 1200
    made.shutdown()


Move = tuple[str, int, int]
MOVES = st.lists(
    st.tuples(
        st.sampled_from(("new", "append", "append", "draft", "together", "mark", "back", "fork", "close", "empty")),
        st.integers(0, 7),
        st.integers(1, 300),
    ),
    min_size=4,
    max_size=24,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
def test_any_order_of_moves(backend: LlamaBackend, moves: list[Move]) -> None:
    """Held against a list of tokens for each sequence; at the end each says what it says alone."""
    held: dict[int, list[int]] = {}
    marks: dict[int, Snapshot] = {}
    for number, (kind, which, n_tokens) in enumerate(moves):
        _move(backend, held, marks, kind, which, text(number, n_tokens))
    said = {seq: _said(backend, seq, 65, 3) for seq in held}
    for seq in held:
        backend.close(seq)
    assert backend._pool.n_inside() == backend._pool.out_bytes() == 0
    assert said == {seq: answer(backend, [*tokens, 65], 3) for seq, tokens in held.items()}


def _said(backend: LlamaBackend, seq: int, token: int, n_tokens: int) -> list[int]:
    """What comes after one more token."""
    backend.evaluate(seq, [token])
    return say(backend, seq, n_tokens)


def _move(
    backend: LlamaBackend,
    held: dict[int, list[int]],
    marks: dict[int, Snapshot],
    kind: str,
    which: int,
    tokens: list[int],
) -> None:
    seqs = list(held)
    seq = seqs[which % len(seqs)] if seqs else -1
    can_open = len(seqs) < SETTINGS.max_sequences
    has_room = sum(map(len, held.values())) + len(tokens) < 1500
    greedy = backend.sampler(GREEDY)
    if kind == "new" and can_open and has_room:
        seq = backend.open()
        backend.evaluate(seq, tokens)
        held[seq] = tokens
    elif seq < 0:
        return
    elif kind == "append" and has_room:
        backend.evaluate(seq, tokens)
        held[seq] += tokens
    elif kind == "draft" and has_room:
        drawn = backend.step(seq, tokens[0], tokens[1:40], greedy)
        held[seq] += [tokens[0], *drawn[:-1]]
    elif kind == "together":
        backend.step_together([Step(each, tokens[0], greedy) for each in seqs])
        for each in seqs:
            held[each].append(tokens[0])
    elif kind == "mark":
        marks[seq] = backend.snapshot(seq)
    elif kind == "back" and seq in marks:
        backend.restore(seq, marks[seq])
        del held[seq][marks[seq].n_tokens :]
    elif kind == "fork" and can_open and seq in marks:
        child = backend.fork(seq, marks[seq])
        held[child] = held[seq][: marks[seq].n_tokens]
    elif kind == "close":
        backend.close(seq)
        del held[seq]
        marks.pop(seq, None)
    elif kind == "empty":
        backend._pool.empty(wipe=False)


def test_a_pool_counts_what_holes_cost() -> None:
    """Someone small behind someone large that left: a while later the small one lies in front."""
    said: list[str] = []
    pool = Pool(_Context(said), spare=9, has_state=False, is_fused=False)
    pool.limit(1 << 20, 1, 1)
    pool.open(0)
    pool.ready((0,), 1000)
    pool.grew(0, 1000)
    pool.open(1)
    for _ in range(TO_MOVE - 1):
        pool.ready((1,), 20)
        pool.grew(1, 20)
    assert pool.n_inside() == 20 * (TO_MOVE - 1)
    assert pool.high() == pool.n_inside()
    assert said.count("clear") <= 2


class _Context:
    """Answers what is asked, and notes when it is emptied."""

    n_ctx = 4096

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def get_state_seq_data_with_flags(self, seq: int, flags: int) -> bytes:
        return b"x" * 100

    def set_state_seq_data_with_flags(self, data: bytes, seq: int, flags: int) -> None: ...

    def memory_seq_cp(self, source: int, target: int, first: int, last: int) -> None: ...

    def memory_seq_rm(self, seq: int, first: int, last: int) -> bool:
        return True

    def kv_cache_clear(self, wipe: bool) -> None:
        self._said.append("clear")
