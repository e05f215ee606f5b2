"""Train on the shards of mix.py: seeded, with checkpoints, resumable, on CPU or CUDA.

Each of `--workers` processes takes its share of a step's rows on one thread and gradients are averaged: on a CPU this
is faster than threads within each operation, above all when other programs want the cores too. `--steps` sets where
the learning rate ends; a run that is started again with another value goes on from its last checkpoint under the new
schedule. Where only exported weights are left, `--init` goes on from those. `log.jsonl` gets one line per LOG_STEPS.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from mix import ROW, SHARD_ROWS
from model import Config, Model, stored_form
from optimizer import ADAM_RATE, Muon, optimizers, rate
from safetensors.torch import load_file, save_file
from torch import Tensor

LOG_STEPS = 10
CHECKPOINT_SECONDS = 60.0
AHEAD = 8  # steps whose rows are read before they are wanted
AVERAGE = 0.99  # per step: the averaged weights look back over about a hundred steps
BALANCE_WEIGHT = 0.01  # of the load-balancing loss, as in the Switch Transformer
CLIP_NORM = 1.0
WARM_STEPS = 20  # after each start, as the optimizers' moments may be new


def batch(shards: Path, step: int, rows: int) -> tuple[Tensor, Tensor]:
    """Rows of step `step`: ids (rows, ROW) and targets, -1 where nothing is scored. Waits for a shard being made."""
    first = step * rows
    path = shards / f"shard-{first // SHARD_ROWS:04}.npz"
    while not path.exists():
        time.sleep(0.2)
    with np.load(path) as shard:
        at = first % SHARD_ROWS
        ids, flags = shard["ids"][at : at + rows].astype(np.int64), shard["flags"][at : at + rows]
    targets = np.where(flags[:, 1:] > 0, ids[:, 1:], -1)
    return torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(targets)


def batches(shards: Path, steps: range, rows: int, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """`batch` of each step on the device, read ahead by one thread."""
    with ThreadPoolExecutor(1) as reader:
        waiting = deque(reader.submit(batch, shards, step, rows) for step in steps[:AHEAD])
        for step in steps:
            if step + AHEAD < steps.stop:
                waiting.append(reader.submit(batch, shards, step + AHEAD, rows))
            ids, targets = waiting.popleft().result()
            yield ids.to(device), targets.to(device)


def save(path: Path, model: Model, average: dict[str, Tensor], muon: Muon, adam: torch.optim.AdamW, step: int) -> None:
    """Write a checkpoint and only then put it in its place."""
    state = {
        "model": model.state_dict(),
        "average": average,
        "muon": muon.state_dict(),
        "adam": adam.state_dict(),
        "step": step,
    }
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)


def load_weights(folder: Path, model: Model) -> None:
    """Take the weights that convert.py exported to `folder`."""
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})


def save_weights(folder: Path, model: Model, average: dict[str, Tensor]) -> None:
    """The weights alone, as they are stored in the package: small enough to be carried off a lent machine."""
    for name, state in (("weights", model.state_dict()), ("average", average)):
        stored = {key: stored_form(key, value).contiguous().cpu() for key, value in state.items()}
        save_file(stored, folder / f"{name}.safetensors", metadata={"format": "pt"})


def resume(path: Path, model: Model, average: dict[str, Tensor], muon: Muon, adam: torch.optim.AdamW) -> int:
    """Load a checkpoint; the step to go on from."""
    state: dict[str, Any] = torch.load(path, map_location=next(model.parameters()).device, weights_only=True)
    model.load_state_dict(state["model"])
    for name, value in average.items():
        value.copy_(state["average"][name])
    muon.load_state_dict(state["muon"])
    adam.load_state_dict(state["adam"])
    return int(state["step"])


def averaged(model: Model, loss: Tensor, seconds: float) -> tuple[Tensor, float]:
    """Average gradients and two numbers over the workers, in one message."""
    if not dist.is_initialized():
        return loss, seconds
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in grads), torch.stack((loss, torch.tensor(seconds)))])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for grad, part in zip(grads, flat[:-2].split([g.numel() for g in grads]), strict=False):
        grad.copy_(part.view_as(grad))
    return flat[-2], float(flat[-1])


def step_once(
    model: Model, ids: Tensor, targets: Tensor, begun: float, products: torch.autocast
) -> tuple[Tensor, float]:
    """Forward, backward, average, clip; the loss in nats per scored token and the seconds since `begun`.

    The loss stays a tensor: to read it is to wait for a GPU.
    """
    with products:
        loss, balance = model.loss(ids, targets)
    (loss + BALANCE_WEIGHT * balance).backward()
    values = averaged(model, loss.detach(), time.time() - begun)
    torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
    return values


def report(arguments: argparse.Namespace, step: int, done: int, loss: float, factor: float, seconds: float) -> None:
    """One line to log.jsonl and to stdout; `done` steps took `seconds` since this start."""
    tokens = arguments.rows * ROW
    line = {
        "step": step,
        "tokens": step * tokens,
        "loss": loss,
        "rate": factor,
        "tokens_per_s": done * tokens / seconds,
    }
    with (arguments.out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    print(line, flush=True)


def run(rank: int, arguments: argparse.Namespace, meeting: str) -> None:
    """The loop of one worker: until `--steps` or `--minutes`."""
    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("high")  # TF32 on CUDA; no effect on a CPU
    if arguments.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=arguments.workers)
    share = arguments.rows // arguments.workers
    model = Model(Config(), arguments.seed).to(arguments.device)
    if arguments.init is not None:
        load_weights(arguments.init, model)
    muon, adam = optimizers(model)
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    path = arguments.out / "checkpoint.pt"
    start = resume(path, model, average, muon, adam) if path.exists() else arguments.init_step
    products = torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.bf16)
    state = list(model.state_dict().values())
    begun, losses = time.time(), []
    saved = begun
    steps = range(start, arguments.steps)
    for step, (ids, targets) in zip(
        steps, batches(arguments.shards, steps, arguments.rows, arguments.device), strict=False
    ):
        mine = slice(rank * share, (rank + 1) * share)
        loss, seconds = step_once(model, ids[mine], targets[mine], begun, products)
        losses.append(loss)
        warm = (step - start + 1) / WARM_STEPS
        factor = min(warm, rate(step, arguments.steps), rate(seconds, 60 * arguments.minutes))
        for group in adam.param_groups:
            group["lr"] = ADAM_RATE * factor
        adam.step()
        with products:
            muon.step(factor)
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(list(average.values()), state, 1 - AVERAGE)
        last = step + 1 == arguments.steps or factor == 0.0
        if (step + 1) % LOG_STEPS == 0 and rank == 0:
            mean = float(torch.stack(losses).mean())
            report(arguments, step + 1, step + 1 - start, mean, factor, time.time() - begun)
            losses = []
        if rank == 0 and (last or time.time() - saved > CHECKPOINT_SECONDS):
            save(path, model, average, muon, adam, step + 1)
            save_weights(arguments.out, model, average)
            saved = time.time()
        if last:
            break


def main() -> None:
    """Parse, set threads, run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--minutes", type=float, default=10_000, help="let the rate end after this long at the latest")
    parser.add_argument("--rows", type=int, default=4, help=f"rows of {ROW} tokens per step; divides {SHARD_ROWS}")
    parser.add_argument("--init", type=Path, help="a model folder whose weights to begin with")
    parser.add_argument("--init-step", type=int, default=0, help="with --init: the steps that those weights have had")
    parser.add_argument(
        "--bf16", action="store_true", help="matrix products in bfloat16, where the CPU has avx512_bf16"
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--workers", type=int, default=2, help="processes; 1 on CUDA")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.workers > 1:
            torch.multiprocessing.spawn(run, (arguments, f"{folder}/meeting"), nprocs=arguments.workers)
        else:
            run(0, arguments, "")


if __name__ == "__main__":
    main()
