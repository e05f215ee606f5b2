"""The chunked scan against mlx-lm's loop, which it replaces where Metal is absent."""

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import Backend
from tests.inference.backends.test_contract import PYTHON, C, answer, ids

WITHIN = 1e-4
LENGTHS = [1, 2, 8, 9, 31, 32, 33, 63, 64, 65, 100, 129]
HEADS = [(1, 1), (1, 4), (2, 2), (2, 6)]  # keys, values
DECAYS = {"none": (1.0, 1.0), "mild": (0.9, 1.0), "any": (0.0, 1.0), "denormal": (0.0, 1e-38), "all": (0.0, 0.0)}


@pytest.fixture(scope="module")
def scan(mlx: Backend) -> ModuleType:
    """Imported only after a backend is: mlx-lm lowers the process's limits on import unless it is kept from it."""
    from inference.backends import mlx_scan

    return mlx_scan


def rows(mx: Any, *shape: int) -> Any:
    x = mx.random.normal(shape)
    return x / mx.linalg.norm(x, axis=-1, keepdims=True)


def rule(mx: Any, n_tokens: int, heads: tuple[int, int] = (2, 4), batch: int = 1, decay: str = "mild") -> list[Any]:
    """Random arguments as the model makes them: rows of length 1, gates and rates between 0 and 1."""
    keys, values = heads
    q, k = (rows(mx, batch, n_tokens, keys, 16) for _ in range(2))
    g = mx.random.uniform(*DECAYS[decay], (batch, n_tokens, values))
    return [q, k, mx.random.normal((batch, n_tokens, values, 24)), g, mx.random.uniform(0, 1, g.shape)]


def distance(mx: Any, got: tuple[Any, Any], wanted: tuple[Any, Any]) -> float:
    """The largest difference, relative to values over 1; not a number where either is not."""
    assert [x.shape for x in got] == [x.shape for x in wanted]
    assert [x.dtype for x in got] == [x.dtype for x in wanted]
    return max(
        float((mx.abs(a - b).max() / mx.maximum(mx.abs(b).max(), 1)).item()) for a, b in zip(got, wanted, strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(
    n_tokens=st.sampled_from(LENGTHS) | st.integers(1, 200),
    heads=st.sampled_from(HEADS),
    batch=st.sampled_from([1, 1, 3]),
    decay=st.sampled_from(sorted(DECAYS)),
    with_state=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_equals_the_loop(
    scan: ModuleType, n_tokens: int, heads: tuple[int, int], batch: int, decay: str, with_state: bool, seed: int
) -> None:
    mx = scan.mx
    mx.random.seed(seed)
    given_ = rule(mx, n_tokens, heads, batch, decay)
    state = mx.random.normal((batch, heads[1], 24, 16)) if with_state else None
    assert distance(mx, scan.scan(*given_, state), scan.loop(*given_, state)) < WITHIN


@pytest.mark.parametrize("rate", [1.0, 2.0])
@pytest.mark.parametrize("n_tokens", [32, 200])
def test_the_same_key_again_and_again(scan: ModuleType, rate: float, n_tokens: int) -> None:
    """The worst triangular system: powers of it grow to 3e8, which an inverse made of them would not survive."""
    mx = scan.mx
    mx.random.seed(1)
    q, k, v, g, beta = rule(mx, n_tokens, decay="none")
    given_ = (q, mx.broadcast_to(k[:, :1], k.shape), v, g, mx.full(beta.shape, rate))
    assert distance(mx, scan.scan(*given_), scan.loop(*given_)) < WITHIN


def test_long_forgetting_between_tokens_that_matter(scan: ModuleType) -> None:
    """A decay of nothing amid decays near 1: sums of logarithms would lose the small ones."""
    mx = scan.mx
    mx.random.seed(2)
    q, k, v, g, beta = rule(mx, 150)
    g[:, ::7] = 0.0
    g[:, 3::7] = 1e-30
    state = mx.random.normal((1, 4, 24, 16)) * 100
    assert distance(mx, scan.scan(q, k, v, g, beta, state), scan.loop(q, k, v, g, beta, state)) < WITHIN


def test_cut_anywhere(scan: ModuleType) -> None:
    mx = scan.mx
    mx.random.seed(3)
    given_ = rule(mx, 150)
    whole = scan.scan(*given_)
    for cut in (1, 8, 40, 149):
        first, state = scan.scan(*(x[:, :cut] for x in given_))
        second, state = scan.scan(*(x[:, cut:] for x in given_), state)
        assert distance(mx, (mx.concatenate([first, second], axis=1), state), whole) < WITHIN


@pytest.mark.parametrize("n_tokens", [6, 50])
def test_padding_changes_nothing(scan: ModuleType, n_tokens: int) -> None:
    mx = scan.mx
    mx.random.seed(4)
    given_ = rule(mx, n_tokens, batch=2)
    mask = mx.arange(n_tokens)[None] < mx.array([[n_tokens], [n_tokens - 3]])
    got, wanted = (do(*given_, None, mask) for do in (scan.scan, scan.loop))
    kept = [(mx.where(mask[..., None, None], y, 0), state) for y, state in (got, wanted)]
    assert distance(mx, *kept) < WITHIN


def test_short_inputs_and_gates_per_channel_go_to_the_loop(scan: ModuleType) -> None:
    mx = scan.mx
    mx.random.seed(5)
    given_ = rule(mx, 8)
    assert distance(mx, scan.scan(*given_), scan.loop(*given_)) == 0
    q, k, v, g, beta = rule(mx, 40)
    per_channel = (q, k, v, mx.broadcast_to(g[..., None], (*g.shape, 16)), beta)
    assert distance(mx, scan.scan(*per_channel), scan.loop(*per_channel)) == 0


def test_half_precision_in_and_out(scan: ModuleType) -> None:
    mx = scan.mx
    mx.random.seed(6)
    q, k, v, g, beta = rule(mx, 70)
    half = [x.astype(mx.bfloat16) for x in (q, k, v)]
    reads, state = scan.scan(*half, g, beta)
    assert (reads.dtype, state.dtype) == (mx.bfloat16, mx.float32)
    assert mx.abs(state - scan.loop(q, k, v, g, beta)[1]).max().item() < 0.05


def test_install_replaces_the_loop_once(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan.gated_delta, "gated_delta_ops", scan.loop)
    for _ in range(2):
        scan.install()
        assert scan.gated_delta.gated_delta_ops is scan.scan
    assert scan.loop is not scan.scan


def test_install_leaves_metal_alone(scan: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan.gated_delta, "gated_delta_ops", scan.loop)
    monkeypatch.setattr(scan.mx.metal, "is_available", lambda: True)
    scan.install()
    assert scan.gated_delta.gated_delta_ops is scan.loop


@pytest.mark.parametrize("text", [PYTHON, C, "    " * 60])
def test_the_model_says_the_same(scan: ModuleType, mlx: Backend, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    said = []
    for do in (scan.loop, scan.scan):
        monkeypatch.setattr(scan.gated_delta, "gated_delta_ops", do)
        said.append(answer(mlx, (ids(mlx, text) * 4)[:150], 8))
    assert said[0] == said[1]
