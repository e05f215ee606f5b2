"""Many clients against one real daemon for minutes: nothing lost, nothing wrong, memory flat.

    scripts/bench soak [--minutes 10] [--clients 8] [--engine llama|mlx] [--seed N] [--out JSON]

Writes the counts and the daemon's memory, second by second, to JSON, and a curve beside it as PNG.
"""

import argparse
import ast
import asyncio
import inspect
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from inference.backends.base import EngineName, EngineSettings
from inference.lifecycle import probe
from inference.lifecycle.control import resident_bytes
from inference.models.catalogue import load, resolve
from scripts.benches.plain import Plain, n_common
from scripts.benches.soak_clients import ANSWER_TIMEOUT_S, Client, Kept, Seen

ROOT = Path(__file__).parents[2]
SAMPLE_S = 1.0
KEEPALIVE_S = 2.0  # of a connection that nobody uses: less than the daemon's 5, or a request may meet its end
FLOOD_S = 60.0  # between two floods
SETTLE_S = 60.0  # for the daemon to notice that everybody has left
START_TIMEOUT_S = 120.0
FILE_TOKENS = 600  # of each file that the clients edit; two thirds of a prompt is not their own
MAX_GROWTH = 0.03  # of the memory held, over the last two thirds of the run, by a straight line
MIN_FITTED_S = 120.0  # a shorter time says nothing about growth
TIE = 0.02  # logits: the embedded model has f16 weights, and there rounding moves a logit by 0.01
PLAIN = EngineSettings(n_ctx=4096, n_cells=4096, max_sequences=1)
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """The daemon at one moment, in seconds since the start and in bytes."""

    at_s: float
    resident: int
    cache: int
    queued: int
    running: int


@dataclass(slots=True)
class Soak:
    """A run's outcome. `problems` is empty where all is well."""

    engine: EngineName
    minutes: float
    clients: int
    seen: Seen
    memory: list[Memory] = field(default_factory=list)
    compared: int = 0
    ties: int = 0
    growth: float | None = None  # share of the memory held; None: too short to tell
    counters: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


async def soak(address: Path, engine: EngineName, pid: int, minutes: float, n_clients: int, seed: int) -> Soak:
    """Let the clients work on the daemon at `address`, and look whether it is well afterwards."""
    seen = Seen()
    result = Soak(engine, minutes, n_clients, seen)
    begun = time.monotonic()
    limits = httpx.Limits(max_connections=None, keepalive_expiry=KEEPALIVE_S)
    transport = httpx.AsyncHTTPTransport(uds=str(address), limits=limits)
    async with httpx.AsyncClient(transport=transport, base_url="http://daemon", timeout=ANSWER_TIMEOUT_S) as http:
        files = await _files(http)
        own = [files[1 + i :: 3] for i in range(3)]
        clients = [
            Client(http, f"window-{n}", 1000 * seed + n, [files[0], *own[n % 3]], seen) for n in range(n_clients)
        ]
        watching = asyncio.create_task(_watch(address, pid, begun, result.memory))
        flooding = asyncio.create_task(_flood(clients[0]))

        def goes_on() -> bool:
            return time.monotonic() - begun < 60 * minutes

        await asyncio.gather(*(client.work(goes_on) for client in clients))
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        result.counters = await _settled(address)
        watching.cancel()
    result.problems = [*seen.problems, *_well(address, pid, result)]
    return result


async def _files(http: httpx.AsyncClient) -> list[list[int]]:
    """Real code as token ids: this interpreter's own modules."""
    ids = []
    for module in (ast, inspect, textwrap, tokenize, argparse, subprocess, tempfile):
        response = await http.post("/tokenize", json={"content": inspect.getsource(module), "parse_special": False})
        ids.append(response.json()["tokens"][:FILE_TOKENS])
    return ids


async def _watch(address: Path, pid: int, begun: float, memory: list[Memory]) -> None:
    while True:
        counters = await asyncio.to_thread(probe.counters, address)
        if counters:
            named = [int(counters[f"qwen_{name}"]) for name in ("cache_bytes", "jobs_queued", "jobs_running")]
            memory.append(Memory(time.monotonic() - begun, resident_bytes(pid) or 0, *named))
        await asyncio.sleep(SAMPLE_S)


async def _flood(client: Client) -> None:
    while True:
        await asyncio.sleep(FLOOD_S)
        await client.flood()


async def _settled(address: Path) -> dict[str, float]:
    """The counters when nothing waits or runs any more, or after `SETTLE_S`."""
    counters: dict[str, float] = {}
    async with asyncio.timeout(SETTLE_S):
        while not counters or counters["qwen_jobs_queued"] or counters["qwen_jobs_running"]:
            counters = await asyncio.to_thread(probe.counters, address)
            await asyncio.sleep(SAMPLE_S / 10)
    return counters


