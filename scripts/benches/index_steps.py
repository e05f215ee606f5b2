"""One step of `scripts/bench index`, in a process of its own; prints its figures as JSON."""

import json
import os
import resource
import sys
import threading
import time
from functools import cache
from importlib import import_module
from pathlib import Path

import psutil
import tree_sitter
from tree_sitter import Parser

from qwen_lsp.index import build as building
from qwen_lsp.index.build import Progress, Report, build, compare, update
from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.reading import read
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.scan import opened
from qwen_lsp.index.store import Store
from scripts.benches import index_keys
from scripts.benches.figures import Figures, quantiles, timed

SAMPLED_EVERY_S = 0.5
SAVES = 30


def main() -> None:
    step, root, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    store = Store(folder)
    match step:
        case "parse":
            figures = bare_parse(store, root)
        case "save":
            figures = saves(store, root)
        case "keys":
            figures = index_keys.keys(root, _paths(store, root))
        case "asks":
            figures = index_keys.asks(store, root)
        case "asks-scan":
            figures = index_keys.asks_while_scanned(store, root, len(_paths(store, root)))
        case "window":
            figures = index_keys.window(root, next(path for path in _paths(store, root) if language_of(path)))
        case _:
            figures = scan(store, root, 2 if step in ("cold-2", "warm") else 1)
    store.close()
    print(json.dumps(figures))


def _paths(store: Store, root: Path) -> list[str]:
    """The files that a scan would read into an empty store."""
    return sorted(file.path for file in compare(store, root, lambda: False).changed)


def bare_parse(store: Store, root: Path) -> Figures:
    """Read and parse what the index would read and has a grammar for. Parsers are loaded before."""
    place = os.fsencode(root) + b"/"
    files = compare(store, root, lambda: False).changed
    parsers = {file.path: _parser(language) for file in files if (language := language_of(file.path)) is not None}
    n_bytes = 0

    def work() -> None:
        nonlocal n_bytes
        for file in files:
            found = read(place, file.path)
            if not isinstance(found, Skipped):
                n_bytes += len(found[0])
                if file.path in parsers:
                    parsers[file.path].parse(found[0])

    cpu, wall = timed(work)
    return {"cpu_s": cpu, "wall_s": wall, "n_files": len(files), "n_bytes": n_bytes}


@cache
def _parser(language: Language) -> Parser:
    module, function = language.grammar
    return Parser(tree_sitter.Language(getattr(import_module(module), function)()))


def scan(store: Store, root: Path, n_workers: int) -> Figures:
    """All CPU of all processes, their start included; the peak is the sum over them."""
    if n_workers == 1:
        building.IN_PROCESS_BYTES = 1 << 60  # one process means this one
    peak = _Peak()
    reports: list[Report] = []

    def work() -> None:
        reports.append(build(store, root, n_workers=n_workers, idle=False, progress=nothing, cancelled=lambda: False))

    cpu, wall = timed(work)
    peak.stop()
    others = 0.0
    for process in psutil.Process().children():
        times = process.cpu_times()
        others += times.user + times.system + times.children_user + times.children_system
    assert reports[0].is_complete
    return {
        "cpu_s": cpu + others - peak.cpu_s,
        "wall_s": wall,
        "peak_mb": peak.n_bytes / 1e6,
        "own_peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "store_mb": store.n_bytes() / 1e6,
        "n_read": reports[0].n_read,
    }


def saves(store: Store, root: Path) -> Figures:
    """Files spread over the tree, each with a line more, brought up to date one by one."""
    build(store, root, n_workers=2, idle=False, progress=nothing, cancelled=lambda: False)
    top = opened(root)
    assert not isinstance(top, Skipped)
    paths = sorted(file.path for file in store.files(store.root_id(root)).values() if language_of(file.path))
    cpu_ms, wall_ms = [], []
    for path in paths[:: max(1, len(paths) // SAVES)][:SAVES]:
        with (root / path).open("a") as file:
            file.write("\n\n")
        cpu, wall = timed(lambda path=path: update(store, root, top, [path]))  # type: ignore[misc]
        cpu_ms.append(1e3 * cpu)
        wall_ms.append(1e3 * wall)
    median, p95 = quantiles(cpu_ms)
    wall_median, wall_p95 = quantiles(wall_ms)
    return {"median_ms": median, "p95_ms": p95, "wall_median_ms": wall_median, "wall_p95_ms": wall_p95}


def nothing(at: Progress) -> None:
    pass


class _Peak:
    """The most memory that this process and all below it had at once, as far as looking now and then tells.

    What they share is counted once for each: the true figure is lower.
    """

    def __init__(self) -> None:
        self.n_bytes = 0
        self.cpu_s = 0.0  # of looking itself: more on a busy machine, where a step takes longer
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)  # a step that fails must end
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(SAMPLED_EVERY_S):
            total = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            self.n_bytes = max(self.n_bytes, total)
        self.cpu_s = time.thread_time()


if __name__ == "__main__":
    main()
