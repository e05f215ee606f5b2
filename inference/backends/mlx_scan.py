"""The gated delta rule over a prompt, chunk by chunk instead of token by token, in plain MLX operations.

Where Metal is absent mlx-lm 0.32 walks the prompt in a Python loop. This is the same recurrence in the chunked form
of Yang, Wang, Zhang, Shen and Kim, "Parallelizing Linear Transformers with the Delta Rule over Sequence Length"
(NeurIPS 2024), with the decay of Yang, Kautz and Hatamizadeh, "Gated Delta Networks: Improving Mamba2 with Delta Rule"
(ICLR 2025). With S the state before a chunk, the rows of K, Q, V its tokens, D[i, j] the product of the decays of
tokens j+1 to i, d[i] the product of those up to i, and o the elementwise product:

    (I + beta (strictly lower K K^T) o D) U = beta (V - d K S^T)        what each token writes into the state
    Y = d Q S^T + ((lower Q K^T) o D) U                                 what each token reads from it
    S' = d[last] S + (D[last] U)^T K

Decays are multiplied, never divided and never logarithms, so that one of exactly 0 is as good as any other.
Results depend on where an input is cut into calls by about 1e-6, which the loop's do not. Knows nothing of models.
"""

from typing import Any

import mlx.core as mx
from mlx_lm.models import gated_delta

CHUNK = 32  # most tokens in one triangular system; 16 to 64 cost about the same with heads of 64 and of 128
SHORT = 8  # up to here the loop costs little, and is the same to the bit however an input is cut

loop = gated_delta.gated_delta_ops


def install() -> None:
    """Take the place of mlx-lm's loop, for the whole process. With Metal its kernel is faster, and stays."""
    if not mx.metal.is_available():
        gated_delta.gated_delta_ops = scan


def scan(q: Any, k: Any, v: Any, g: Any, beta: Any, state: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """What every token reads, [B, T, Hv, Dv], and the state after the last, [B, Hv, Dv, Dk].

    q, k: [B, T, Hk, Dk]; v: [B, T, Hv, Dv]; g, beta: [B, T, Hv]; state: as returned, zeros if absent; mask: [B, T],
    false where a token is padding, which changes nothing and reads zeros. Gates per channel go to mlx-lm's loop.
    """
    if q.shape[1] <= SHORT or g.ndim != 3:
        y, state = loop(q, k, v, g, beta, state, mask)
        return y, state
    batch, n_tokens, n_heads, dim = v.shape
    if state is None:
        state = mx.zeros((batch, n_heads, dim, q.shape[-1]), dtype=mx.float32)
    if mask is not None:
        g, beta = mx.where(mask[..., None], g, 1), mx.where(mask[..., None], beta, 0)
    repeats = n_heads // k.shape[2]
    n_chunks = -(-n_tokens // CHUNK)
    size = -(-n_tokens // n_chunks)
    g, beta = (_chunks(x[..., None], n_chunks, size, fill) for x, fill in ((g, 1), (beta, 0)))
    rows = (_chunks(mx.repeat(q, repeats, 2), n_chunks, size), _chunks(mx.repeat(k, repeats, 2), n_chunks, size))
    reads, state = _over_chunks(*rows, _chunks(v, n_chunks, size), g, beta, state)
    reads = reads.transpose(1, 0, 3, 2, 4).reshape(batch, n_chunks * size, n_heads, dim)[:, :n_tokens]
    if mask is not None:
        reads = mx.where(mask[..., None, None], reads, 0)
    return reads.astype(q.dtype), state


def _chunks(x: Any, n_chunks: int, size: int, fill: float = 0) -> Any:
    """[B, T, H, D] -> [chunk, B, H, token, D] in fp32; the last chunk is padded with tokens that change nothing."""
    batch, n_tokens, n_heads, dim = x.shape
    x = mx.pad(x.astype(mx.float32), [(0, 0), (0, n_chunks * size - n_tokens), (0, 0), (0, 0)], constant_values=fill)
    return x.reshape(batch, n_chunks, size, n_heads, dim).transpose(1, 0, 3, 2, 4)


def _over_chunks(q: Any, k: Any, v: Any, g: Any, beta: Any, state: Any) -> tuple[Any, Any]:
    """What does not need the state is done for all chunks at once; the rest walks them in order."""
    decay = _decay(g)
    since_start = mx.cumprod(g, axis=-2)
    to_end = decay[..., -1, :, None]
    keys = mx.contiguous(k.swapaxes(-1, -2))  # the plain BLAS that MLX ships takes twice as long on a transposed view
    system = mx.eye(k.shape[-2]) + mx.tril(beta * (k @ keys) * decay, -1)
    solve = mx.linalg.tri_inv(system, stream=mx.cpu) * beta.swapaxes(-1, -2)
    attend = (q @ keys) * decay
    k_start, q_start, k_end = k * since_start, q * since_start, (k * to_end).swapaxes(-1, -2)
    seen = mx.contiguous(state.swapaxes(-1, -2))
    reads = []
    for i in range(k.shape[0]):
        writes = solve[i] @ (v[i] - k_start[i] @ seen)
        reads.append(q_start[i] @ seen + attend[i] @ writes)
        seen = since_start[i, ..., -1:, :] * seen + k_end[i] @ writes
    return mx.stack(reads), mx.contiguous(seen.swapaxes(-1, -2))


def _decay(g: Any) -> Any:
    """D of the module's docstring, [..., token i, token j], zero above the diagonal, from g [..., token, 1]."""
    size = g.shape[-2]
    below = mx.tril(mx.ones((size, size), dtype=mx.bool_), -1)
    return mx.tril(mx.cumprod(mx.where(below, g, 1), axis=-2))
