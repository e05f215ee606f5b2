"""The three heavy parts of the model with their backward passes: delta rule, experts, output head with loss.

Stock PyTorch has them only as CUDA kernels or as slow fall-backs; these are chunked so that nearly all the work is
matrix multiplication. Shapes: N tokens, D hidden, E experts, I expert width, V vocabulary, C chunk length.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 64  # tokens; smaller wastes matmuls, larger grows the C x C part
LOSS_ROWS = {"cpu": 1024, "cuda": 16384}  # logits of this many tokens at once: 16 MB stay near a CPU's last cache
grouped_mm = getattr(functional, "grouped_mm", None) or torch._grouped_mm  # public since torch 2.10


def product_dtype(x: Tensor) -> torch.dtype:
    """What matrix products are computed in: autocast's type where it is on, else that of `x`."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class _UnitInverse(torch.autograd.Function):
    """Inverse of batched unit lower-triangular matrices."""

    @staticmethod
    def forward(ctx: Any, lower: Tensor) -> Tensor:
        eye = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device).expand_as(lower)
        inverse = torch.linalg.solve_triangular(lower, eye, upper=False, unitriangular=True)
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (inverse,) = ctx.saved_tensors
        transposed = inverse.mT
        return -(transposed @ grads[0] @ transposed)


def delta_rule(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor) -> Tensor:
    """The gated delta rule over whole rows: q, k, v (B,T,H,S), log decay and write strength (B,T,H) -> (B,T,H,S).

    Always in float32: its products are small and its errors would accumulate along the row.
    """
    with torch.autocast(q.device.type, enabled=False):
        return _delta_rule(*(x.float() for x in (q, k, v, decay, beta)))


def _delta_rule(q: Tensor, k: Tensor, v: Tensor, decay: Tensor, beta: Tensor) -> Tensor:
    b, t, h, s = q.shape
    pad = -t % CHUNK
    if pad:
        q, k, v = (functional.pad(x, (0, 0, 0, 0, 0, pad)) for x in (q, k, v))
        decay, beta = functional.pad(decay, (0, 0, 0, pad)), functional.pad(beta, (0, 0, 0, pad))
    n = (t + pad) // CHUNK
    q, k, v = (x.transpose(1, 2).reshape(b * h, n, CHUNK, s) for x in (q, k, v))
    decay, beta = (x.transpose(1, 2).reshape(b * h, n, CHUNK, 1) for x in (decay, beta))
    total = decay.cumsum(2)
    causal = torch.ones(CHUNK, CHUNK, dtype=torch.bool, device=q.device).tril()
    between = torch.exp((total - total.mT).masked_fill(~causal, float("-inf")))
    grown = total.exp()
    lower = (beta * (k @ k.mT) * between).tril(-1) + torch.eye(CHUNK, device=q.device)
    solved = _UnitInverse.apply(lower) @ torch.cat((beta * v, beta * grown * k), -1)
    scores = (q @ k.mT) * between
    left, reads = solved[..., :s], torch.cat((solved[..., s:], q * grown), 2)  # reads: what asks the carried state
    keys, keep = k * torch.exp(total[:, :, -1:] - total), grown[:, :, -1:]
    state = q.new_zeros(b * h, s, s)
    written, carried = [], []
    for read, fresh, key, kept in zip(reads.unbind(1), left.unbind(1), keys.unbind(1), keep.unbind(1), strict=False):
        answer = read @ state
        new = fresh - answer[:, :CHUNK]
        state = torch.baddbmm(state * kept, key.mT, new)
        written.append(new)
        carried.append(answer[:, CHUNK:])
    out = torch.stack(carried, 1) + scores @ torch.stack(written, 1)
    return out.view(b, h, n * CHUNK, s)[:, :, :t].transpose(1, 2)


