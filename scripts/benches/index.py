"""The workspace index against a bare parse of the same files: cold, warm, one save; CPU, wall, memory, room; and keys.

    scripts/bench index [REPO ...] [--files 1000,10000] [--steps keys,asks] [--out FOLDER]

Without a REPO, on made-up trees of so many files (`--files 100000` takes minutes). Every step runs in a process of its
own. The bare parse reads and parses, one file after the other in one process, what the index reads; universal-ctags,
where it is installed, does what it does. Sources are never changed: what is saved is a copy. What a key costs is in
`index_keys.py`. Prints a table with the goals of DESIGN.md section 7; writes index.json.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from scripts.benches.figures import Figures
from scripts.benches.index_trees import make

REPOSITORY = Path(__file__).parents[2]
STEP_TIMEOUT_S = 3600.0
STEPS = ("parse", "cold-1", "cold-2", "warm", "save", "ctags", "keys", "asks", "asks-scan", "window")


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    results: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="qwen-index-", dir=options.scratch) as scratch:
        for repository in options.repositories:
            results[repository.name] = measure(repository, Path(scratch), options.steps)
            print("\n".join(table(repository.name, results[repository.name])), flush=True)
        for n_files in options.files if not options.repositories else ():
            tree = make(Path(scratch) / f"tree-{n_files}", n_files)
            results[f"{n_files} files"] = measure(tree, Path(scratch), options.steps)
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
    parser.add_argument(
        "--steps", type=lambda text: text.split(","), default=STEPS, metavar="NAME,NAME", help=f"of {', '.join(STEPS)}"
    )
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    parser.add_argument("--scratch", type=Path, metavar="FOLDER", help="where trees and stores are made")
    return parser


def measure(root: Path, scratch: Path, steps: Collection[str] = STEPS) -> dict[str, Figures]:
    """The figures of each step. `root` is only read."""
    stores = {name: scratch / f"store-{name}" for name in STEPS}
    stores |= {"warm": stores["cold-2"], "asks": stores["cold-2"]}  # what that has made
    results: dict[str, Figures] = {}
    for name in STEPS:
        if name not in steps:
            continue
        if name == "ctags":
            ctags = shutil.which("ctags")
            results |= {name: _ctags(ctags, root)} if ctags is not None else {}
        elif name == "save":
            shutil.copytree(root, scratch / "copy", symlinks=True)
            results[name] = _step(name, scratch / "copy", stores[name])
            shutil.rmtree(scratch / "copy")
        else:
            results[name] = _step(name, root, stores[name])
    for place in set(stores.values()):
        shutil.rmtree(place, ignore_errors=True)
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
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=STEP_TIMEOUT_S)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_s": cpu, "wall_s": time.monotonic() - started}


def table(name: str, results: Mapping[str, Figures]) -> list[str]:
    """The steps, and how they stand to the goals."""
    lines = [name]
    for step in ("parse", "cold-1", "cold-2", "warm", "ctags"):
        if figures := results.get(step):
            cpu, wall, store, peak = (figures.get(key, 0.0) for key in ("cpu_s", "wall_s", "store_mb", "peak_mb"))
            cells = f"{cpu:9.3f} {wall:9.3f} s of CPU and wall {store:7.1f} MB stored {peak:8.1f} MB at the peak"
            lines.append(f"  {step:8} {cells}")
    parse, cold, cold_2, warm = (results.get(step) for step in ("parse", "cold-1", "cold-2", "warm"))
    if parse and cold:
        text = f"{parse['n_files']:,.0f} files, {parse['n_bytes'] / 1e6:,.1f} MB"
        lines.append(f"  cold CPU / parse CPU    {cold['cpu_s'] / parse['cpu_s']:8.2f}   goal <= 1.5   ({text})")
        lines.append(f"  store / text            {cold['store_mb'] / (parse['n_bytes'] / 1e6):8.2f}")
    if cold and cold_2:
        lines.append(f"  two processes / one     {cold_2['wall_s'] / cold['wall_s']:8.2f}   goal <= 0.75 (wall)")
    if cold and warm:
        lines.append(f"  warm / cold             {warm['cpu_s'] / cold['cpu_s']:8.3f}   goal <= 0.02 (CPU)")
    if save := results.get("save"):
        walls = f"wall {save['wall_median_ms']:.1f}"
        lines.append(
            f"  one save, median, p95   {save['median_ms']:8.1f} {save['p95_ms']:8.1f} ms of CPU, {walls}   goal <= 10"
        )
    return lines + _keys(results)


def _keys(results: Mapping[str, Figures]) -> list[str]:
    lines = []
    if keys := results.get("keys"):
        cells = f"{keys['ratio_median']:8.3f} {keys['ratio_p95']:8.3f} of a whole parse's CPU, median, p95"
        share = f"{keys['of_whole']:.3f} of all, {keys['bytes_of_whole']:.3f} of the bytes read"
        lines.append(f"  key, parsed again       {cells}; {share}, {keys['n_keys']:.0f} keys   goal <= 0.2")
    for step, when in (("asks", "whole"), ("asks-scan", "being built")):
        for kind, goal in (("first", 40), ("moved", 10)):
            if (asks := results.get(step)) and asks[f"n_{kind}"]:
                cells = " ".join(f"{asks[f'{kind}_cpu_ms_{at}']:8.1f}" for at in ("median", "p95", "p99"))
                wall = f"wall {asks[f'{kind}_wall_ms_p95']:.1f} {asks[f'{kind}_wall_ms_p99']:.1f}"
                lines.append(
                    f"  {kind}, index {when:11} {cells} ms of CPU, median, p95, p99; {wall}   goal p95 <= {goal}"
                )
    if window := results.get("window"):
        cells = " ".join(f"{window[f'ms_{at}']:8.1f}" for at in ("median", "p95", "p99"))
        lines.append(
            f"  didChange during a scan {cells} ms, median, p95, p99 of {window['n_keys']:.0f}   goal p99 <= 20"
        )
    return lines
