"""The inference daemon against its peers, on the embedded model: tokens evaluated, first token, CPU time, decoding.

    scripts/bench inference [--engine llama|mlx|all] [--contexts 1k,4k,16k,32k] [--parts cold,traces,during,edits]
                            [--out FOLDER] [--quick]

Each server is started as its users start it and gets the same prompts (`inference_traces`), greedy, on one thread. The
counts are the servers' own. Our answers are then asked again of a fresh daemon that has nothing in its cache: any other
text fails the run. A run can be split by contexts, and by parts: cold prompts in pairs with the bare engine, the traces
with a restart (and as many pairs as 15 s allow), typing during another's prefill, recorded edits. Prints tables and
the goals of DESIGN.md section 7; writes figures.json and two PNG curves.
"""

import argparse
import json
import os
import platform
import signal
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from inference.tokenizer import from_folder
from scripts.benches.inference_figures import as_json, rows, table_lines
from scripts.benches.inference_goals import Verdict, verdict_lines, verdicts
from scripts.benches.inference_plot import curves
from scripts.benches.inference_run import PARTS, SEED, USUAL_PARTS, Bench, Part, Plan
from scripts.benches.inference_servers import EMBEDDED, PEER, Engine
from scripts.benches.inference_traces import Controls, Material, material

CONTEXTS, QUICK_CONTEXTS = (1_000, 4_000, 16_000, 32_000), (1_000, 4_000)
PATIENCE_S: dict[Engine, float] = {"llama": 90.0, "mlx": 10.0}  # off Metal, MLX is there for its counts
MIN_TOKENS = 8_000  # of text: forced answers are drawn from it, too
VERSIONS = ("cyllama", "xllamacpp", "mlx", "mlx-lm", "tokenizers", "numpy")


def main(arguments: Sequence[str]) -> int:
    """1: an answer of ours depends on what the daemon had in its cache."""
    options = _parser().parse_args(arguments)
    engines: tuple[Engine, ...] = ("llama", "mlx") if options.engine == "all" else (options.engine,)
    contexts = options.contexts or (QUICK_CONTEXTS if options.quick else CONTEXTS)
    patience = {engine: options.patience or PATIENCE_S[engine] for engine in engines}
    machine = _machine()
    options.out.mkdir(parents=True, exist_ok=True)
    base, other = _materials(max(contexts[-1], MIN_TOKENS))
    bench = Bench(Plan(options.parts, engines, contexts, options.quick, patience), base, other, options.out)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("cut off"))  # as `timeout` does: what was found is reported
    try:
        for engine in engines:
            bench.engine(engine)
    finally:  # minutes of figures are not lost to what came after them
        if not bench.results.is_empty:
            _report(bench, machine | {"load_after": os.getloadavg()})
    return 1 if bench.results.differing else 0


def _materials(n_tokens: int) -> tuple[Material, Material]:
    """Two texts from the interpreter's standard library."""
    tokenizer = from_folder(EMBEDDED)
    names = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    controls = Controls(*(tokenizer.encode(name, parse_special=True)[0] for name in names))
    files = [path.read_text("utf-8") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, parse_special=False)

    return material(files, encode, controls, n_tokens, SEED), material(files, encode, controls, n_tokens, SEED + 1)


def _report(bench: Bench, machine: dict[str, Any]) -> None:
    """Print the tables, write the files."""
    found, table = bench.results, rows(bench.results.samples)
    judged: list[Verdict] = []
    for engine in bench.plan.engines:
        decoded = next((each for each in found.decoded if each.engine == engine), None)
        judged += verdicts(engine, PEER[engine], table, found.cold, found.preempted, decoded)
    equal = f"{found.n_compared - len(found.differing)} of {found.n_compared} answers equal to a fresh daemon's"
    print("\n".join([*table_lines(table), "", *found.cuts, *found.differing, equal, "", *verdict_lines(judged)]))
    content = {"machine": machine, "seconds": time.monotonic() - bench.begun, "plan": asdict(bench.plan)}
    content |= {"verdicts": as_json(judged), "rows": as_json(table)} | asdict(found)
    path = bench.folder / "figures.json"
    path.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    bench.say("wrote " + ", ".join(map(str, (path, *(curves(table, bench.folder) if table else ())))))


def _machine() -> dict[str, Any]:
    """What the figures hold for. A load at the start says that others were computing, too."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "system": platform.platform(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in VERSIONS},
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "load_before": os.getloadavg(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench inference", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("llama", "mlx", "all"), default="all")
    parser.add_argument("--contexts", type=_contexts, metavar="1k,4k,...", help="in tokens; default: 1k,4k,16k,32k")
    usual = ",".join(USUAL_PARTS)
    parser.add_argument("--parts", type=_parts, default=USUAL_PARTS, metavar=",".join(PARTS), help=f"default: {usual}")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="1k and 4k, few requests: does it run? not a measurement")
    text = "leave out contexts where one cold request takes longer; default: " + str(PATIENCE_S)
    parser.add_argument("--patience", type=float, metavar="SECONDS", help=text)
    return parser


def _parts(text: str) -> tuple[Part, ...]:
    wanted = text.split(",")
    if set(wanted) - set(PARTS):
        raise argparse.ArgumentTypeError(f"parts are {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in wanted)


def _contexts(text: str) -> tuple[int, ...]:
    """`1k,32k` in thousands of tokens: a context of 32,768 has room for 32k, a tail and an answer."""
    found = sorted({int(part.removesuffix("k")) * (1000 if part.endswith("k") else 1) for part in text.split(",")})
    if found[0] < 512:
        raise argparse.ArgumentTypeError("contexts must have 512 tokens or more")
    return tuple(found)
