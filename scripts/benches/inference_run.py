"""The run itself: which server is asked what, in which order, and what is kept of the answers."""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar, get_args

import platformdirs

from inference.speculate import replay
from inference.tokenizer import from_folder
from scripts.benches import inference_traces as traces
from scripts.benches.inference_cold import child, chunk_s, cold
from scripts.benches.inference_commits import recorded
from scripts.benches.inference_during import LONG_PREFILL, first_tokens
from scripts.benches.inference_figures import Cold, Decoded, Forced, Preempted, Sample, Step
from scripts.benches.inference_servers import (
    EMBEDDED,
    PEER,
    Answer,
    Engine,
    Server,
    ServerFailed,
    homes,
    ours,
    peer,
)
from scripts.benches.inference_traces import Ask, Material, Trace

T = TypeVar("T")

SEED = 0
N_KEYS = 24
N_LOG_EDITS = 4
IN_PLACE = (0.9, 0.5, 0.1)  # how far into the base an edit is
COSTLY_S = 15.0  # for the requests of one trace that evaluate nearly everything
MAX_COSTLY, MAX_COLD = 6, 4
GROWTH = 1.3  # attention makes each token dearer the more stand before it
GATE_ALL_S = 4.0  # where a cold request takes longer, only GATE_ALWAYS are asked again
GATE_ALWAYS = ("ledger", "switch")
SAVED_S = 5.0  # an idle daemon writes its trunk to disk after two seconds
FORCED = {"llama": (12, 1500), "mlx": (12, 400)}  # forced answers: how many, tokens each at most; of 3, noise was 15 %
N_OTHERS = 30  # of text without copies, half as long: what is looked for there is a few per cent


