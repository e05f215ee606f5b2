"""The exactness gate: random edit scripts at small contexts, every greedy answer equal to the plain engine's.

The daemon's side has everything on: prefix cache with tiny budgets, snapshots, forks, eviction, drafts, grammars,
preemption, jobs at once, cancels. The plain side has nothing on (`plain.py`). Any other token fails, with the seed and
the shortest script that still shows it. Passes of other widths round differently: where the plain engine itself is
undecided (`TIE`), a different token is counted apart and shown with its margin. `exact_model.py` says how it is
kept from rounding more than that.

    scripts/bench exactness [--engine llama|mlx] [--scripts 1000] [--seed N] [--out JSON]
    scripts/bench exactness --script SEED      plays one again, and shows it

The report is printed and written as the run goes on: one that is cut has what it had.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from inference.backends.base import EngineName, EngineSettings
from inference.models.catalogue import ModelFiles
from scripts.benches.edit_scripts import Ask, Cancel, Script, script
from scripts.benches.exact_model import exact_files, load_exact
from scripts.benches.plain import Plain, n_common
from scripts.benches.play import Played, Said, play, without

TIE = 1e-4  # logits: what rounding may turn around, with a reserve of ten. Sure answers are decided by whole units
SHRINK_S = 60.0  # for finding the shortest script that still fails
UNFINISHED = ("cancelled", "superseded")
SAID_EACH = 25  # scripts, until the report so far is printed and written
MAX_SHOWN = 5  # failing scripts: more of them have the same cause
PLAIN = EngineSettings(n_ctx=2048, n_cells=2048, max_sequences=1, n_threads=1, exact=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a script's answer; `number` -1: with the daemon's books. `margin`: see `Plain.margin`."""

    seed: int
    number: int
    what: str
    margin: float | None = None

    @property
    def is_tie(self) -> bool:
        return self.margin is not None and self.margin < TIE


@dataclass(slots=True)
class Report:
    """The run as it grows. `calls`: what the scheduler did with the engine."""

    engine: EngineName
    seed: int
    scripts: int = 0
    requests: int = 0
    answers_compared: int = 0
    tokens_compared: int = 0
    cancelled: int = 0
    superseded: int = 0
    preemptions: int = 0
    tokens_evaluated: int = 0
    tokens_reused: int = 0
    seconds: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)
    ties: list[Fault] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, played: Played, faults: Sequence[Fault]) -> None:
        self.scripts += 1
        self.requests += len(played.said)
        self.answers_compared += sum(said.reason in ("stop", "length") for said in played.said)
        self.tokens_compared += sum(len(said.tokens) for said in played.said)
        self.cancelled += sum(said.reason == "cancelled" for said in played.said)
        self.superseded += sum(said.reason == "superseded" for said in played.said)
        self.preemptions += played.stats.preemptions
        self.tokens_evaluated += played.stats.tokens_evaluated
        self.tokens_reused += played.stats.tokens_reused
        self.calls += played.calls
        self.ties += [fault for fault in faults if fault.is_tie]
        self.faults += [fault for fault in faults if not fault.is_tie]

    def lines(self) -> Iterator[str]:
        yield (
            f"{self.engine}: {self.scripts} scripts from seed {self.seed} in {self.seconds:.0f} s: "
            f"{self.requests} requests, {self.answers_compared} answers whole, {self.cancelled} cancelled, "
            f"{self.superseded} superseded, {self.tokens_compared} tokens"
        )
        yield (
            f"  {self.tokens_evaluated} tokens evaluated, {self.tokens_reused} reused, {self.preemptions} preemptions; "
            + ", ".join(f"{name} {n}" for name, n in sorted(self.calls.items()))
        )
        margins = ", ".join(f"{tie.margin:.1e} (seed {tie.seed})" for tie in self.ties)
        yield f"  ties (margin < {TIE:g} logits): {len(self.ties)}" + (f": {margins}" if margins else "")
        yield f"  WRONG: {len(self.faults)}" if self.faults else "  all others equal"


