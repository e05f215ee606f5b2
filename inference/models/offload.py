"""A GPU too small for a mixture of experts: how many layers' experts would have to lie in the machine's memory. Pure.

Planned, not done: cyllama 0.7 shows llama.cpp's tensor overrides but does not let them be set; a test pins
that (`backends/test_gpu.py`). llama-server can.
"""

from dataclasses import dataclass, replace

from inference import memory
from inference.memory import Machine, MemoryPlan, ModelSizes
from inference.models.entries import Model


@dataclass(frozen=True, slots=True)
class Offload:
    """llama-server's `--n-cpu-moe`. `plan` is of the rest; the machine's memory holds `moved_bytes` beside it."""

    n_layers: int
    of_layers: int
    moved_bytes: int
    plan: MemoryPlan


def offload(machine: Machine, model: Model, sizes: ModelSizes, n_ctx: int | None, max_sequences: int) -> Offload | None:
    """With the fewest layers moved; None: there are no experts, no GPU of its own, or it is too small even so.

    Experts are taken to have their share of the bytes by their share of the parameters: quantisations that mix
    precisions are off by some per cent.
    """
    shape = model.shape
    if machine.gpu is None or machine.gpu.is_shared or shape.experts is None:
        return None
    per_layer = sizes.weight_bytes * shape.expert_parameters // model.parameters
    for n in range(1, shape.num_hidden_layers + 1):
        moved = n * per_layer
        free = None if machine.available_bytes is None else machine.available_bytes - moved
        left = Machine(machine.total_bytes - moved, free, machine.gpu)
        rest = replace(sizes, weight_bytes=sizes.weight_bytes - moved)
        found = memory.plan(left, rest, n_ctx, max_sequences)
        if isinstance(found, MemoryPlan) and found.on_gpu:
            return Offload(n, shape.num_hidden_layers, moved, found)
    return None
