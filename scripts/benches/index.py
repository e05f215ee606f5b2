"""The workspace index against a bare parse of the same files: cold, warm, one save; CPU, wall, memory, room.

    scripts/bench index [REPO ...] [--files 1000,10000] [--out FOLDER]

Without a REPO, on made-up trees of so many files (`--files 100000` takes minutes). Every step runs in a process of its
own. The bare parse reads and parses, one file after the other in one process, what the index reads; universal-ctags,
where it is installed, does what it does. Sources are never changed: what is saved is a copy. Prints a table with the
goals of DESIGN.md section 7; writes index.json.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.benches.index_trees import make

REPOSITORY = Path(__file__).parents[2]
STEP_TIMEOUT_S = 3600.0
SAVES = 30

type Figures = Mapping[str, float]


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    results: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="qwen-index-", dir=options.scratch) as scratch:
        for repository in options.repositories:
            results[repository.name] = measure(repository, Path(scratch))
            print("\n".join(table(repository.name, results[repository.name])), flush=True)
        for n_files in options.files if not options.repositories else ():
            tree = make(Path(scratch) / f"tree-{n_files}", n_files)
            results[f"{n_files} files"] = measure(tree, Path(scratch))
            print("\n".join(table(f"{n_files} files", results[f"{n_files} files"])), flush=True)
            shutil.rmtree(tree)
    machine = {"machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "index.json").write_text(json.dumps(machine | {"results": results}, indent=2) + "\n", "utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench index", description=__doc__.partition("\n")[0])
    parser.add_argument("repositories", nargs="*", type=Path, metavar="REPO")
    parser.add_argument(
        "--files", type=lambda text: [int(part) for part in text.split(",")], default=[1_000, 10_000], metavar="N,N"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where trees and stores are made")
    return parser


def measure(root: Path, scratch: Path) -> dict[str, Figures]:
    """The figures of each step. `root` is only read."""
    one, two = scratch / "store-1", scratch / "store-2"
    results: dict[str, Figures] = {"parse": _step("parse", root, one)}
    results["cold, 1 process"] = _step("cold-1", root, one)
    results["cold, 2 processes"] = _step("cold-2", root, two)
    results["warm"] = _step("warm", root, two)
    copy = scratch / "copy"
    shutil.copytree(root, copy, symlinks=True)
    results["save"] = _step("save", copy, scratch / "store-3")
    ctags = shutil.which("ctags")
    if ctags is not None:
        results["ctags"] = _ctags(ctags, root)
    for place in (one, two, scratch / "store-3", copy):
        shutil.rmtree(place)
    return results


def _step(name: str, root: Path, store: Path) -> Figures:
    command = [sys.executable, "-m", "scripts.benches.index_steps", name, str(root.resolve()), str(store)]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True, timeout=STEP_TIMEOUT_S)
    figures: Figures = json.loads(done.stdout)
    return figures


def _ctags(program: str, root: Path) -> Figures:
    """Of the same files, definitions only. Its CPU is that of a child that has ended."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [program, "--recurse", "--exclude=.git", "-f", "-", str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=STEP_TIMEOUT_S)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu, "wall_s": time.monotonic() - started}


def table(name: str, results: Mapping[str, Figures]) -> list[str]:
    """The steps, and how they stand to the goals."""
    parse, cold, cold_2, warm = (results[step] for step in ("parse", "cold, 1 process", "cold, 2 processes", "warm"))
    text = f"{parse['n_files']:,.0f} files, {parse['n_bytes'] / 1e6:,.1f} MB"
    lines = [f"{name}: {text}", f"  {'':18} {'CPU s':>9} {'wall s':>9} {'MB':>7} {'peak MB':>8}"]
    for step, figures in results.items():
        if step == "save":
            continue
        rate = f"{parse['n_bytes'] / 1e6 / figures['cpu_s']:7.1f}" if figures["cpu_s"] else ""
        lines.append(
            f"  {step:18} {figures['cpu_s']:9.3f} {figures['wall_s']:9.3f} {figures.get('store_mb', 0):7.1f} "
            f"{figures.get('peak_mb', 0):8.1f}   {rate} MB per CPU second"
        )
    save = results["save"]
    lines += [
        f"  cold CPU / parse CPU    {cold['cpu_s'] / parse['cpu_s']:8.2f}   goal <= 1.5",
        f"  two processes / one     {cold_2['wall_s'] / cold['wall_s']:8.2f}   goal <= 0.75 (wall)",
        f"  warm / cold             {warm['cpu_s'] / cold['cpu_s']:8.3f}   goal <= 0.02 (CPU)",
        f"  one save, median, p95   {save['median_ms']:8.1f} {save['p95_ms']:8.1f} ms of CPU, wall "
        f"{save['wall_median_ms']:.1f}   goal <= 10",
        f"  store / text            {cold['store_mb'] / (parse['n_bytes'] / 1e6):8.2f}",
    ]
    return lines


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of this process, and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    return time.process_time() - cpu, time.monotonic() - wall


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