def _well(address: Path, pid: int, result: Soak) -> Iterator[str]:
    health = probe.health(address)
    if (health.state, health.pid) != ("ready", pid):
        yield f"the daemon is {health.state}, process {health.pid} instead of {pid}"
    if not result.seen.answered:
        yield "nothing was answered"
    result.growth = growth(result.memory)
    if result.growth is not None and result.growth > MAX_GROWTH:
        yield f"memory grew by {result.growth:.1%} over the last two thirds"


def growth(memory: Sequence[Memory]) -> float | None:
    """How much of what is held came in the last two thirds, by a straight line. None: too short a time to tell."""
    fitted = memory[len(memory) // 3 :]
    if not fitted or fitted[-1].at_s - fitted[0].at_s < MIN_FITTED_S:
        return None
    resident = [each.resident for each in fitted]
    slope = np.polyfit([each.at_s for each in fitted], resident, 1)[0]
    return float(slope * (fitted[-1].at_s - fitted[0].at_s) / np.mean(resident))


def compare(result: Soak) -> None:
    """The answers kept against the plain engine's."""
    plain = Plain(load(resolve("embedded", result.engine), PLAIN))
    for kept in result.seen.kept:
        result.compared += 1
        margin = _margin(kept, plain)
        if margin is not None and margin < TIE:
            result.ties += 1
        elif margin is not None:
            n = len(kept.ask.prompt)
            result.problems.append(f"a wrong token after a prompt of {n}, margin {margin:.3g} logits")
    plain.backend.shutdown()


def _margin(kept: Kept, plain: Plain) -> float | None:
    """Where an answer is another one than the plain engine's: how sure that one was. None where they are equal."""
    answer = plain.answer(kept.ask)
    if (kept.tokens, kept.reason == "stop") == (answer.tokens, answer.ended):
        return None
    n_right = n_common(kept.tokens, answer.tokens)
    return plain.margin(kept.ask, n_right, kept.tokens[n_right : n_right + 1] or sorted(plain.end_ids(kept.ask)))


@contextmanager
def daemon(engine: EngineName) -> Iterator[tuple[Path, int]]:
    """A daemon of its own, started as a window starts it: its socket and its process."""
    with tempfile.TemporaryDirectory(prefix="qs-", ignore_cleanup_errors=True) as home:

        def inference(*arguments: str) -> str:
            command = [sys.executable, "-m", "inference", *arguments]
            environment = os.environ | {"QWEN_LSP_HOME": home}
            done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            return done.stdout

        address = Path(inference("start", "--engine", engine).splitlines()[-1].removeprefix("unix:"))
        try:
            pid = probe.health(address, START_TIMEOUT_S).pid
            assert pid is not None
            yield address, pid
        finally:
            inference("stop", "--all")


def lines(result: Soak) -> Iterator[str]:
    seen, memory = result.seen, result.memory
    yield (
        f"{result.engine}: {result.clients} clients, {result.minutes:g} minutes: {dict(seen.sent)} sent, "
        f"{seen.answered} answered whole, {seen.given_up} given up, refused {dict(seen.refused)}"
    )
    if memory:
        resident = [each.resident / MIB for each in memory]
        growth = "too short to tell" if result.growth is None else f"{result.growth:+.2%} over the last two thirds"
        held = max(each.cache for each in memory) / MIB
        yield f"  resident {resident[0]:.0f} to {resident[-1]:.0f} MiB (most {max(resident):.0f}), growth {growth}"
        yield f"  cache at most {held:.1f} MiB; {max(each.queued for each in memory)} jobs waited at most"
    yield f"  {result.compared} answers compared with the plain engine: {result.ties} ties (margin < {TIE} logits)"
    yield f"  PROBLEMS: {len(result.problems)}" if result.problems else "  no answer lost, no token wrong"
    yield from (f"    {what}" for what in result.problems[:20])


def draw(result: Soak, path: Path) -> None:
    """The memory curve."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    minutes = [each.at_s / 60 for each in result.memory]
    axes.plot(minutes, [each.resident / MIB for each in result.memory], label="resident")
    axes.plot(minutes, [each.cache / MIB for each in result.memory], label="qwen_cache_bytes")
    axes.set(xlabel="minutes", ylabel="MiB", ylim=(0, None), title=f"{result.clients} clients, {result.engine}")
    axes.legend()
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--engine", choices=("llama", "mlx"), default="llama")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="JSON")
    options = parser.parse_args(arguments)
    with daemon(options.engine) as (address, pid):
        result = asyncio.run(soak(address, options.engine, pid, options.minutes, options.clients, options.seed))
    compare(result)
    print("\n".join(lines(result)))
    if options.out is not None:
        seen = result.seen
        figures: dict[str, Any] = asdict(
            replace(result, seen=replace(seen, kept=[], sent=Counter(), refused=Counter()))
        )
        figures["seen"] |= {"sent": dict(seen.sent), "refused": dict(seen.refused)}  # asdict miscounts a Counter
        del figures["seen"]["kept"]
        options.out.write_text(json.dumps(figures, indent=1) + "\n")
        draw(result, options.out.with_suffix(".png"))
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
