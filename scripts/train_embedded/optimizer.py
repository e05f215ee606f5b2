"""Muon for matrices, AdamW for the rest, and the learning-rate schedule.

Muon (Keller Jordan, 2024): the momentum of a matrix is replaced by the nearest orthogonal matrix, found by five
Newton-Schulz steps. Matrices of one shape are orthogonalised in one batch.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients tuned by Muon's author for fast growth of small values
NEWTON_SCHULZ_STEPS = 5
MUON_RATE = 0.02
ADAM_RATE = 0.004
WEIGHT_DECAY = 0.05
SMALLEST_SIDE = 32  # thinner matrices (router, gates) and the convolution go to AdamW


def rate(done: float, total: float, decay: float = 0.8) -> float:
    """A factor in 0..1: a plateau, then a straight line to zero over the last `decay` of the run."""
    return max(0.0, min(1.0, (total - done) / (decay * total)))


def orthogonal(matrices: Tensor) -> Tensor:
    """Newton-Schulz on a batch (N, rows, columns)."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def shared_orthogonal(matrices: Tensor) -> Tensor:
    """`orthogonal`, the batch divided among the worker processes and gathered again."""
    workers = dist.get_world_size() if dist.is_initialized() else 1
    if workers == 1:
        return orthogonal(matrices)
    share = -(-len(matrices) // workers)
    mine = matrices[dist.get_rank() * share :][:share]
    padded = torch.cat((orthogonal(mine), matrices.new_zeros(share - len(mine), *matrices.shape[1:]))).contiguous()
    parts = [torch.empty_like(padded) for _ in range(workers)]
    dist.all_gather(parts, padded)
    return torch.cat(parts)[: len(matrices)]


class Muon:
    """Momentum, orthogonalise, step. State is one momentum tensor per shape."""

    def __init__(self, parameters: list[nn.Parameter]) -> None:
        self.groups: dict[tuple[int, int], list[nn.Parameter]] = {}
        for p in parameters:
            self.groups.setdefault((p.shape[-2], p.shape[-1]), []).append(p)
        self.momentum = {
            shape: torch.zeros(sum(p.numel() // (shape[0] * shape[1]) for p in group), *shape, device=group[0].device)
            for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One update at `factor` of the full rate."""
        for shape, group in self.groups.items():
            grad = torch.cat([p.grad.view(-1, *shape) for p in group if p.grad is not None])
            momentum = self.momentum[shape].lerp_(grad, 0.05)
            update = shared_orthogonal(grad.lerp(momentum, 0.95)) * max(1.0, shape[0] / shape[1]) ** 0.5
            counts = [p.numel() // (shape[0] * shape[1]) for p in group]
            for p, part in zip(group, update.split(counts), strict=False):
                p.mul_(1 - factor * MUON_RATE * WEIGHT_DECAY).add_(part.view_as(p), alpha=-factor * MUON_RATE)

    def state_dict(self) -> dict[str, Tensor]:
        return {f"{a}x{b}": value for (a, b), value in self.momentum.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for (a, b), value in self.momentum.items():
            value.copy_(state[f"{a}x{b}"])


def optimizers(model: nn.Module) -> tuple[Muon, torch.optim.AdamW]:
    """Split the parameters: wide matrices of the layers to Muon, all else to AdamW."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        wide = p.ndim >= 2 and min(p.shape[-2:]) >= SMALLEST_SIDE and "embed" not in name
        (matrices if wide else others).append(p)
    return Muon(matrices), torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0, eps=1e-10)
