"""Typing replayed from a repository's history, through the whole server over stdio, against the real daemon.

    scripts/bench typing [REPO ...] [--engine llama|mlx|all] [--keys N | --minutes N [--keys-per-minute N]]
                  [--context-tokens N] [--no-baseline | --beside] [--baseline-speed N ...] [--explain]

Each key is sent as an editor sends it, after the pause that a person makes (a second at most), and its answer awaited.
Tokens are the daemon's counts, and ours are all of them: warm-ups and what is made ahead too. The baseline types the
same keys into llama.vim on llama-server (see typing_baseline). Prints a table and what the issue wants to be reached.

With `--minutes` the trace is as long as that on its own clock, that of somebody who never stops to read: 100 to 250
keys a minute; with `--keys-per-minute` the pauses before another place are drawn out until it is that pace. Counts are
told by quarters of an hour, too, and are in the file every two minutes.
"""

import argparse
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.replay import Trace, drawn_out, lasting, opened, play, spread, trace
from qwen_lsp.eval.traces import Stroke
from scripts.benches import typing_slow
from scripts.benches.inference_servers import ROOT, Engine, Server, get, homes, ours, peer
from scripts.benches.typing_baseline import Vim
from scripts.benches.typing_spent import recorded, spent, told
from scripts.benches.typing_window import Key, Window

SEED = 0
QUARTER_S = 900.0
SAVE_S = 120.0  # between two writes of what there is so far


@dataclass(slots=True)
class Baseline:
    """llama.vim as on a machine `speed` times as fast as this one. `tokens`: for each key, what it had evaluated."""

    speed: float = 1.0
    tokens: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)  # a request, on its clock
    spent: Counter[str] = field(default_factory=Counter)
    n_requests: int = 0


