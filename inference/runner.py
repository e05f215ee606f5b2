"""One step of a job on the backend, or of several: where it begins, what is evaluated next, where snapshots are taken.

Runs on the thread that owns the backend and returns values; which job steps next, and who hears of it, is the
scheduler's business.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from inference.backends.base import Backend, Snapshot, Step
from inference.branches import Branch, branches
from inference.brief import Brief
from inference.draft_gate import Gate
from inference.errors import EngineError, ModelBroken
from inference.generation import Job, Priority, Usage
from inference.kept import ID_BYTES, Kept, pack, trunk
from inference.prefix_cache import Eviction, Match, PrefixCache
from inference.saved import SavedPrefixes
from inference.speculate import MAX_DRAFT, Drafter
from inference.thrift import SPARING_DRAFT, never

log = logging.getLogger(__name__)

WORTH_SAVING = 1024  # tokens: evaluating fewer takes no longer than a person notices
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
    draft: Sequence[int] | None = None  # for the next step; None: not looked for yet
    looked_s: float = 0.0  # what looking for it took
    missed: bool = False  # the last draft did, and the next step evaluates the rest of it again
    n_evaluated: int = 0

    @property
    def usage(self) -> Usage:
        return Usage(len(self.job.prompt), self.n_cached, len(self.answer), self.n_evaluated)


@dataclass(frozen=True, slots=True)
class Held:
    """What the prefix cache holds, in bytes, shared things once; and how often it had to give something up."""

    rows: int = 0
    snapshots: int = 0
    engine_rows: int = 0  # memory that the engine has taken for rows
    n_evicted: int = 0
    n_sequences: int = 0
    n_tokens: int = 0  # rows, shared ones once
    n_snapshots: int = 0  # shared ones once
    tree: tuple[Branch, ...] = ()


class Runner:
    """The backend and the prefix cache, moved in step."""

    def __init__(
        self,
        backend: Backend,
        clock: Callable[[], float] | None = None,  # for everything that is timed here; None: the machine's clocks
        saved: SavedPrefixes | None = None,
        spares: Callable[[], bool] = never,
    ) -> None:
        info = backend.info
        if info.n_cells < info.n_ctx:
            raise ValueError(f"{info.n_cells} attention rows can not hold one sequence of {info.n_ctx}")
        if info.cache_bytes < info.n_ctx * info.row_bytes + info.snapshot_bytes:
            raise ValueError(f"{info.cache_bytes} bytes can not hold one sequence of {info.n_ctx} and its snapshot")
        self.backend = backend
        self._gates = {True: Gate(), False: Gate()}  # copying jobs must not pay for the guesses of others
        self._clock = clock or info.clock  # what drafts are weighed on
        self._wall = clock or time.perf_counter  # what a key waits for
        self._saved = saved
        self._spares = spares
        self._brief = Brief()
        self.cache = PrefixCache(
            max_rows=info.n_cells,
            max_sequences=info.max_sequences,
            max_bytes=info.cache_bytes,
            row_bytes=info.row_bytes,
        )

    def begin(self, run: Run) -> bool:
        """Give the run a sequence that holds its longest kept prefix. False: it must wait for another's end."""
        self._bring_back(run.prompt)
        admitted = self.cache.admit(run.prompt, run.job.max_tokens, run.job.priority is Priority.WARMUP)
        if admitted is None:
            return False
        match, evictions = admitted
        self._follow(evictions)
        n_prompt = len(run.job.prompt)
        run.kept = self.cache.begin(match, self._sequence(match), n_prompt + run.job.max_tokens - match.n_tokens)
        run.n_done = run.n_cached = match.n_tokens
        last = n_prompt - 1  # the same prompt again, or a longer one, costs what follows here
        end = last + (run.job.max_tokens == 0)  # where no answer follows, what comes next may begin at the very end
        run.stops = sorted({at for at in (*run.job.cache_marks, match.branch, last) if match.n_tokens < at <= end})
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

    def _bring_back(self, prompt: bytes) -> None:
        """Load what the disk has of the prompt where the cache has much less of it."""
        found = self._saved.find(prompt) if self._saved else None
        if self._saved is None or found is None or found.n_tokens - self.cache.match(prompt).n_tokens < WORTH_SAVING:
            return
        evictions = self.cache.room_for(found.n_tokens)
        payload = None if evictions is None else self._saved.read(found)
        self._follow(evictions or ())
        if payload is None:
            return
        try:
            seq, snapshot = self.backend.load(payload, found.n_tokens)
        except ModelBroken as error:
            self._saved.drop(found, error.message)
            return
        except EngineError as error:
            log.warning("a saved prefix of %d tokens is not read back: %s", found.n_tokens, error.message)
            return
        self.cache.adopt(seq, found.tokens, snapshot)
        log.info("read back a prefix of %d tokens", found.n_tokens)

    def save(self) -> Callable[[], object] | None:
        """What writes the trunk to disk, to be called once, from any thread. None: there is nothing new to write."""
        longest = trunk(self.cache.kept, WORTH_SAVING) if self._saved else None
        if self._saved is None or longest is None:
            return None
        kept, snapshot = longest
        tokens = kept.tokens[: snapshot.n_tokens * ID_BYTES]
        known = self._saved.find(tokens + bytes(ID_BYTES))  # it looks for what leaves a token to evaluate
        if known is not None and snapshot.n_tokens - known.n_tokens < WORTH_SAVING:
            return None
        return partial(self._saved.write, tokens, self.backend.dump(kept.seq, snapshot))

    def together(self, chosen: Run, others: Iterable[Run]) -> list[Run]:
        """`chosen`, and those whose next token comes at little cost in the same pass: they draft nothing, nor does it.

        What a missed draft left goes along in a step alone; before a pass of several it would need one of its own.
        """
        if not self._is_plain(chosen):
            return [chosen]
        return [chosen, *islice(filter(self._is_plain, others), self.backend.info.max_together - 1)]

    def _is_plain(self, run: Run) -> bool:
        return run.drafter is not None and not run.missed and not self._draft(run, run.drafter)

    def step(self, run: Run, *, brief: bool = False) -> tuple[int, ...]:
        """Evaluate the next chunk of the prompt, or go on with the answer. Returns the tokens drawn, if any.

        They are not yet part of `run.answer`: the caller puts them there, as far as they belong to it. `brief`: a key
        may come and wait for this step, which far into a context takes long.
        """
        before = self.backend.n_evaluated
        try:
            if run.n_done == len(run.job.prompt):
                return self._decode(run)
            return self._prefill(run, self._brief.chunk(CHUNK) if brief else CHUNK)
        finally:
            run.n_evaluated += self.backend.n_evaluated - before

    def _prefill(self, run: Run, chunk: int) -> tuple[int, ...]:
        assert run.kept is not None
        n_prompt = len(run.job.prompt)
        stop = run.stops[0] if run.stops else n_prompt
        end = min(run.n_done + chunk, stop)
        tokens, begun = run.job.prompt[run.n_done : end], self._wall()
        self.backend.evaluate(run.kept.seq, tokens)
        self._brief.took(len(tokens), self._wall() - begun)
        self.cache.append(run.kept, pack(tokens))
        run.n_done = end
        if run.stops and end == stop:
            del run.stops[0]
            snapshot = self.backend.snapshot(run.kept.seq)
            is_end = end == n_prompt - 1 and end not in run.job.cache_marks
            is_ahead = run.job.priority is Priority.WARMUP
            self._follow(self.cache.remember(run.kept, snapshot, prompt_end=is_end, is_ahead=is_ahead))
        if end < n_prompt or run.job.max_tokens == 0:
            return ()
        first = self.backend.sample(run.kept.seq, run.sampler)
        run.drafter = Drafter(run.job.prompt, run.job.prediction, self.backend.info.end_ids | run.job.stop_ids)
        run.drafter.accept((first,))
        return (first,)

    def _decode(self, run: Run) -> tuple[int, ...]:
        """One pass through the model: the answer's last token and, where that pays, a draft of what follows it."""
        assert run.kept is not None and run.drafter is not None
        draft = self._draft(run, run.drafter)
        before, begun = self.backend.n_evaluated, self._clock()
        drawn = self.backend.step(run.kept.seq, run.answer[-1], draft, run.sampler)
        self._gate(run).saw(self.backend.n_evaluated - before, len(drawn), self._clock() - begun, run.looked_s)
        run.missed = len(drawn) <= len(draft)
        self._drew(run, drawn)
        return drawn

    def step_together(self, runs: Sequence[Run]) -> Sequence[tuple[int, ...] | EngineError]:
        """One pass for runs that belong `together`. What each drew, or why it can not go on. See `step`."""
        begun = self._clock()
        results = self.backend.step_together([_step(run) for run in runs])
        seconds = (self._clock() - begun) / len(runs)  # what a plain step costs now: drafting has to beat that
        drawn = [result if isinstance(result, EngineError) else (result,) for result in results]
        for run, tokens in zip(runs, drawn, strict=True):
            run.n_evaluated += 1
            if not isinstance(tokens, EngineError):
                self._gate(run).saw(1, 1, seconds, run.looked_s)
                self._drew(run, tokens)
        return drawn

    def _draft(self, run: Run, drafter: Drafter) -> Sequence[int]:
        """What the run's next step tries; looked for once."""
        if run.draft is None:
            room = run.job.max_tokens - len(run.answer) - 1
            limit = self._gate(run).limit(min(room, SPARING_DRAFT if self._spares() else MAX_DRAFT))
            run.draft, run.looked_s = (), 0.0
            if limit:  # a look at the clock is not free either
                begun = self._clock()
                run.draft = drafter.draft(limit)
                run.looked_s = self._clock() - begun
        return run.draft

    def _gate(self, run: Run) -> Gate:
        return self._gates[bool(run.job.prediction)]

    def _drew(self, run: Run, drawn: tuple[int, ...]) -> None:
        """A step appended the answer's last token and all that it drew but the last."""
        assert run.kept is not None and run.drafter is not None
        self.cache.append(run.kept, pack((run.answer[-1], *drawn[:-1])))
        run.drafter.accept(drawn)
        run.draft = None

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

    def held(self) -> Held:
        cache, n_rows = self.cache, self.cache.n_rows()
        return Held(
            n_rows * self.backend.info.row_bytes,
            cache.snapshot_bytes(),
            self.backend.rows_bytes(),
            cache.n_evicted,
            len(cache.kept),
            n_rows,
            len({id(stop) for kept in cache.kept for stop in kept.stops.values()}),
            branches(cache.kept),
        )


def _step(run: Run) -> Step:
    assert run.kept is not None
    return Step(run.kept.seq, run.answer[-1], run.sampler)
