"""Attention over keys by column against MLX's own, which it replaces where Metal is absent."""

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import Backend
from inference.backends.mlx import MlxBackend

HEADS = [(1, 1), (2, 1), (4, 2), (6, 3)]  # of queries, of keys
WITHIN = 1e-6  # the same sums in the same order; another BLAS than the wheel's may make them otherwise


@pytest.fixture(scope="module")
def ours(mlx: Backend) -> ModuleType:
    """Imported only after a backend is: mlx-lm lowers the process's limits on import unless it is kept from it."""
    from inference.backends import mlx_attention

    return mlx_attention


def both(ours: ModuleType, *arrays: Any, mask: Any, sinks: Any = None) -> tuple[Any, Any]:
    wanted = ours._fused(*arrays, cache=None, scale=0.3, mask=mask, sinks=sinks)
    return ours.attention(*arrays, cache=None, scale=0.3, mask=mask, sinks=sinks), wanted


@settings(max_examples=40, deadline=None)
@given(
    n_tokens=st.integers(1, 40),
    n_before=st.integers(0, 300),
    heads=st.sampled_from(HEADS),
    batch=st.sampled_from([1, 2]),
    n_spare=st.sampled_from([0, 7]),
    seed=st.integers(0, 2**32),
)
def test_equals_mlx(
    ours: ModuleType, n_tokens: int, n_before: int, heads: tuple[int, int], batch: int, n_spare: int, seed: int
) -> None:
    """`n_spare`: as in a cache object, rows are a part of a longer array."""
    import mlx.core as mx

    mx.random.seed(seed)
    n_rows = n_before + n_tokens
    queries = mx.random.normal((batch, heads[0], n_tokens, 16))
    keys, values = (mx.random.normal((batch, heads[1], n_rows + n_spare, 16))[:, :, :n_rows] for _ in range(2))
    got, wanted = both(ours, queries, keys, values, mask="causal")
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    assert mx.allclose(got, wanted, rtol=0, atol=WITHIN)


def test_what_is_not_causal_is_left_to_mlx(ours: ModuleType) -> None:
    import mlx.core as mx

    queries, keys, values = (mx.random.normal((1, 2, n, 16)) for n in (6, 9, 9))
    for mask in (None, mx.random.uniform(shape=(6, 9)) > 0.5):
        got, wanted = both(ours, queries, keys, values, mask=mask)
        assert mx.array_equal(got, wanted)


def test_the_model_runs_on_it(mlx: Backend, ours: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """mlx-lm looks its attention up by name at each call; if that changes, this is where it shows."""
    import mlx.core as mx

    seen: list[int] = []
    contiguous = mx.contiguous

    def watching(array: Any, *rest: Any) -> Any:
        seen.append(array.ndim)
        return contiguous(array, *rest)

    assert isinstance(mlx, MlxBackend)
    monkeypatch.setattr(ours.mx, "contiguous", watching)
    seq = mlx.open()
    mlx.evaluate(seq, [65] * ours.FEW)
    mlx.close(seq)
    assert mx.metal.is_available() or 4 in seen


def test_logits_come_of_columns(mlx: Backend) -> None:
    """The embeddings are the head, too: stored so that a product with them is fast."""
    import mlx.core as mx

    assert isinstance(mlx, MlxBackend)
    weight = mlx._model.language_model.model.embed_tokens.weight
    by_row = mx.contiguous(weight)
    ids = mx.array([3, 1, 4, 1])
    assert mx.array_equal(weight[ids], by_row[ids])
    if not mx.metal.is_available():
        assert memoryview(weight).strides == (4, 4 * weight.shape[0])