class Gate:
    """One engine's plain side, and what is judged against it."""

    def __init__(self, files: ModelFiles) -> None:
        self.files = files
        self.plain = Plain(load_exact(files, PLAIN))

    def run(self, seeds: Sequence[int]) -> Iterator[tuple[Script, Played, list[Fault]]]:
        for seed in seeds:
            made = self.script(seed)
            played = self.play(made)
            yield made, played, judge(made, played, self.plain)
            self.plain.forget()

    def script(self, seed: int) -> Script:
        return script(seed, self.plain.backend.info, self.plain.encode, lambda ask: self.plain.answer(ask).tokens)

    def play(self, made: Script) -> Played:
        return play(made, self.files, self.plain.constraint)

    def fails(self, made: Script) -> bool:
        return any(not fault.is_tie for fault in judge(made, self.play(made), self.plain))

    def shortest(self, made: Script) -> Script:
        """Moves dropped as long as it still fails: halves first, then single ones, the last ones first."""
        end = time.monotonic() + SHRINK_S
        size = len(made.moves) // 2
        while size:
            at = len(made.moves)
            while at > 0 and time.monotonic() < end:
                at -= size
                smaller = replace(made, moves=without(made.moves, set(range(max(0, at), at + size))))
                if self.fails(smaller):
                    made = smaller
                    at = min(at, len(made.moves))
            size //= 2
        return made


def judge(made: Script, played: Played, plain: Plain) -> list[Fault]:
    """Everything that is wrong with the answers and with the books."""
    faults = [fault for fault in (_answer_fault(made, plain, *each) for each in _pairs(made, played)) if fault]
    if len(played.said) < len(made.asks):
        faults.append(Fault(made.seed, -1, f"stuck before request {len(played.said)}"))
    faults += [Fault(made.seed, -1, what) for what in _book_faults(made, played)]
    return faults


def _pairs(made: Script, played: Played) -> list[tuple[int, Ask, Said]]:
    return [(i, ask, said) for i, (ask, said) in enumerate(zip(made.asks, played.said, strict=False))]


def _answer_fault(made: Script, plain: Plain, number: int, ask: Ask, said: Said) -> Fault | None:
    def fault(what: str, margin: float | None = None) -> Fault:
        return Fault(made.seed, number, what, margin)

    if said.n_ends != 1 or said.reason is None:
        return fault(f"answered {said.n_ends} times {said.error}")
    if said.reason == "cancelled" and Cancel(number) not in made.moves:
        return fault("cancelled, and nobody asked for that")
    if said.reason == "superseded" and not any(_replaces(later, ask) for later in made.asks[number + 1 :]):
        return fault("superseded, and nothing newer came")
    if wrong := _usage_fault(ask, said):
        return fault(wrong)
    answer = plain.answer(ask)
    n_right = n_common(answer.tokens, said.tokens)
    if n_right < len(said.tokens):
        instead: Sequence[int] = said.tokens[n_right : n_right + 1]
    elif said.reason in UNFINISHED or (n_right == len(answer.tokens) and (said.reason == "stop") == answer.ended):
        return None
    elif said.reason == "stop":
        instead = sorted(plain.end_ids(ask))
    else:
        return fault(f"ends after {n_right} of {len(answer.tokens)} tokens: {said.reason}")
    margin = plain.margin(ask, n_right, instead)
    return fault(f"token {n_right} of {len(answer.tokens)} is another one, margin {margin:.3g} logits", margin)


def _replaces(later: Ask, ask: Ask) -> bool:
    return bool(ask.latest_of) and (later.client, later.latest_of) == (ask.client, ask.latest_of)


def _usage_fault(ask: Ask, said: Said) -> str:
    if said.usage is None:
        return "" if said.reason == "superseded" else "no usage came"
    if (said.usage.prompt_tokens, said.usage.completion_tokens) != (len(ask.prompt), len(said.tokens)):
        return f"{len(said.tokens)} tokens came, usage says {said.usage}"
    return f"nothing of the prompt was evaluated: {said.usage}" if said.usage.cached_tokens >= len(ask.prompt) else ""


