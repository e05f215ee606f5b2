"""A dumped sequence, loaded again, goes on as the one it was dumped from. Equality is exact, on all three backends."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from inference.backends.base import Backend, Payload, Snapshot
from inference.errors import EngineError, ModelBroken, QueueFull
from inference.generation import GREEDY
from tests.inference.backends.test_contract import PYTHON, C, answer, forked, ids, opened, say


def evaluated(backend: Backend, seq: int, n_tokens: int) -> Payload:
    """Evaluate `n_tokens` of our text on an empty sequence, and dump it."""
    backend.evaluate(seq, (ids(backend, PYTHON + C) * 10)[:n_tokens])
    return backend.dump(seq, backend.snapshot(seq))


@contextmanager
def loaded(backend: Backend, payload: Payload, n_tokens: int) -> Iterator[tuple[int, Snapshot]]:
    seq, end = backend.load(payload, n_tokens)
    try:
        yield seq, end
    finally:
        backend.close(seq)


def as_read(payload: Payload) -> list[bytes]:
    return [bytes(piece) for piece in payload]


@pytest.mark.parametrize("at", [1, 63, 64, 65, 200])
def test_loading_equals_evaluating(backend: Backend, at: int) -> None:
    tokens = (ids(backend, PYTHON + C) * 10)[:300]
    with opened(backend, tokens[:at]) as seq:
        mark = backend.snapshot(seq)
        backend.evaluate(seq, tokens[at:])
        payload = backend.dump(seq, mark)
        expected = say(backend, seq, 8)
    with loaded(backend, as_read(payload), at) as (seq, end):
        assert (end.n_tokens, end.n_bytes) == (at, backend.info.snapshot_bytes)
        backend.evaluate(seq, tokens[at:])
        assert say(backend, seq, 8) == expected
        backend.restore(seq, end)
        backend.evaluate(seq, ids(backend, C))
        assert say(backend, seq, 4) == answer(backend, tokens[:at] + ids(backend, C), 4)
        with forked(backend, seq, end) as child:
            backend.evaluate(child, tokens[at:])
            assert say(backend, child, 8) == expected


def test_dumping_leaves_all_as_it_was(backend: Backend) -> None:
    head, tail, other = ids(backend, PYTHON), ids(backend, C), ids(backend, "while True:\n")
    sampler = backend.sampler(GREEDY)
    with opened(backend, head) as parent:
        mark = backend.snapshot(parent)
        with forked(backend, parent, mark) as child:
            backend.evaluate(child, other)
            backend.evaluate(parent, tail)
            for seq in (child, parent, child):
                backend.dump(seq, mark)
            said = [backend.sample(parent, sampler)]  # dumping left the logits, too
            backend.evaluate(parent, said)
            assert said + say(backend, parent, 5) == answer(backend, head + tail, 6)
            backend.evaluate(child, tail)
            assert say(backend, child, 6) == answer(backend, head + other + tail, 6)


def test_a_fork_is_dumped_with_the_rows_that_it_shares(backend: Backend) -> None:
    """Two branches of a branch, dumped from wherever their rows are, loaded when all of them are gone."""
    head, left, right = (ids(backend, text) for text in (PYTHON * 2, C, "while True:\n    pass\n"))
    prompts = {}
    with opened(backend, head) as trunk, forked(backend, trunk, backend.snapshot(trunk)) as a:
        backend.evaluate(a, left)
        at_a = backend.snapshot(a)
        with forked(backend, a, at_a) as b:
            backend.evaluate(b, right)
            backend.evaluate(trunk, right)
            backend.evaluate(a, head)
            for seq, tokens in ((trunk, head + right), (a, head + left + head), (b, head + left + right)):
                prompts[tuple(tokens)] = backend.dump(seq, backend.snapshot(seq))
            prompts[tuple(head + left)] = backend.dump(b, at_a)
    with opened(backend, ids(backend, C * 5)):  # takes their places in memory
        for prompt, payload in prompts.items():
            with loaded(backend, payload, len(prompt)) as (seq, _):
                backend.evaluate(seq, left)
                assert say(backend, seq, 6) == answer(backend, [*prompt, *left], 6)


@pytest.mark.parametrize("at", [250, 256])  # MLX keeps room for 256 rows: full, there is nothing to cut off
def test_a_payload_stays_as_it_is(backend: Backend, at: int) -> None:
    """Later tokens are written over the rows that it was taken from."""
    tokens = (ids(backend, PYTHON + C) * 10)[:at]
    with opened(backend, tokens[:100]) as seq:
        mark = backend.snapshot(seq)
        backend.evaluate(seq, tokens[100:])
        payload = backend.dump(seq, backend.snapshot(seq))
        before = as_read(payload)
        backend.restore(seq, mark)
        backend.evaluate(seq, (ids(backend, C) * 10)[:200])
        assert as_read(payload) == before
    with loaded(backend, payload, at) as (seq, _):
        backend.evaluate(seq, [65])
        assert say(backend, seq, 4) == answer(backend, [*tokens, 65], 4)


def test_loaded_twice_is_two_sequences(backend: Backend) -> None:
    with opened(backend, []) as seq:
        payload = evaluated(backend, seq, 100)
    with loaded(backend, payload, 100) as (one, _), loaded(backend, payload, 100) as (two, _):
        tokens = (ids(backend, PYTHON + C) * 10)[:100]
        backend.evaluate(one, [65])
        backend.evaluate(two, [66])
        assert say(backend, two, 4) == answer(backend, [*tokens, 66], 4)
        backend.evaluate(one, [67])
        assert say(backend, one, 4) == answer(backend, [*tokens, 65, 67], 4)


MALFORMED: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "nothing": lambda pieces: [],
    "only what it says it is": lambda pieces: pieces[:1],
    "without that": lambda pieces: pieces[1:],
    "a piece is missing": lambda pieces: pieces[:-1],
    "a piece too many": lambda pieces: [*pieces, b""],
    "a piece is cut off": lambda pieces: [*pieces[:-1], pieces[-1][:-1]],
    "a piece is empty": lambda pieces: [*pieces[:-1], b""],
    "a piece goes on": lambda pieces: [*pieces[:-1], pieces[-1] + b"\0"],
    "the first is altered": lambda pieces: [pieces[0][:-1] + b"?", *pieces[1:]],
    "another format": lambda pieces: [b"garbage", *pieces[1:]],
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_malformed_payloads_are_refused(backend: Backend, change: Callable[[list[bytes]], list[bytes]]) -> None:
    with opened(backend, []) as seq:
        payload = as_read(evaluated(backend, seq, 70))
        for _ in range(backend.info.max_sequences):  # each would use up a sequence, if it stayed open
            with pytest.raises(ModelBroken, match="not of this model"):
                backend.load(change(payload), 70)
        backend.evaluate(seq, [65])
        assert say(backend, seq, 4) == answer(backend, [*(ids(backend, PYTHON + C) * 10)[:70], 65], 4)


@pytest.mark.parametrize("n_tokens", [-1, 0, 69, 71, 10**9])
def test_payloads_of_another_length_are_refused(backend: Backend, n_tokens: int) -> None:
    with opened(backend, []) as seq, pytest.raises(ModelBroken):
        backend.load(evaluated(backend, seq, 70), n_tokens)


def test_payloads_of_other_engines_are_refused(mlx: Backend, llama: Backend, scripted: Backend) -> None:
    backends = (mlx, llama, scripted)
    for backend in backends:
        with opened(backend, []) as seq:
            payload = evaluated(backend, seq, 70)
        for other in backends:
            if other is not backend:
                with pytest.raises(ModelBroken):
                    other.load(payload, 70)


def test_noise_in_the_right_shape_harms_nobody_else(backend: Backend) -> None:
    """The store would have noticed; here it must not end the process, nor reach what others say."""
    noise = random.Random(5)
    with opened(backend, ids(backend, PYTHON)) as other:
        with opened(backend, []) as seq:
            first, *rest = evaluated(backend, seq, 70)
        for _ in range(2 * backend.info.max_sequences):
            with suppress(EngineError), loaded(backend, [first, *(noise.randbytes(len(piece)) for piece in rest)], 70):
                pass
        backend.evaluate(other, [65])
        assert say(backend, other, 4) == answer(backend, [*ids(backend, PYTHON), 65], 4)


@pytest.mark.parametrize("engine", ["llama", "scripted"])  # MLX takes what memory there is
def test_no_room_is_an_error_and_ends_with_the_others(engine: str, request: pytest.FixtureRequest) -> None:
    backend: Backend = request.getfixturevalue(engine)
    with opened(backend, []) as seq:
        payload = evaluated(backend, seq, 300)
    with opened(backend, [65] * 500), opened(backend, [66] * 400):
        for _ in range(backend.info.max_sequences):
            with pytest.raises(QueueFull, match="no room"):
                backend.load(payload, 300)
    with loaded(backend, payload, 300) as (seq, _):
        backend.evaluate(seq, [65])
        assert say(backend, seq, 4) == answer(backend, [*(ids(backend, PYTHON + C) * 10)[:300], 65], 4)


def test_what_can_not_be_dumped(backend: Backend) -> None:
    with opened(backend, []) as seq:
        start = backend.snapshot(seq)
        backend.evaluate(seq, [65, 66])
        end = backend.snapshot(seq)
        backend.restore(seq, start)
        with pytest.raises(RuntimeError, match="nothing"):
            backend.dump(seq, start)
        with pytest.raises(RuntimeError, match="ahead"):
            backend.dump(seq, end)
    with pytest.raises(RuntimeError, match="not open"):
        backend.dump(seq, end)
