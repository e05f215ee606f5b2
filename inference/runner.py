"""One step of one job on the backend: where it begins, what is evaluated next, where snapshots are taken.

Runs on the thread that owns the backend and returns values; which job steps next, and who hears of it, is the
scheduler's business.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from inference.backends.base import Backend, Snapshot
from inference.draft_gate import Gate
from inference.generation import Job, Usage
from inference.kept import Kept, pack
from inference.prefix_cache import Eviction, Match, PrefixCache
from inference.speculate import MAX_DRAFT, Drafter

CHUNK = 256  # tokens of a prefill step: what a cancel or a more urgent job waits for at most


@dataclass(slots=True, eq=False)
class Run:
    """A job's state on the owner's side. `kept` is None until it begins."""

    job: Job
    prompt: bytes  # packed
    kept: Kept | None = None
    sampler: Any = None
    n_cached: int = 0
    n_done: int = 0  # prompt tokens that are in the sequence, evaluated or reused
    stops: list[int] = field(default_factory=list)  # prompt offsets still to take a snapshot at, ascending
    answer: list[int] = field(default_factory=list)
    drafter: Drafter | None = None  # from the first token of the answer on
    n_evaluated: int = 0

    @property
    def usage(self) -> Usage:
        return Usage(len(self.job.prompt), self.n_cached, len(self.answer), self.n_evaluated)


class Runner:
    """The backend and the prefix cache, moved in step."""

    def __init__(self, backend: Backend, clock: Callable[[], float] = time.perf_counter) -> None:
        info = backend.info
        if info.n_cells < info.n_ctx:
            raise ValueError(f"{info.n_cells} attention rows can not hold one sequence of {info.n_ctx}")
        if info.cache_bytes < info.n_ctx * info.row_bytes + info.snapshot_bytes:
            raise ValueError(f"{info.cache_bytes} bytes can not hold one sequence of {info.n_ctx} and its snapshot")
        self.backend = backend
        self._gates = {True: Gate(), False: Gate()}  # copying jobs must not pay for the guesses of others
        self._clock = clock
        self.cache = PrefixCache(
            max_rows=info.n_cells,
            max_sequences=info.max_sequences,
            max_bytes=info.cache_bytes,
            row_bytes=info.row_bytes,
        )

    def begin(self, run: Run) -> bool:
        """Give the run a sequence that holds its longest kept prefix. False: it must wait for another's end."""
        admitted = self.cache.admit(run.prompt, run.job.max_tokens)
        if admitted is None:
            return False
        match, evictions = admitted
        self._follow(evictions)
        to_come = len(run.job.prompt) + run.job.max_tokens - match.n_tokens
        run.kept = self.cache.begin(match, self._sequence(match), to_come)
        run.n_done = run.n_cached = match.n_tokens
        last = len(run.job.prompt) - 1  # the same prompt again, or a longer one, costs what follows here
        run.stops = sorted({at for at in (*run.job.cache_marks, match.branch, last) if match.n_tokens < at <= last})
        constraint = None if run.job.constraint is None else run.job.constraint()
        run.sampler = self.backend.sampler(run.job.sampling, constraint)
        return True

    def _follow(self, evictions: Iterable[Eviction]) -> None:
        """Have the backend give up what the cache did."""
        for eviction in evictions:
            if eviction.snapshot is None:
                self.backend.close(eviction.kept.seq)
            else:
                self._restore(eviction.kept, eviction.snapshot)

    def _sequence(self, match: Match) -> int:
        if match.kept is None or match.snapshot is None:
            return self.backend.open()
        if match.fork:
            return self.backend.fork(match.kept.seq, match.snapshot)
        self._restore(match.kept, match.snapshot)
        return match.kept.seq

    def _restore(self, kept: Kept, snapshot: Snapshot) -> None:
        try:
            self.backend.restore(kept.seq, snapshot)
        except Exception:
            self.discard(kept)
            raise

    def step(self, run: Run) -> tuple[int, ...]:
        """Evaluate the next chunk of the prompt, or go on with the answer. Returns the tokens drawn, if any.

        They are not yet part of `run.answer`: the caller puts them there, as far as they belong to it.
        """
        before = self.backend.n_evaluated
        try:
            return self._prefill(run) if run.n_done < len(run.job.prompt) else self._decode(run)
        finally:
            run.n_evaluated += self.backend.n_evaluated - before

    def _prefill(self, run: Run) -> tuple[int, ...]:
        assert run.kept is not None
        n_prompt = len(run.job.prompt)
        stop = run.stops[0] if run.stops else n_prompt
        end = min(run.n_done + CHUNK, stop)
        tokens = run.job.prompt[run.n_done : end]
        self.backend.evaluate(run.kept.seq, tokens)
        self.cache.append(run.kept, pack(tokens))
        run.n_done = end
        if run.stops and end == stop:
            del run.stops[0]
            snapshot = self.backend.snapshot(run.kept.seq)
            is_end = end == n_prompt - 1 and end not in run.job.cache_marks
            self._follow(self.cache.remember(run.kept, snapshot, prompt_end=is_end))
        if end < n_prompt or run.job.max_tokens == 0:
            return ()
        first = self.backend.sample(run.kept.seq, run.sampler)
        run.drafter = Drafter(run.job.prompt, run.job.prediction, self.backend.info.end_ids | run.job.stop_ids)
        run.drafter.accept((first,))
        return (first,)

    def _decode(self, run: Run) -> tuple[int, ...]:
        """One pass through the model: the answer's last token and, where that pays, a draft of what follows it."""
        assert run.kept is not None and run.drafter is not None
        gate = self._gates[bool(run.job.prediction)]
        room = run.job.max_tokens - len(run.answer) - 1
        draft = run.drafter.draft(gate.limit(min(room, MAX_DRAFT)))
        last, before, begun = run.answer[-1], self.backend.n_evaluated, self._clock()
        drawn = self.backend.step(run.kept.seq, last, draft, run.sampler)
        gate.saw(self.backend.n_evaluated - before, len(drawn), self._clock() - begun)
        self.cache.append(run.kept, pack((last, *drawn[:-1])))
        run.drafter.accept(drawn)
        return drawn

    def end(self, run: Run) -> None:
        """The run is over or given up; what it evaluated stays for others."""
        if run.kept is not None:
            self.cache.release(run.kept)
            run.kept = None

    def discard(self, kept: Kept) -> None:
        """Close a sequence: to make room, or because its state is in doubt."""
        self.cache.forget(kept)
        self.backend.close(kept.seq)

    def discard_idle(self) -> None:
        """Close every sequence that no run appends to."""
        for kept in [kept for kept in self.cache.kept if not kept.busy]:
            self.discard(kept)

    @property
    def cache_bytes(self) -> int:
        """Attention rows and snapshots held, shared ones once."""
        return self.cache.n_rows() * self.backend.info.row_bytes + self.cache.snapshot_bytes()