class _Convolution(torch.autograd.Function):
    """Causal depthwise convolution of few taps as shifted sums; x (B,T,W), taps (W,K)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor) -> Tensor:
        t, last = x.shape[1], taps.shape[1] - 1
        padded = functional.pad(x, (0, 0, last, 0))
        out = x * taps[:, last]
        for j in range(last):
            out.addcmul_(padded[:, j : j + t], taps[:, j])
        ctx.save_for_backward(padded, taps)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        padded, taps = ctx.saved_tensors
        grad, t, last = grads[0], grads[0].shape[1], taps.shape[1] - 1
        d_taps = torch.stack([(grad * padded[:, j : j + t]).flatten(0, 1).sum(0) for j in range(last + 1)], 1)
        later = functional.pad(grad, (0, 0, 0, last))
        d_x = grad * taps[:, last]
        for j in range(last):
            d_x.addcmul_(later[:, last - j : last - j + t], taps[:, j])
        return d_x, d_taps


def convolution(x: Tensor, taps: Tensor) -> Tensor:
    """x (B,T,W) and taps (W,K), the last tap on the present token -> (B,T,W)."""
    out: Tensor = _Convolution.apply(x.float(), taps)
    return out


Groups = list[int] | Tensor  # rows of each expert, or (on CUDA, where a list would wait for the device) where each ends


def _groups(ids: Tensor, count: int) -> Groups:
    """The groups of sorted expert ids (M,)."""
    if ids.is_cuda:
        return torch.searchsorted(ids, torch.arange(count, device=ids.device), right=True).int()
    return torch.bincount(ids, minlength=count).tolist()


def _products(rows: Tensor, weights: Tensor, groups: Groups) -> Tensor:
    """Each group's rows (M,A) times its expert's matrix (E,A,B) -> (M,B)."""
    if isinstance(groups, Tensor):
        return grouped_mm(rows, weights, offs=groups)
    return torch.cat([part @ w for part, w in zip(rows.split(groups), weights, strict=False)])


def _outer(left: Tensor, right: Tensor, groups: Groups) -> Tensor:
    """Per group left.T @ right: (M,A) and (M,B) -> (E,A,B)."""
    if isinstance(groups, Tensor):
        return grouped_mm(left.mT, right, offs=groups)
    return torch.stack([a.T @ b for a, b in zip(left.split(groups), right.split(groups), strict=False)])


class _Experts(torch.autograd.Function):
    """Tokens sorted by expert, one matmul pair per expert, put back with their routing weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Tensor, chosen: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        n, k = chosen.shape
        ids, order = chosen.flatten().sort(stable=True)
        place = torch.empty_like(order)
        place[order] = torch.arange(order.numel(), device=order.device)
        groups = _groups(ids, gate_up.shape[0])
        sorted_x = x.index_select(0, order // k)
        both = _products(sorted_x, gate_up.mT, groups)
        gate, up = both.chunk(2, -1)
        inner = functional.silu(gate) * up
        out = _products(inner, down.mT, groups)
        ends = (groups,) if isinstance(groups, Tensor) else ()
        ctx.save_for_backward(share, order, place, sorted_x, both, inner, out, gate_up, down, *ends)
        ctx.sizes = None if ends else groups
        return (out.index_select(0, place).view(n, k, -1) * share.unsqueeze(-1)).sum(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        share, order, place, sorted_x, both, inner, out, gate_up, down, *ends = ctx.saved_tensors
        (n, k), groups = share.shape, ends[0] if ends else ctx.sizes
        sorted_grad = grads[0].to(down.dtype).index_select(0, order // k)  # CUDA's autocast sums in float32
        d_share = (sorted_grad * out).sum(-1).index_select(0, place).view(n, k)
        d_out = sorted_grad * share.flatten().index_select(0, order).unsqueeze(-1)
        d_down = _outer(d_out, inner, groups)
        d_inner = _products(d_out, down, groups)
        gate, up = both.chunk(2, -1)
        sig = torch.sigmoid(gate)
        d_both = torch.cat((d_inner * up * sig * (1 + gate * (1 - sig)), d_inner * gate * sig), -1)
        d_gate_up = _outer(d_both, sorted_x, groups)
        d_sorted = _products(d_both, gate_up, groups)
        d_x = d_sorted.index_select(0, place).view(n, k, -1).sum(1)
        return d_x, d_share, None, d_gate_up, d_down


def experts(x: Tensor, share: Tensor, chosen: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """x (N,D), weights and ids of the chosen experts (N,k), gate_up (E,2I,D), down (E,D,I) -> (N,D)."""
    kind = product_dtype(x)
    out: Tensor = _Experts.apply(x.to(kind), share.to(kind), chosen, gate_up.to(kind), down.to(kind))
    return out


class _HeadLoss(torch.autograd.Function):
    """Output head and cross entropy together; the gradient is made while the logits are at hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        rows = (targets >= 0).nonzero().flatten()
        d_x, d_head = torch.zeros_like(x), torch.zeros_like(head)
        total = x.new_zeros(())
        x, head = x.to(product_dtype(x)), head.to(product_dtype(x))
        for part in rows.split(LOSS_ROWS[x.device.type]):
            hidden, wanted = x.index_select(0, part), targets.index_select(0, part).unsqueeze(1)
            logits = (hidden @ head.T).float()
            logits -= logits.amax(1, keepdim=True)
            picked = logits.gather(1, wanted)
            sums = logits.exp_().sum(1, keepdim=True)
            total += (sums.log() - picked).sum()
            logits /= sums
            logits.scatter_add_(1, wanted, logits.new_full(wanted.shape, -1.0))
            logits = logits.to(head.dtype)
            d_x.index_copy_(0, part, (logits @ head).to(d_x.dtype))
            d_head += logits.T @ hidden
        count = max(1, rows.numel())
        ctx.save_for_backward(d_x, d_head)
        ctx.count = count
        return total / count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        d_x, d_head = ctx.saved_tensors
        scale = grads[0] / ctx.count
        return d_x * scale, d_head * scale, None


def next_token_loss(x: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy in nats: x (N,D), head (V,D), targets (N,), negative ones are not scored."""
    loss: Tensor = _HeadLoss.apply(x, head, targets)
    return loss