Part = Literal["cold", "traces", "during", "edits"]
PARTS: tuple[Part, ...] = get_args(Part)
USUAL_PARTS: tuple[Part, ...] = ("traces", "during", "edits")  # pairs of cold prompts take five minutes at 32k


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `patience_s`: a cold request that would take longer is not made, and its context is cut."""

    parts: tuple[Part, ...]
    engines: tuple[Engine, ...]
    contexts: tuple[int, ...]  # ascending
    is_quick: bool
    patience_s: dict[Engine, float]

    @property
    def n_keys(self) -> int:
        return 8 if self.is_quick else N_KEYS


@dataclass(slots=True)
class Results:
    """What a run has found so far. `differing`: answers of ours that a fresh daemon did not give."""

    samples: list[Sample] = field(default_factory=list)
    cold: list[Cold] = field(default_factory=list)
    preempted: list[Preempted] = field(default_factory=list)
    decoded: list[Decoded] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    n_compared: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.samples or self.cold or self.preempted or self.decoded)

    def first_token_s(self, engine: str, server: str) -> tuple[int, float]:
        """Of the longest cold request so far, and its context; zeros before any."""
        known = [s for s in self.samples if (s.engine, s.server, s.trace, s.step) == (engine, server, "end", "first")]
        last = max(known, key=lambda s: s.context, default=None)
        return (0, 0.0) if last is None else (last.context, last.first_token_s)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. `other` is text that `material` does not share."""

    plan: Plan
    material: Material
    other: Material
    folder: Path
    results: Results = field(default_factory=Results)
    begun: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        print(f"[{time.monotonic() - self.begun:5.0f} s] {line}", file=sys.stderr, flush=True)

    def engine(self, engine: Engine) -> None:
        """All contexts on our daemon and on its peer, then two clients, then decoding."""
        for context in self.plan.contexts if "cold" in self.plan.parts else ():
            self._cold(engine, self.material.cut(context), 1 if self.plan.is_quick else MAX_COLD)
        for context in self.plan.contexts if "traces" in self.plan.parts else ():
            if self._is_affordable(engine, "ours", context):
                self._ours(engine, context)
            if self._is_affordable(engine, PEER[engine], context):
                self._peer(engine, context)
        for server in ("ours", PEER[engine]) if "during" in self.plan.parts else ():
            self._preempted(engine, server)
        if "edits" in self.plan.parts:
            self.say(f"{engine}: recorded edits")
            self.results.decoded.append(self._decode(engine))

    def _is_affordable(self, engine: Engine, server: str, context: int) -> bool:
        """Judged by the longest context so far; the first one always is."""
        longest, seconds = self.results.first_token_s(engine, server)
        expected_s = seconds * (context / longest) ** GROWTH if longest else 0.0
        if expected_s <= self.plan.patience_s[engine]:
            return True
        self._note(
            f"cut: {engine}, {server}, {context} tokens: one cold request would take about {expected_s:.0f} s, "
            f"and --patience is {self.plan.patience_s[engine]:.0f} s"
        )
        return False

    def _note(self, cut: str) -> None:
        self.results.cuts.append(cut)
        self.say(cut)

    # --- one server, one context --------------------------------------------------------------------------------

    def _ours(self, engine: Engine, context: int) -> None:
        m = self.material.cut(context)
        asked: list[tuple[Trace, str]] = []
        with homes() as home:
            if "cold" not in self.plan.parts:
                self._cold(engine, m, 1)
                self._cold(engine, m, self._affordable(engine, context, MAX_COLD) - 1)
            server = self._start(engine, home)
            try:
                self._ask(server, context, "end", "first", traces.typing_at_end(m, 1).first[0])
                for trace in self._traces(engine, m):
                    asked.append((trace, self._play(server, context, trace)))
                again = next(trace.keys[-1] for trace, _ in asked if trace.name == "ledger")
                server.ask(again)
                time.sleep(SAVED_S)
                server.stop()
                self.say(f"ours, {context} tokens: restart")
                server = self._start(engine, home)
                self._ask(server, context, "restart", "key", again)
            finally:
                server.stop()
        self._gate(engine, context, asked)

    def _peer(self, engine: Engine, context: int) -> None:
        m = self.material.cut(context)
        server = self._start_peer(engine)
        try:
            self._ask(server, context, "end", "first", traces.typing_at_end(m, 1).first[0])
            for trace in self._traces(engine, m):
                self._play(server, context, trace)
        except ServerFailed as problem:  # the other figures stand
            self._note(f"cut: {engine}, {PEER[engine]}, {context} tokens: the server failed: {problem}")
        finally:
            server.stop()

    def _start(self, engine: Engine, home: Path) -> Server:
        server = ours(engine, home)
        server.ask(Ask(self.other.spare[:4]))  # what a server does at its first request only
        return server

    def _start_peer(self, engine: Engine) -> Server:
        server = peer(engine, self.folder / f"{PEER[engine]}.log")
        server.ask(Ask(self.other.spare[:4]))
        return server

    def _traces(self, engine: Engine, m: Material) -> Iterator[Trace]:
        n_keys, n_costly = self.plan.n_keys, self._affordable(engine, len(m.base), MAX_COSTLY)
        yield traces.typing_at_end(m, n_keys)
        yield traces.typing_in_ledger(m, n_keys)
        yield traces.edits_in_log(m, N_LOG_EDITS)
        yield traces.switching(m, n_keys)
        yield traces.typing_in_middle(m, n_costly)
        yield traces.edits_in_place(m, IN_PLACE if n_costly >= len(IN_PLACE) else IN_PLACE[1:2])

    def _affordable(self, engine: Engine, context: int, most: int) -> int:
        """How often the bench can afford to evaluate a whole prompt of this length."""
        each_s = max(c.ours_s for c in self.results.cold if (c.engine, c.context) == (engine, context))
        return 1 if self.plan.is_quick else max(1, min(most, int(COSTLY_S / each_s)))

    def _play(self, server: Server, context: int, trace: Trace) -> str:
        """The text of the last answer."""
        self.say(f"{server.kind}, {context} tokens: {trace.name}")
        if trace.name != "end":  # its first request was the cold one
            for ask in trace.first:
                self._ask(server, context, trace.name, "first", ask)
        return [self._ask(server, context, trace.name, "key", ask).text for ask in trace.keys][-1]

    def _ask(self, server: Server, context: int, trace: str, step: Step, ask: Ask) -> Answer:
        a = server.ask(ask)
        counts = (a.prompt, a.reused, a.answered, a.evaluated, a.first_token_s, a.total_s, a.cpu_s)
        self.results.samples.append(Sample(server.engine, server.kind, context, trace, step, *counts))
        return a

    # --- cold, twice over ---------------------------------------------------------------------------------------

    def _cold(self, engine: Engine, m: Material, n_pairs: int) -> None:
        """Cold requests to the bare engine and to a fresh daemon, each first by turns."""
        context, ask = len(m.base), traces.typing_at_end(m, 1).first[0]
        for _ in range(n_pairs):
            n = sum((c.engine, c.context) == (engine, context) for c in self.results.cold)
            self.say(f"{engine}, {context} tokens: cold, {n + 1}")
            self.results.cold.append(cold(engine, context, ask, partial(self._start, engine), ours_first=n % 2 == 1))

    def _gate(self, engine: Engine, context: int, asked: Sequence[tuple[Trace, str]]) -> None:
        """The last question of each trace to a daemon that knows nothing: what caches and drafts may not change."""
        cold_s = median(c.ours_s for c in self.results.cold if (c.engine, c.context) == (engine, context))
        for trace, text in asked:
            if cold_s > GATE_ALL_S and trace.name not in GATE_ALWAYS:
                continue
            self.say(f"{engine}, {context} tokens: {trace.name} again, cold")
            with homes() as home:
                server = ours(engine, home)
                try:
                    answer = server.ask(trace.keys[-1])
                finally:
                    server.stop()
            self.results.n_compared += 1
            if answer.reused or answer.text != text:
                self.results.differing.append(
                    f"DIFFERENT: {engine}, {context} tokens, {trace.name}: {text!r}, cold {answer.text!r}, "
                    f"{answer.reused} reused"
                )

    # --- two clients --------------------------------------------------------------------------------------------

    def _preempted(self, engine: Engine, kind: str) -> None:
        """The long prompt is as long as the longest of the traces; without traces, it is timed alone before."""
        context, long_s = self.results.first_token_s(engine, kind)
        long = Ask(self.other.base[: min(context or self.plan.contexts[-1], LONG_PREFILL)])
        if not context:
            long_s = self._on_a_fresh_one(engine, kind, lambda server: server.ask(long, max_tokens=1).first_token_s)
        self.say(f"{kind}: typing during a prefill of {len(long.prompt)} tokens")
        keys = traces.typing_at_end(self.material.cut(self.plan.contexts[0]), self.plan.n_keys)
        alone, during = self._on_a_fresh_one(engine, kind, lambda server: first_tokens(server, keys, long, long_s))
        chunks_s = [c.chunk_s for c in self.results.cold if c.engine == engine] or [chunk_s(engine, long)]
        found = Preempted(engine, kind, len(long.prompt), max(chunks_s), tuple(alone), tuple(during))
        self.results.preempted.append(found)

    def _on_a_fresh_one(self, engine: Engine, kind: str, ask: Callable[[Server], T]) -> T:
        with homes() as home:
            server = self._start(engine, home) if kind == "ours" else self._start_peer(engine)
            try:
                return ask(server)
            finally:
                server.stop()

    # --- decoding -----------------------------------------------------------------------------------------------

    def _decode(self, engine: Engine) -> Decoded:
        """All recorded edits replayed by the drafter alone, some of them drawn on the engine."""
        tokenizer = from_folder(EMBEDDED)
        edits = [
            (tokenizer.encode(each.old, parse_special=False), tokenizer.encode(each.new, parse_special=False))
            for each in recorded(Path(platformdirs.user_cache_dir("qwen-lsp-bench")))
        ]
        replayed = [replay(new, old, old) for old, new in edits]
        n, most = FORCED[engine]
        n, n_others = (2, 2) if self.plan.is_quick else (n, N_OTHERS)
        chosen = random.Random(SEED).sample(edits, n)
        starts = range(len(self.other.base) - most)
        runs = [slice(at, at + most // 2) for at in random.Random(SEED).sample(starts, n_others)]
        work = {
            "edits": [{"prompt": old, "answer": new[:most], "prediction": old} for old, new in chosen],
            "others": [
                {"prompt": self.material.base[run], "answer": self.other.base[run], "prediction": ()} for run in runs
            ],
        }
        drawn = json.loads(child("inference_decode", engine, work=work))
        return Decoded(
            engine,
            n_windows=len(replayed),
            replay_tokens=sum(each.n_tokens for each in replayed),
            replay_passes=sum(each.n_passes for each in replayed),
            replay_median=median(each.tokens_per_pass for each in replayed),
            edits=Forced(**drawn["edits"]),
            others=Forced(**drawn["others"]),
        )
