"""Attention rows shared by forks: the same to the bit as rows of one's own, and each in memory once."""

from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import Backend
from inference.backends.mlx import MlxBackend
from inference.backends.mlx_rows import SLACK, Family, Rows
from tests.inference.backends.test_contract import PYTHON, C, forked, ids, opened

HEADS, DIM, N_LAYERS, STEP = 2, 3, 2, 256
ROW_BYTES = 4 * HEADS * DIM * N_LAYERS * 2  # keys and values in fp32


@pytest.fixture(scope="module")
def engine(mlx: Backend) -> Any:
    """mlx, imported only after a backend has kept mlx-lm from lowering the process's limits."""
    assert mlx.info.engine == "mlx"
    return import_module("mlx.core")


def family(mx: Any) -> Family:
    from mlx_lm.models.cache import KVCache

    return Family(mx, [KVCache() for _ in range(N_LAYERS)])


def append(mx: Any, rows: Rows, numbers: list[int]) -> None:
    """What the model does: take the seat, and let every layer append its rows, here made from numbers."""
    rows.family.seat(rows)
    new = mx.broadcast_to(mx.array(numbers, dtype=mx.float32)[None, None, :, None], (1, HEADS, len(numbers), DIM))
    for layer, cache in enumerate(rows.family.caches):
        seen = cache.update_and_fetch(new + layer, -new)
        mx.eval(seen)
    rows.family.grew(rows, len(numbers))


def append_together(mx: Any, members: list[Rows], first: int) -> None:
    """A pass with one row more of each, made from `first` and the numbers after it."""
    together = import_module("inference.backends.mlx_together")
    numbers = mx.arange(first, first + len(members), dtype=mx.float32)[:, None, None, None]
    new = mx.broadcast_to(numbers, (len(members), HEADS, 1, DIM))
    for layer, cache in enumerate(together.attended(members) if members else ()):
        assert cache.offset.tolist() == [rows.n_rows for rows in members]
        cache.update_and_fetch(new + layer, -new)
        mx.eval(cache.held)
    together.grew(members)


def content(rows: Rows) -> list[int]:
    """The numbers that the seated sequence's rows were made from, the same in all layers and heads."""
    rows.family.seat(rows)
    found: set[tuple[int, ...]] = set()
    for layer, cache in enumerate(rows.family.caches):
        assert cache.offset == rows.n_rows
        if cache.offset:
            keys, values = cache.keys_and_values()
            found |= {tuple(n - layer for n in row) for row in keys[0].transpose(0, 2, 1).flatten(0, 1).tolist()}
            found |= {tuple(-n for n in row) for row in values[0].transpose(0, 2, 1).flatten(0, 1).tolist()}
    assert len(found) <= 1
    return [int(n) for row in found for n in row]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "append", "fork", "fork", "cut", "look", "read", "close", "together"]),
        st.integers(0, 10**6),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(steps=STEPS)
def test_any_order_of_calls(engine: Any, steps: list[tuple[str, int]]) -> None:
    """Against lists: whatever is done to one member, each holds what it would hold alone."""
    shared = family(engine)
    members: list[tuple[Rows, list[int]]] = [(shared.open(), [])]
    written = 0
    for do, choice in steps:
        which = choice % len(members)
        rows, wanted = members[which]
        at = choice // 7 % (len(wanted) + 1)
        if do == "append":
            new = list(range(written, written + 1 + choice % 9))
            written += len(new)
            append(engine, rows, new)
            wanted += new
        elif do == "fork":
            members.append((shared.fork(rows, at), wanted[:at]))
        elif do == "cut":
            shared.cut(rows, at)
            del wanted[at:]
        elif do == "look":
            assert content(rows) == wanted
        elif do == "read":
            copy = family(engine).open()
            if at:
                copy.family.append(copy, shared.read(rows, at))
            assert content(copy) == wanted[:at]
        elif do == "together":
            who = [each for each in members[which:] if each[1]]
            append_together(engine, [rows for rows, _ in who], written)
            for n, (_, wanted) in enumerate(who):
                wanted.append(written + n)
            written += len(who)
        elif len(members) > 1:
            shared.close(rows)
            del members[which]
    assert [content(rows) for rows, _ in members] == [wanted for _, wanted in members]
    assert [content(rows) for rows, _ in reversed(members)] == [wanted for _, wanted in reversed(members)]


def test_shared_rows_are_held_once(engine: Any) -> None:
    shared = family(engine)
    trunk = shared.open()
    append(engine, trunk, list(range(2000)))
    alone = shared.n_bytes
    assert 2000 * ROW_BYTES <= alone < (2000 + STEP) * ROW_BYTES
    children = [shared.fork(trunk, 2000) for _ in range(6)]
    assert shared.n_bytes == alone
    for n, child in enumerate(children):
        append(engine, child, [n] * 40)
    assert shared.n_bytes <= alone + 6 * 40 * ROW_BYTES
    assert [content(child)[-1] for child in children] == list(range(6))
    for child in children:
        shared.close(child)
    assert shared.n_bytes == alone
    assert content(trunk) == list(range(2000))


