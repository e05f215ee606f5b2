"""What every backend promises, asked of all three. Equality is of greedy answers, exact, never approximate."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from inference.backends.base import Backend, Snapshot
from inference.errors import BadRequest, PromptTooLong
from inference.generation import GREEDY, Sampling

PYTHON = "def total(items):\n    return sum(item.price for item in items)\n"
C = "static int max(int a, int b) {\n\treturn a > b ? a : b;\n}\n"


def ids(backend: Backend, text: str) -> list[int]:
    return backend.tokenizer.encode(text, parse_special=False)


@contextmanager
def opened(backend: Backend, tokens: list[int]) -> Iterator[int]:
    seq = backend.open()
    try:
        if tokens:
            backend.evaluate(seq, tokens)
        yield seq
    finally:
        backend.close(seq)


@contextmanager
def forked(backend: Backend, seq: int, snapshot: Snapshot) -> Iterator[int]:
    child = backend.fork(seq, snapshot)
    try:
        yield child
    finally:
        backend.close(child)


def say(backend: Backend, seq: int, n_tokens: int, sampling: Sampling = GREEDY) -> list[int]:
    """Sample and evaluate `n_tokens`; the sequence must have been evaluated last."""
    sampler = backend.sampler(sampling)
    said = []
    for _ in range(n_tokens):
        said.append(backend.sample(seq, sampler))
        backend.evaluate(seq, said[-1:])
    return said


def answer(backend: Backend, tokens: list[int], n_tokens: int = 12) -> list[int]:
    with opened(backend, tokens) as seq:
        return say(backend, seq, n_tokens)


@pytest.mark.parametrize("size", [1, 7, 64, 65])
def test_chunks_equal_whole(backend: Backend, size: int) -> None:
    tokens = (ids(backend, PYTHON) * 8)[:70]
    with opened(backend, []) as seq:
        for start in range(0, len(tokens), size):
            backend.evaluate(seq, tokens[start : start + size])
        assert say(backend, seq, 8) == answer(backend, tokens, 8)


def test_restore_goes_back_exactly(backend: Backend) -> None:
    head, tail, other = ids(backend, PYTHON), ids(backend, C), ids(backend, "print(1)\n")
    with opened(backend, head) as seq:
        mark = backend.snapshot(seq)
        assert mark.n_tokens == len(head)
        backend.evaluate(seq, tail)
        first = say(backend, seq, 8)
        for _ in range(3):
            backend.restore(seq, mark)
            backend.evaluate(seq, tail)
            assert say(backend, seq, 8) == first
        backend.restore(seq, mark)
        backend.evaluate(seq, other)
        assert say(backend, seq, 8) == answer(backend, head + other, 8)
    assert first == answer(backend, head + tail, 8)


def test_snapshots_of_one_sequence_in_any_order(backend: Backend) -> None:
    tokens = ids(backend, PYTHON + C)
    with opened(backend, []) as seq:
        marks = [backend.snapshot(seq)]
        for token in tokens[:20]:
            backend.evaluate(seq, [token])
            marks.append(backend.snapshot(seq))
        for n in (17, 3, 0):  # only ever back
            backend.restore(seq, marks[n])
            backend.evaluate(seq, [65])
            assert say(backend, seq, 4) == answer(backend, [*tokens[:n], 65], 4)


def test_fork_equals_parent_and_leaves_it_unharmed(backend: Backend) -> None:
    head, tail, other = ids(backend, PYTHON), ids(backend, C), ids(backend, "while True:\n")
    with opened(backend, head) as parent:
        mark = backend.snapshot(parent)
        backend.evaluate(parent, tail)
        before = say(backend, parent, 4)
        with forked(backend, parent, mark) as child:
            backend.evaluate(child, other)
            assert say(backend, child, 8) == answer(backend, head + other, 8)
            with forked(backend, child, mark) as grandchild:
                backend.evaluate(grandchild, tail)
                assert say(backend, grandchild, 4) == before
        backend.evaluate(parent, other)
        assert say(backend, parent, 8) == answer(backend, head + tail + before + other, 8)


def test_child_outlives_parent(backend: Backend) -> None:
    head, tail = ids(backend, PYTHON), ids(backend, C)
    parent = backend.open()
    backend.evaluate(parent, head)
    with forked(backend, parent, backend.snapshot(parent)) as child:
        backend.close(parent)
        with opened(backend, tail):  # takes the parent's place in memory
            backend.evaluate(child, tail)
            assert say(backend, child, 8) == answer(backend, head + tail, 8)


def test_fork_of_nothing_is_empty(backend: Backend) -> None:
    with opened(backend, []) as parent:
        mark = backend.snapshot(parent)
        backend.evaluate(parent, ids(backend, PYTHON))
        with forked(backend, parent, mark) as child:
            backend.evaluate(child, ids(backend, C))
            assert say(backend, child, 8) == answer(backend, ids(backend, C), 8)


def test_interleaved_sequences_do_not_disturb_each_other(backend: Backend) -> None:
    texts = [ids(backend, text) for text in (PYTHON, C, "x = [1, 2, 3]\n")]
    alone = [answer(backend, tokens, 6) for tokens in texts]
    sampler = backend.sampler(GREEDY)
    with opened(backend, []) as a, opened(backend, []) as b, opened(backend, []) as c:
        said: list[list[int]] = [[], [], []]
        for step in range(6):
            for said_here, seq, tokens in zip(said, (a, b, c), texts, strict=True):
                backend.evaluate(seq, tokens if step == 0 else said_here[-1:])
                said_here.append(backend.sample(seq, sampler))
    assert said == alone


def test_closing_frees_sequences(backend: Backend) -> None:
    tokens = ids(backend, C)
    expected = answer(backend, tokens, 3)
    for _ in range(3 * backend.info.max_sequences):
        with opened(backend, tokens[:5]) as seq, forked(backend, seq, backend.snapshot(seq)):
            pass
    assert answer(backend, tokens, 3) == expected


def test_no_more_sequences_than_said(backend: Backend) -> None:
    held = [backend.open() for _ in range(backend.info.max_sequences)]
    assert len(set(held)) == len(held)
    with pytest.raises(RuntimeError, match="are open"):
        backend.open()
    for seq in held:
        backend.close(seq)


@pytest.mark.parametrize("engine", ["mlx", "llama"])
def test_same_seed_same_tokens(engine: str, request: pytest.FixtureRequest) -> None:
    backend: Backend = request.getfixturevalue(engine)
    hot = Sampling(temperature=1.0, top_k=50, top_p=0.95, min_p=0.01, seed=7)
    said = []
    for sampling in (hot, hot, replace(hot, seed=8)):
        with opened(backend, ids(backend, PYTHON)) as seq:
            said.append(say(backend, seq, 16, sampling))
    assert said[0] == said[1] != said[2]


def test_tiny_temperature_is_greedy(backend: Backend) -> None:
    with opened(backend, ids(backend, PYTHON)) as seq:
        cold = backend.sample(seq, backend.sampler(Sampling(temperature=1e-30)))
        assert cold == backend.sample(seq, backend.sampler(GREEDY))


@pytest.mark.parametrize("tokens", [[-1], [10**6], [1, 2, 5000]])
def test_ids_out_of_range(backend: Backend, tokens: list[int]) -> None:
    with opened(backend, []) as seq, pytest.raises(BadRequest, match="token ids"):
        backend.evaluate(seq, tokens)


def test_sequence_over_the_context(backend: Backend) -> None:
    with opened(backend, []) as seq:
        with pytest.raises(PromptTooLong):
            backend.evaluate(seq, [65] * (backend.info.n_ctx + 1))
        backend.evaluate(seq, ids(backend, C))  # refused before anything happened
        assert say(backend, seq, 4) == answer(backend, ids(backend, C), 4)


def test_breaches_of_the_contract(backend: Backend) -> None:
    sampler = backend.sampler(GREEDY)
    with opened(backend, [65, 66, 67]) as seq, opened(backend, [68]) as other:
        late = backend.snapshot(seq)
        with pytest.raises(RuntimeError, match="last one evaluated"):
            backend.sample(seq, sampler)
        with pytest.raises(RuntimeError, match="ahead"):
            backend.restore(other, late)
        with pytest.raises(RuntimeError, match="ahead"):
            backend.fork(other, late)
        with pytest.raises(RuntimeError, match="nothing"):
            backend.evaluate(seq, [])
        backend.restore(seq, late)
        with pytest.raises(RuntimeError, match="last one evaluated"):
            backend.sample(seq, sampler)
    for call in (lambda: backend.evaluate(seq, [65]), lambda: backend.close(seq), lambda: backend.snapshot(seq)):
        with pytest.raises(RuntimeError, match="not open"):
            call()


def test_info_is_true(backend: Backend) -> None:
    info = backend.info
    assert (info.n_ctx, info.max_sequences) == (512, 4)
    assert info.n_cells >= 1024 and info.row_bytes > 0
    assert info.end_ids <= set(range(info.n_vocab)) and len(info.end_ids) >= 3
    with opened(backend, [65, 66]) as seq:
        assert backend.snapshot(seq).n_bytes == info.snapshot_bytes
