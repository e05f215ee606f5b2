"""Which evaluated prefix to keep, which to reuse, which to drop: policy on token ids, no engine, no clock.

The cache is a set of *kept* sequences of the backend. Each knows its tokens, the recurrent snapshots along it and
which attention rows it stands on; forked sequences stand on the same rows, which are counted once. A prompt reuses
the longest kept prefix that ends at a snapshot, because the recurrent state can only be restored, not cut.

Snapshots stand where prompts part: at the marks that the client names, at branch points seen here, and one token
before a prompt's end (the last token is always evaluated for its logits, and the same prompt then costs one).

Tokens are compared as packed 32-bit ids, so a look-up is a few `memcmp`s and never a loop over tokens.

Under a limit on rows or bytes it gives up one segment at a time, from a snapshot to the one before it: the one with
the fewest tokens to evaluate again per byte freed and per job since its last use, which is hyperbolic caching
(Blankstein, Sen, Freedman: "Hyperbolic Caching", USENIX ATC 2017) with sizes. Rows go from a path's end only and
never while another sequence stands on them, so a shared trunk outlives its tails.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from inference.backends.base import Snapshot
from inference.kept import ID_BYTES, Kept, Stop, common_prefix, common_rows, count_rows, first_rows

FORK_WORTH = 256  # tokens: losing fewer than this from a kept sequence is cheaper than a sequence of its own
AHEAD_FORK_WORTH = 16  # the same where nobody waits: who types goes on with what a job ahead of need would cut
MIN_BRANCH = 32  # tokens: a branch point nearer than this to a snapshot is not worth one of its own
MAX_SNAPSHOTS = 16  # per sequence: bounds a look-up; bytes are what usually bounds them
NEWEST = 6  # of them stay: a prompt's last marks and its end, where the next one parts


@dataclass(frozen=True, slots=True)
class Match:
    """The best start for a prompt. `kept` is None where nothing fits: begin with an empty sequence."""

    kept: Kept | None
    snapshot: Snapshot | None
    fork: bool  # leave `kept` as it is and go on with a copy
    branch: int  # tokens shared with some kept sequence beyond the snapshot; 0: not worth a snapshot

    @property
    def n_tokens(self) -> int:
        return self.snapshot.n_tokens if self.snapshot else 0


@dataclass(frozen=True, slots=True)
class Eviction:
    """What the backend must do: take the sequence back to `snapshot`, or close it where that is None."""

    kept: Kept
    snapshot: Snapshot | None


@dataclass(frozen=True, slots=True)
class _Segment:
    """What could be given up: the stop at `at`, and all of the path but the first `left` tokens."""

    kept: Kept
    at: int
    left: int  # all tokens: only the snapshot goes
    n_lost: int  # tokens to evaluate again if that prompt comes back
    n_rows: int  # freed
    n_bytes: int  # freed, with the rows
    age: int  # jobs since its last use


@dataclass(slots=True)
class PrefixCache:
    """All kept sequences. `max_rows` and `max_sequences` are the backend's limits, `max_bytes` (rows, at `row_bytes`
    each, and snapshots) is the budget. One sequence that fills the context must fit in all three."""

    max_rows: int
    max_sequences: int
    max_bytes: int
    row_bytes: int
    kept: list[Kept] = field(default_factory=list)
    n_evicted: int = 0  # segments given up that a prompt could have reused
    _n_ended: int = 0
    _next_row: int = 0

    def room_for(self, n_tokens: int) -> list[Eviction] | None:
        """Make the room for a sequence from elsewhere, in which the backend must follow. None: there can not be any."""
        match = Match(kept=None, snapshot=None, fork=False, branch=0)
        return self._make_room(match, n_tokens) if self._could_fit(match, n_tokens) else None

    def admit(self, prompt: bytes, n_answer: int, is_ahead: bool = False) -> tuple[Match, list[Eviction]] | None:
        """How to begin a job on `prompt` with an answer of up to `n_answer` tokens. `is_ahead`: nobody waits for it.

        Makes the room, in which the backend must follow; then call `begin`. None: wait for a running job's end.
        The best match may hold too much to be copied: then it is cut short, and at last given up.
        """
        n_tokens = len(prompt) // ID_BYTES
        best = self.match(prompt, AHEAD_FORK_WORTH if is_ahead else FORK_WORTH)
        choices = [best]
        if best.fork and best.kept is not None and not best.kept.busy:
            choices.append(replace(best, fork=False))
        if best.kept is not None:
            choices.append(Match(kept=None, snapshot=None, fork=False, branch=best.branch))
        for match in choices:
            wanted = n_tokens - match.n_tokens + n_answer
            if self._could_fit(match, wanted):
                if match.kept is not None and not match.fork:
                    match.kept.cut(match.n_tokens)
                return match, self._make_room(match, wanted)
        return None

    def match(self, prompt: bytes, fork_worth: int = FORK_WORTH) -> Match:
        """The longest reusable prefix of `prompt`; at least its last token is left to evaluate."""
        limit = len(prompt) // ID_BYTES - 1
        shared = [(min(common_prefix(kept.tokens, prompt), limit), kept) for kept in self.kept]
        longest = max((n for n, _ in shared), default=0)
        usable = [(max((at for at in kept.stops if at <= n), default=0), kept) for n, kept in shared]
        reused = max((at for at, _ in usable), default=0)
        branch = longest if longest - reused >= MIN_BRANCH else 0
        if reused == 0:
            return Match(kept=None, snapshot=None, fork=False, branch=branch)

        def fitness(kept: Kept) -> tuple[bool, int, int]:  # last_used: so that the oldest one stays free to be dropped
            return not kept.busy, -kept.reach, kept.last_used

        best = max((kept for at, kept in usable if at == reused), key=fitness)
        fork = best.busy or best.reach - reused >= fork_worth
        return Match(best, best.stops[reused].snapshot, fork, branch)

    def begin(self, match: Match, seq: int, to_come: int) -> Kept:
        """Note that a job goes on from `match` on the sequence `seq`, its own or a copy, for up to `to_come` tokens.

        Returns what it appends to.
        """
        n = match.n_tokens
        source = match.kept
        if source is not None and not match.fork:
            source.busy, source.to_come = True, to_come
            return source
        kept = Kept(
            seq=seq,
            tokens=source.tokens[: n * ID_BYTES] if source else b"",
            rows=first_rows(source.rows, n) if source else [],
            stops={at: stop for at, stop in source.stops.items() if at <= n} if source else {},
            to_come=to_come,
        )
        self.kept.append(kept)
        return kept

    def append(self, kept: Kept, tokens: bytes) -> None:
        """Note that packed `tokens` were evaluated on `kept`."""
        n = len(tokens) // ID_BYTES
        first, self._next_row = self._next_row, self._next_row + n
        if kept.rows and kept.rows[-1][1] == first:
            kept.rows[-1] = (kept.rows[-1][0], first + n)
        else:
            kept.rows.append((first, first + n))
        kept.tokens += tokens
        kept.to_come -= n

    def remember(self, kept: Kept, snapshot: Snapshot, *, prompt_end: bool, is_ahead: bool = False) -> list[Eviction]:
        """Keep a snapshot of the sequence as it is now. Of ends of prompts a sequence has the newest one's, and that of
        the newest job ahead of need beside it: the next key goes on from the key before.

        What had to go for its bytes is returned: the backend must follow.
        """
        at, ends = snapshot.n_tokens, kept.prompt_ends
        if prompt_end:
            last = ends.pop(is_ahead, at)
            if last != at and last not in ends.values():
                kept.stops.pop(last, None)
            ends[is_ahead] = at
        else:  # a mark outlives the next key
            kept.prompt_ends = {who: end for who, end in ends.items() if end != at}
        kept.stops[at] = Stop(snapshot, self._n_ended)
        if len(kept.stops) > MAX_SNAPSHOTS:
            del kept.stops[min(list(kept.stops)[1:-NEWEST], key=lambda at: at - kept.before(at))]
        return self._make_room(None, 0)

    def release(self, kept: Kept) -> None:
        """The job on `kept` has ended; the sequence may be reused or dropped from now on."""
        self._n_ended += 1
        kept.busy, kept.to_come = False, 0
        kept.last_used = self._n_ended
        for stop in kept.stops.values():
            stop.last_used = self._n_ended
            stop.n_uses += 1

    def forget(self, kept: Kept) -> None:
        """The backend closed the sequence."""
        self.kept.remove(kept)

    def n_rows(self) -> int:
        """Attention rows held, shared ones once."""
        return count_rows(run for kept in self.kept for run in kept.rows)

    def snapshot_bytes(self) -> int:
        """Bytes of all snapshots, shared ones once."""
        snapshots = {id(stop): stop.snapshot for kept in self.kept for stop in kept.stops.values()}
        return sum(snapshot.n_bytes for snapshot in snapshots.values())

    def adopt(self, seq: int, tokens: bytes, snapshot: Snapshot) -> None:
        """Note that the backend holds packed `tokens` on the sequence `seq`, from elsewhere."""
        kept = self.begin(Match(kept=None, snapshot=None, fork=False, branch=0), seq, len(tokens) // ID_BYTES)
        self.append(kept, tokens)
        kept.stops[snapshot.n_tokens] = Stop(snapshot, self._n_ended)
        self.release(kept)

    # --- making room --------------------------------------------------------------------------------------------

    def _could_fit(self, match: Match, n_rows: int) -> bool:
        """Whether the running jobs and `match` leave the room, if all else goes: idle sequences and snapshots."""
        staying = [kept for kept in self.kept if kept.busy or kept is match.kept]
        runs = [run for kept in staying if kept is not match.kept or match.fork for run in kept.rows]
        if match.kept is not None and not match.fork:
            runs += first_rows(match.kept.rows, match.n_tokens)
        rows = count_rows(runs) + sum(kept.to_come for kept in staying) + n_rows
        n_sequences = len(staying) + (match.kept is None or match.fork)
        n_bytes = rows * self.row_bytes + (match.snapshot.n_bytes if match.snapshot else 0)
        return n_sequences <= self.max_sequences and rows <= self.max_rows and n_bytes <= self.max_bytes

    def _make_room(self, match: Match | None, n_rows: int) -> list[Eviction]:
        """Give up what is worth least until `match` can go on for `n_rows` more, or nothing is left to give up."""
        evicted: dict[int, Eviction] = {}  # by sequence: several segments of one are one step for the backend
        is_new = match is not None and (match.kept is None or match.fork)
        while True:
            n_held = self.n_rows() + sum(kept.to_come for kept in self.kept) + n_rows
            if len(self.kept) + is_new > self.max_sequences:
                kept, left = self._least_kept(match), 0
            elif n_held > self.max_rows or n_held * self.row_bytes + self.snapshot_bytes() > self.max_bytes:
                segment = self._least_segment(match, of_rows=n_held > self.max_rows)
                if segment is None:
                    break
                kept, left = segment.kept, segment.left
                if left == kept.n_tokens:
                    for holder in self._holders(kept.stops[segment.at]):
                        del holder.stops[segment.at]
                    self.n_evicted += 1
                    continue
            else:
                break
            evicted[kept.seq] = self._cut_back(kept, left)
        return list(evicted.values())

    def _cut_back(self, kept: Kept, n: int) -> Eviction:
        self.n_evicted += kept.reach > n
        kept.cut(n)
        stop = kept.stops.get(n)
        if stop is None or len(self._holders(stop)) > 1:
            self.kept.remove(kept)  # another one has all that is left
            return Eviction(kept, None)
        return Eviction(kept, stop.snapshot)

    def _least_kept(self, match: Match | None) -> Kept:
        """The idle sequence whose end costs least: few tokens that no other has, long unused."""

        def worth(kept: Kept) -> tuple[float, int]:
            n_lost = max(0, kept.reach - self._n_shared(kept))
            return n_lost / (1 + self._n_ended - kept.last_used), kept.last_used

        return min(self._idle(match), key=worth)

    def _least_segment(self, match: Match | None, *, of_rows: bool) -> _Segment | None:
        """The one to give up first, by what it frees: rows, or bytes."""

        def worth(segment: _Segment) -> tuple[float, int]:
            freed = segment.n_rows if of_rows else segment.n_bytes
            return segment.n_lost / freed / (1 + segment.age), -segment.age

        segments = [each for each in self._segments(match) if (each.n_rows if of_rows else each.n_bytes)]
        return min(segments, key=worth, default=None)

    def _segments(self, match: Match | None) -> Iterator[_Segment]:
        """All that could go now: the ends of idle sequences, and each snapshot but the one that the match begins at."""
        for kept in self._idle(match):
            n_shared = self._n_shared(kept)
            n_behind = kept.n_tokens - max(kept.reach, n_shared)
            if n_behind > 0:  # an answer's rows: no prompt can begin after them
                yield _Segment(kept, 0, kept.reach, 0, n_behind, n_behind * self.row_bytes, 0)
            elif kept.stops:
                at, left = kept.reach, kept.before(kept.reach)
                n_rows = max(0, kept.n_tokens - max(left, n_shared))
                n_bytes = n_rows * self.row_bytes + kept.stops[at].snapshot.n_bytes
                yield _Segment(kept, at, left, at - left, n_rows, n_bytes, self._n_ended - kept.stops[at].last_used)
        for stop in {id(stop): stop for kept in self.kept for stop in kept.stops.values()}.values():
            if match is None or stop.snapshot is not match.snapshot:
                holders, at = self._holders(stop), stop.snapshot.n_tokens
                n_lost = (at - holders[0].before(at)) * len(holders)
                age = self._n_ended - stop.last_used
                yield _Segment(holders[0], at, holders[0].n_tokens, n_lost, 0, stop.snapshot.n_bytes, age)

    def _holders(self, stop: Stop) -> list[Kept]:
        return [kept for kept in self.kept if kept.stops.get(stop.snapshot.n_tokens) is stop]

    def _idle(self, match: Match | None) -> list[Kept]:
        return [kept for kept in self.kept if not kept.busy and (match is None or kept is not match.kept)]

    def _n_shared(self, kept: Kept) -> int:
        """How many of its leading rows some other sequence stands on, too."""
        return max((common_rows(kept.rows, other.rows) for other in self.kept if other is not kept), default=0)
