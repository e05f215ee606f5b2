"""What a pass costs by its size, and what drafting makes of it: the embedded model and, on llama.cpp, a larger one.

    scripts/bench passes [--engine llama|mlx] [--model embedded|larger|FILE ...] [--contexts 1k,4k] [--edits N]
                         [--threads N] [--stay]

A pass is the daemon's own step: a token, a draft that is wrong at once, and the way back. `in a row` follows passes of
the same size, `after one` a plain pass, as drafts come: llama.cpp prepares anew when the size changes. Then recorded
edits are drawn by force with drafts and without. `beside`, on llama.cpp, is what a new prompt costs while other
sequences, which share nothing with it, are held. CPU seconds, which other programs move less; for several threads wall.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

import platformdirs

from inference.backends.base import Backend, EngineSettings
from inference.generation import GREEDY
from inference.models.catalogue import EMBEDDED, load, resolve
from inference.runner import CHUNK
from inference.tokenizer import from_folder
from scripts.benches import inference_decode, inference_servers, larger_model
from scripts.benches.inference_commits import recorded
from scripts.benches.inference_servers import ONE_THREAD

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
REPEATS = 7
LONG, BESIDE = 8000, (0, 1, 2, 4)  # tokens of one sequence; how many are held
N_NEW, N_MORE = 1000, 10  # tokens of a new prompt, and of a key in it
ANSWER_TOKENS = 300  # of each recorded edit
SEED = 0


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    os.environ |= ONE_THREAD if options.threads == 1 else {}  # MLX's BLAS
    usual = [EMBEDDED, "larger"] if options.engine == "llama" else [EMBEDDED]
    with tempfile.TemporaryDirectory() as folder:
        for name in options.model or usual:
            path = str(larger_model.write(Path(folder) / "larger.gguf")) if name == "larger" else name
            settings = EngineSettings(n_ctx=8192, n_cells=36_864, chunk=CHUNK, n_threads=options.threads)
            settings = replace(settings, away_bytes=0) if options.stay else settings
            backend = load(resolve(path, options.engine), settings)
            clock = time.process_time if options.threads == 1 else time.perf_counter
            print(f"{name}: {backend.info.weight_bytes / 2**20:.0f} MiB of weights, {options.threads} thread(s)")
            for context in options.contexts:
                _curve(backend, context, clock)
            if options.engine == "llama":
                _beside(backend, clock)
            _edits(backend, options.engine, options.edits)
            backend.shutdown()
    return 0


def _curve(backend: Backend, context: int, clock: Callable[[], float]) -> None:
    numbers = random.Random(SEED)
    seq, sampler = backend.open(), backend.sampler(GREEDY)
    backend.evaluate(seq, [numbers.randrange(backend.info.n_vocab) for _ in range(context)])
    start = backend.snapshot(seq)

    def step(size: int) -> float:
        draft = [numbers.randrange(backend.info.n_vocab) for _ in range(size - 1)]
        begun = clock()
        backend.step(seq, 65, draft, sampler)
        seconds = clock() - begun
        backend.restore(seq, start)
        return seconds

    def after_one(size: int) -> float:
        step(1)
        return step(size)

    plain = median(step(1) for _ in range(3 * REPEATS))
    print(f"  {context} tokens of context: a plain pass {plain * 1e3:.2f} ms")
    print("    size   in a row, of plain   after one, of plain   each further token")
    for size in SIZES:
        row, changed = (median(kind(size) for _ in range(REPEATS)) for kind in (step, after_one))
        further = f"{(row - plain) / (size - 1) / plain:.2f}" if size > 1 else ""
        both = " ".join(f"{each * 1e3:9.2f} ms {each / plain:6.2f}" for each in (row, changed))
        print(f"    {size:4} {both} {further:>12}")
    backend.close(seq)
    sys.stdout.flush()


def _beside(backend: Backend, clock: Callable[[], float]) -> None:
    numbers = random.Random(SEED)

    def tokens(n: int) -> list[int]:
        return [numbers.randrange(backend.info.n_vocab) for _ in range(n)]

    def timed(seq: int, n: int) -> float:
        new, begun = tokens(n), clock()
        for at in range(0, n, CHUNK):
            backend.evaluate(seq, new[at : at + CHUNK])
        return (clock() - begun) * 1e3

    others: list[int] = []
    for n in BESIDE:
        for _ in range(n - len(others)):
            others.append(backend.open())
            timed(others[-1], LONG)
        found = []
        for _ in range(REPEATS):
            for other in others[-1:]:
                timed(other, 1)  # it is used in between
            seq = backend.open()
            found.append((timed(seq, N_NEW), timed(seq, N_MORE)))
            backend.close(seq)
        new, more = (median(each) for each in zip(*found, strict=True))
        print(f"  {n} others of {LONG} tokens: {N_NEW} new ones {new:6.1f} ms, {N_MORE} more {more:.2f} ms", flush=True)
    for seq in others:
        backend.close(seq)


def _edits(backend: Backend, engine: str, n: int) -> None:
    tokenizer = from_folder(inference_servers.EMBEDDED)
    windows = random.Random(SEED).sample(recorded(Path(platformdirs.user_cache_dir("qwen-lsp-bench"))), n)
    work = []
    for each in windows:
        old, new = (tokenizer.encode(text, parse_special=False) for text in (each.old, each.new))
        work.append({"prompt": old, "answer": new[:ANSWER_TOKENS], "prediction": old})
    forced = inference_decode.Forced()
    inference_decode._force(backend, engine, forced)
    got = inference_decode.measure(backend, forced, work)
    cpu, wall = got["plain_cpu_s"] / got["cpu_s"], got["plain_wall_s"] / got["wall_s"]
    per_pass = got["tokens"] / got["passes"]
    print(
        f"  {n} recorded edits, {got['tokens']} tokens: {per_pass:.1f} per pass; against no drafts {cpu:.2f}x CPU, ",
        end="",
    )
    print(f"{wall:.2f}x wall; load {os.getloadavg()[0]:.1f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench passes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("llama", "mlx"), default="llama")
    parser.add_argument("--model", nargs="+", help="default: embedded, and with llama.cpp larger")
    parser.add_argument(
        "--contexts", type=lambda text: [int(n[:-1]) * 1000 for n in text.split(",")], default=[1000, 4000]
    )
    parser.add_argument("--stay", action="store_true", help="idle sequences may not leave the pool of rows")
    parser.add_argument("--edits", type=int, default=6, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    return parser
