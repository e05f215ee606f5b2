"""Attention of several tokens on MLX's processor builds: over keys that lie by column, as their BLAS wants them.

That BLAS takes twice as long on `queries @ keys.T` where the rows of `keys` lie in order. Copying the keys first costs
as much as one token's attention, so from a few tokens on it pays; the sums are made in the same order, so what comes
out is the same. Knows no sequences and no weights.
"""

from typing import Any

import mlx.core as mx
from mlx_lm.models import qwen3_next

FEW = 4  # tokens: fewer gain less than the copy costs

_fused = qwen3_next.scaled_dot_product_attention


def install() -> None:
    """Take the place of MLX's own, for the whole process. Metal has a kernel for it, which stays."""
    if not mx.metal.is_available():
        qwen3_next.scaled_dot_product_attention = attention


def attention(queries: Any, keys: Any, values: Any, cache: Any, scale: float, mask: Any, sinks: Any = None) -> Any:
    """[B, heads, T, D] over keys and values [B, key heads, rows, D]. Only what is causal is ours, the rest is MLX's."""
    batch, n_heads, n_tokens, dim = queries.shape
    if n_tokens < FEW or not isinstance(mask, str) or sinks is not None:
        return _fused(queries, keys, values, cache=cache, scale=scale, mask=mask, sinks=sinks)
    _, n_key_heads, n_rows, _ = keys.shape
    grouped = (queries * scale).reshape(batch, n_key_heads, -1, dim)
    scores = grouped @ mx.contiguous(keys.swapaxes(-1, -2))
    sees = mx.arange(n_rows - n_tokens, n_rows)[:, None] >= mx.arange(n_rows)
    scores = mx.where(sees, scores.reshape(batch, n_heads, n_tokens, n_rows), -mx.inf)
    shares = mx.softmax(scores, axis=-1, precise=True).reshape(batch, n_key_heads, -1, n_rows)
    return (shares @ values).reshape(batch, n_heads, n_tokens, -1)