def _book_faults(made: Script, played: Played) -> Iterator[str]:
    stats = played.stats
    if played.stuck:
        yield "stuck: neither a pass nor an answer"
        return
    if stats.queued or stats.running:
        yield f"at the end {stats.queued} queued and {stats.running} running"
    if stats.tokens_evaluated != played.n_evaluated:
        yield f"counted {stats.tokens_evaluated} tokens, the engine evaluated {played.n_evaluated}"
    in_answers = sum(said.usage.evaluated_tokens for said in played.said if said.usage)
    is_whole = all(
        said.usage and said.reason != "superseded" for said in played.said
    )  # others' last counts stay unsaid
    if in_answers != played.n_evaluated and is_whole:
        yield f"the answers' usage says {in_answers} tokens, the engine evaluated {played.n_evaluated}"
    if stats.cache_bytes > made.settings.cache_bytes:
        yield f"{stats.cache_bytes} bytes held of {made.settings.cache_bytes}"


def show(made: Script) -> Iterator[str]:
    """A script for a person to read."""
    settings = made.settings
    yield (
        f"seed {made.seed}: n_ctx {settings.n_ctx}, n_cells {settings.n_cells}, cache_bytes {settings.cache_bytes}, "
        f"max_sequences {settings.max_sequences}, chunk {settings.chunk}, scale {made.scale}, "
        f"tokens_per_pass {made.tokens_per_pass:g}"
    )
    number = 0
    for move in made.moves:
        if not isinstance(move, Ask):
            yield f"  {move}"
            continue
        options = {
            "latest_of": move.latest_of,
            "marks": move.marks,
            "prediction": len(move.prediction),
            "grammar": type(move.grammar).__name__,
        }
        shown = " ".join(f"{name} {value}" for name, value in options.items() if value and value != "NoneType")
        stops = " stop_ids" if move.stop_ids else ""
        yield (
            f"  {number}: {move.priority.name} {move.client} prompt {len(move.prompt)} (hash {hash(move.prompt)}), "
            f"max_tokens {move.max_tokens} {shown}{stops}"
        )
        number += 1


def run(gate: Gate, n_scripts: int, seed: int, said: Callable[[Report], None]) -> Report:
    """Play `n_scripts` from `seed` on; prints failures as they come. `said`: told of the report as it grows."""
    report, begun, n_failed = Report(gate.files.engine, seed), time.monotonic(), 0
    for made, played, faults in gate.run(range(seed, seed + n_scripts)):
        report.add(played, faults)
        wrong = [fault for fault in faults if not fault.is_tie]
        if wrong and (n_failed := n_failed + 1) <= MAX_SHOWN:
            print(f"FAILED {made.seed}: {wrong[0]}", *(["and", len(wrong) - 1, "more"] if wrong[1:] else []))
            print(
                f"again: scripts/bench exactness --engine {gate.files.engine} --script {made.seed}; the shortest form:"
            )
            print("\n".join(show(gate.shortest(made))), flush=True)
        report.seconds = time.monotonic() - begun
        if report.scripts % SAID_EACH == 0:
            said(report)
    return report


def tell(report: Report, out: Path | None) -> None:
    print("\n".join(report.lines()), flush=True)
    if out is not None:
        figures = asdict(replace(report, calls=Counter())) | {"calls": report.calls}  # asdict miscounts a Counter
        out.write_text(json.dumps(figures, indent=2) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench exactness", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("llama", "mlx"), default="llama")
    parser.add_argument("--scripts", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, help="the first script's; the others follow")
    parser.add_argument("--script", type=int, metavar="SEED", help="play only this one, and show it")
    parser.add_argument("--out", type=Path, metavar="JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="exactness-") as folder:
        gate = Gate(exact_files(options.engine, Path(folder)))
        if options.script is not None:
            print("\n".join(show(gate.script(options.script))))
        seed, n_scripts = (options.seed, options.scripts) if options.script is None else (options.script, 1)
        report = run(gate, n_scripts, seed, partial(tell, out=options.out))
    tell(report, options.out)
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