def test_a_switch_moves_only_tails(engine: Any) -> None:
    """The shared rows stay where they are: nothing of their size is in memory twice at any time."""
    shared = family(engine)
    trunk = shared.open()
    append(engine, trunk, list(range(40_000)))
    left, right = (shared.fork(trunk, 40_000) for _ in range(2))
    append(engine, left, [1] * 20)
    append(engine, right, [2] * 20)
    engine.clear_cache()
    engine.reset_peak_memory()
    before = engine.get_active_memory()
    for rows in (left, right) * 4:
        shared.seat(rows)
    assert engine.get_peak_memory() - before < 500 * ROW_BYTES


def test_much_room_that_nobody_needs_is_given_back(engine: Any) -> None:
    shared = family(engine)
    trunk = shared.open()
    append(engine, trunk, list(range(100)))
    child = shared.fork(trunk, 60)
    append(engine, child, list(range(60, 5000)))
    shared.cut(child, 4500)
    assert shared.n_bytes > 5000 * ROW_BYTES  # a little is not worth the copy
    shared.cut(child, 3000)
    assert shared.n_bytes < (3000 + SLACK) * ROW_BYTES
    shared.close(child)
    assert shared.n_bytes < SLACK * ROW_BYTES
    assert content(trunk) == list(range(100))
    shared.cut(trunk, 0)
    shared.close(trunk)
    assert shared.n_bytes < SLACK * ROW_BYTES


def test_borders_do_not_pile_up(engine: Any) -> None:
    shared = family(engine)
    trunk = shared.open()
    for n in range(50):
        append(engine, trunk, [n] * 3)
        child = shared.fork(trunk, trunk.n_rows - 1)
        append(engine, child, [n])
        shared.close(child)
    assert len(trunk.path) <= 3
    assert content(trunk) == [n for n in range(50) for _ in range(3)]


def test_a_pass_that_broke_leaves_the_others_well(engine: Any) -> None:
    """Some layers had appended when the model raised; that sequence is closed, another takes the seat."""
    shared = family(engine)
    trunk = shared.open()
    append(engine, trunk, list(range(10)))
    child = shared.fork(trunk, 8)
    shared.seat(child)
    broken = engine.zeros((1, HEADS, 5, DIM))
    shared.caches[0].update_and_fetch(broken, broken)
    shared.close(child)
    assert content(trunk) == list(range(10))


def test_logits_of_forks_are_the_same_to_the_bit(mlx: Backend, engine: Any) -> None:
    """Two forks and their parent take turns; each ends as the same tokens do in a sequence of their own."""
    assert isinstance(mlx, MlxBackend)
    trunk, tails = (ids(mlx, PYTHON) * 8)[:120], [ids(mlx, C), ids(mlx, "x = 1\n" * 5), ids(mlx, PYTHON)]
    wanted = []
    for tail in tails:
        with opened(mlx, trunk) as seq:
            for token in tail:
                mlx.evaluate(seq, [token])
            wanted.append(mlx._logits)
    with opened(mlx, trunk) as parent:
        mark = mlx.snapshot(parent)
        with forked(mlx, parent, mark) as left, forked(mlx, parent, mark) as right:
            seqs, found = (parent, left, right), dict[int, Any]()
            for at in range(max(map(len, tails))):
                for seq, tail in zip(seqs, tails, strict=True):
                    if at < len(tail):
                        mlx.evaluate(seq, [tail[at]])
                        found[seq] = mlx._logits
    assert all(engine.array_equal(found[seq], logits).item() for seq, logits in zip(seqs, wanted, strict=True))


def test_the_backend_counts_shared_rows_once(mlx: Backend) -> None:
    assert isinstance(mlx, MlxBackend)
    tokens = (ids(mlx, PYTHON) * 30)[:400]
    assert mlx.rows_bytes() == 0
    with opened(mlx, tokens) as parent:
        alone = mlx.rows_bytes()
        assert 400 * mlx.info.row_bytes <= alone < (400 + STEP) * mlx.info.row_bytes
        mark = mlx.snapshot(parent)
        with forked(mlx, parent, mark) as left, forked(mlx, parent, mark) as right:
            for seq in (left, right):
                mlx.evaluate(seq, [65, 66, 67])
            assert alone < mlx.rows_bytes() <= alone + 3 * mlx.info.row_bytes
        with opened(mlx, tokens[:10]):
            assert mlx.rows_bytes() == alone + STEP * mlx.info.row_bytes
    assert mlx.rows_bytes() == 0