@dataclass(slots=True)
class Run:
    """One repository on one engine. `elsewhere`: tokens evaluated at the first key after an edit in another file."""

    repository: str
    engine: Engine
    context_tokens: int | None
    keys: list[Key] = field(default_factory=list)
    elsewhere: list[tuple[int, int]] = field(default_factory=list)  # tokens of the edits, evaluated
    cpu_ms: list[float] = field(default_factory=list)  # of the server's process, for each key
    begun_s: list[float] = field(default_factory=list)  # when each was asked
    strokes: Counter[str] = field(default_factory=Counter)
    all_tokens: int = 0  # by the daemon's own count, warm-ups and what was made ahead included
    seconds: float = 0.0
    typed_s: float = 0.0  # what the strokes would take a person
    quarters: list[tuple[int, int]] = field(default_factory=list)  # keys and our tokens when each was over
    baselines: list[Baseline] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Everything but the texts that were shown."""
        keys = [asdict(replace(key, shown=None)) | {"is_shown": key.shown is not None} for key in self.keys]
        baselines = [_shallow(baseline) for baseline in self.baselines]
        return _shallow(self) | {"keys": keys, "baselines": baselines}


def _shallow(counted: Run | Baseline) -> dict[str, Any]:
    """Its fields, while others go on counting."""
    values = {each.name: getattr(counted, each.name) for each in fields(counted)}
    return {name: dict(value) if isinstance(value, Counter) else value for name, value in values.items()}


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    engines: tuple[Engine, ...] = ("llama", "mlx") if options.engine == "all" else (options.engine,)
    options.out.mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    path = options.out / "typing.json"
    with _saved_at_times(path, runs):
        for folder in options.repositories or [ROOT]:
            repository = Repository(folder)
            played = cut(repository, options.keys, options.minutes, options.keys_per_minute)
            for engine in engines:
                runs.append(Run(folder.name, engine, options.context_tokens))
                _typed(runs[-1], repository, played, options)
    print(f"wrote {path}")
    return 0


@contextmanager
def _saved_at_times(path: Path, runs: Sequence[Run]) -> Iterator[None]:
    """Write what the runs came to now and then, and at the end."""
    ended = threading.Event()

    def save() -> None:
        said = json.dumps({"load": os.getloadavg(), "runs": [run.as_json() for run in list(runs)]}, indent=1)
        path.write_text(said, "utf-8")

    def at_times() -> None:
        while not ended.wait(SAVE_S):
            save()

    writer = threading.Thread(target=at_times, daemon=True)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()
        save()


def _typed(run: Run, repository: Repository, played: Trace, options: argparse.Namespace) -> None:
    """Into ours, then into each baseline, or into all at once; printed."""
    record = options.out / f"typing-{run.repository}-{run.engine}.jsonl" if options.explain else None
    windows: list[Callable[[], None]] = [partial(_ours, run, repository, played, record)]
    if run.engine == "llama" and not options.no_baseline:
        run.baselines = [Baseline(speed) for speed in options.baseline_speed]
        windows += [partial(_baseline, baseline, played, options.out) for baseline in run.baselines]
    with ThreadPoolExecutor(len(windows) if options.beside else 1) as typists:
        for typed in [typists.submit(window) for window in windows]:
            typed.result()
    print("\n".join(lines(run)), flush=True)
    if record is not None:
        print(
            "\n".join([*told(spent(record)), *typing_slow.told(typing_slow.found(record, run.keys, run.begun_s))]),
            flush=True,
        )


def cut(repository: Repository, n_keys: int, minutes: float | None = None, pace: float | None = None) -> Trace:
    """The newest run of commits with so many keys, or so many minutes, to type in code, the oldest of them first.

    pace: keys a minute, where the trace should not be as dense as it comes.
    """
    if minutes is None:
        found = trace(repository, n_keys, SEED)
    elif pace is None:
        found = lasting(repository, minutes * 60, SEED)
    else:
        found = trace(repository, round(minutes * pace), SEED)
        found = found and drawn_out(found, minutes * 60)
    if found is None:
        raise SystemExit(f"no commit of {repository.top} has keys to type, or none is as short")
    return found


def _ours(run: Run, repository: Repository, played: Trace, record: Path | None) -> None:
    options: dict[str, Any] = {"engine": run.engine, "completion": {"debounce_ms": 0}}
    if run.context_tokens is not None:
        options["completion"]["context_tokens"] = run.context_tokens
    with homes() as home, tempfile.TemporaryDirectory() as work:
        tree = Path(work).resolve() / run.repository
        repository.checkout(tree).move(played.commit)
        daemon = ours(run.engine, home)
        window = Window(tree) if record is None else Window(tree, recorded(record))
        try:
            window.start_in(home, options)
            opened(window, played, tree)
            begun, before = time.perf_counter(), _evaluated(daemon)
            _play(run, window, played, daemon)
            run.cpu_ms, run.begun_s = window.cpu_ms, window.begun_s
            run.seconds, run.all_tokens = time.perf_counter() - begun, _evaluated(daemon) - before
        finally:
            window.stop()
            daemon.stop()


def _play(run: Run, window: Window, played: Trace, daemon: Server) -> None:
    at_start = _evaluated(daemon)
    for each in play(window, played.strokes):
        if isinstance(each, Stroke):
            run.strokes[each.kind] += 1
            run.typed_s += each.pause_s
            if run.typed_s >= QUARTER_S * (len(run.quarters) + 1):
                run.quarters.append((len(run.keys), _evaluated(daemon) - at_start))
                print(f"  {run.repository}, so far: {len(run.keys):,} keys, {run.quarters[-1][1]:,} tokens", flush=True)
            continue
        if each.elsewhere and each.key.usage:
            run.elsewhere.append((each.elsewhere, int(each.key.usage["evaluated_tokens"] or 0)))
        run.keys.append(each.key)


def _baseline(baseline: Baseline, played: Trace, out: Path) -> None:
    server = peer("llama", out / "llama-server.log")
    vim = Vim(server, dict(played.tabs), baseline.speed)
    baseline.tokens, baseline.spent, baseline.took_s = vim.per_key, vim.tokens, vim.took_s
    try:
        for stroke in played.strokes:
            vim.play(stroke)
            baseline.n_requests = vim.n_requests
    finally:
        server.stop()


def _evaluated(daemon: Server) -> int:
    for line in get(daemon.address, "/metrics")[1].decode().splitlines():
        if line.startswith("qwen_tokens_evaluated_total"):
            return int(float(line.split()[-1]))
    raise RuntimeError("the daemon does not say how many tokens it evaluated")


def lines(run: Run) -> Iterator[str]:
    """What a run came to, and against what the issue wants to be reached."""
    asked = [key for key in run.keys if key.evaluated is not None and not key.is_known]
    tokens = [key.evaluated for key in run.keys if key.evaluated is not None]
    context = f"{run.context_tokens} tokens of context" if run.context_tokens else "default context"
    yield f"{run.repository}, {run.engine}, {context}: {len(run.keys)} keys, {dict(run.strokes)}"
    yield f"  prompt tokens at a model call: {_told([key.prompt for key in asked])}"
    yield f"  tokens evaluated per key: {_told(tokens)}   (goal: median <= 16, p95 <= 64)"
    yield f"  of those that asked the model: {_told([key.evaluated or 0 for key in asked])}"
    n_known, n_shown = sum(key.is_known for key in run.keys), sum(key.shown is not None for key in run.keys)
    yield f"  keys that asked no model: {n_known} of {len(run.keys)}; with ghost text: {n_shown}"
    yield f"  ms from key to answer: {_told([key.total_ms for key in run.keys])}"
    answered = [key.overhead_ms for key in run.keys if key.is_known or key.evaluated is not None]
    yield f"  ms of it beside the engine: {_told(answered)}   (goal: p95 <= 5)"
    yield f"  of those that asked the model: {_told([key.overhead_ms for key in asked])}"
    cpu = list(zip(run.keys, run.cpu_ms, strict=True))
    yield f"  the server's processor ms, keys that asked: {_told([ms for key, ms in cpu if not key.is_known])}"
    yield f"  the same, the other keys: {_told([ms for key, ms in cpu if key.is_known])}"
    if run.elsewhere:
        over = [evaluated - edit for edit, evaluated in run.elsewhere]
        yield f"  first key after an edit elsewhere, tokens beyond the edit's: {_told(over)}   (goal: <= 128)"
    yield f"  all tokens, also warm-ups and what was made ahead: {run.all_tokens:,} in {run.seconds:.0f} s"
    yield f"  a person takes {run.typed_s:,.0f} s"
    yield from _against(run)


def _against(run: Run) -> Iterator[str]:
    """What each baseline took over the same keys, and what ours and theirs took in each quarter."""
    for baseline in run.baselines:
        theirs, total = baseline.tokens, sum(baseline.tokens)
        ms = [took_s * 1000 for took_s in baseline.took_s]
        yield f"  {_name(baseline)}, {len(theirs)} keys: {_told(theirs)} tokens"
        yield f"    in {baseline.n_requests} requests: {dict(baseline.spent)}; ms of each on its clock: {_told(ms)}"
        if len(theirs) == len(run.keys):
            ratio = total / max(run.all_tokens, 1)
            yield f"    tokens over those keys: {total:,} against {run.all_tokens:,}: {ratio:.1f}x   (goal: >= 20x)"
    for number, (n_keys, own) in enumerate(run.quarters, 1):
        said = [f"  after {number * QUARTER_S / 60:.0f} minutes: {n_keys:,} keys, {own:,} tokens"]
        for baseline in run.baselines:
            total = sum(baseline.tokens[:n_keys])
            if n_keys <= len(baseline.tokens):
                said.append(f"{_name(baseline)} {total:,}: {total / max(own, 1):.1f}x")
        yield ", ".join(said)


def _name(baseline: Baseline) -> str:
    if baseline.speed == 1:
        return "llama.vim"
    return f"llama.vim on a scaled clock (a machine {baseline.speed:g} times as fast)"


def _told(values: Sequence[float]) -> str:
    found = spread(values)
    return "none" if found is None else f"median {found.median:,.1f}, p95 {found.p95:,.1f}, most {found.most:,.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench typing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("repositories", nargs="*", type=lambda name: Path(name).resolve(), metavar="REPO")
    parser.add_argument("--engine", choices=("llama", "mlx", "all"), default="llama")
    parser.add_argument("--keys", type=int, default=400, help="at least so many, of each repository (default: 400)")
    parser.add_argument("--context-tokens", type=int, metavar="N", help="the setting completion.context_tokens")
    parser.add_argument("--minutes", type=float, metavar="N", help="instead: so long, by the clock of who types")
    parser.add_argument("--keys-per-minute", type=float, metavar="N", help="with --minutes: of who stops to read")
    parser.add_argument("--no-baseline", action="store_true")
    parser.add_argument(
        "--baseline-speed",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="N",
        help="its requests take as long as on a machine N times as fast as this one (default: 1); several: each",
    )
    parser.add_argument("--beside", action="store_true", help="the baseline types meanwhile: counts hold, times do not")
    parser.add_argument("--explain", action="store_true", help="what evaluated tokens and slow keys were spent on")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), metavar="FOLDER")
    return parser
