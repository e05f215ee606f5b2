"""Which evaluated prefix to keep, which to reuse, which to drop: policy on token ids, no engine, no clock.

The cache is a set of *kept* sequences of the backend. Each knows its tokens, the recurrent snapshots along it and
which attention rows it stands on; forked sequences stand on the same rows, which are counted once. A prompt reuses
the longest kept prefix that ends at a snapshot, because the recurrent state can only be restored, not cut.

Snapshots stand where prompts part: at the marks that the client names, at branch points seen here, and one token
before a prompt's end (the last token is always evaluated for its logits, and the same prompt then costs one).

Tokens are compared as packed 32-bit ids, so a look-up is a few `memcmp`s and never a loop over tokens.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from inference.backends.base import Snapshot

ID_BYTES = 4
FORK_WORTH = 256  # tokens: losing fewer than this from a kept sequence is cheaper than a sequence of its own
MIN_BRANCH = 32  # tokens: a branch point nearer than this to a snapshot is not worth one of its own
MAX_SNAPSHOTS = 16  # per sequence; on the real model each is 62.8 MiB


def pack(tokens: Sequence[int]) -> bytes:
    """Token ids as packed 32-bit integers, in the machine's order."""
    return array("i", tokens).tobytes()


def common_prefix(a: bytes, b: bytes) -> int:
    """Tokens that two packed runs share at their start; a binary search over `memcmp`s."""
    low, high = 0, min(len(a), len(b)) // ID_BYTES
    left, right = memoryview(a), memoryview(b)
    while low < high:
        middle = (low + high + 1) // 2
        if left[low * ID_BYTES : middle * ID_BYTES] == right[low * ID_BYTES : middle * ID_BYTES]:
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(slots=True, eq=False)
class Kept:
    """One sequence of the backend. `busy` while a job appends to it; `rows` are half-open runs of row numbers."""

    seq: int
    tokens: bytes
    rows: list[tuple[int, int]]
    snapshots: dict[int, Snapshot]
    busy: bool = True
    last_used: int = 0
    prompt_end: int = 0  # where the newest end-of-prompt snapshot stands; 0: none

    @property
    def n_tokens(self) -> int:
        return len(self.tokens) // ID_BYTES


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


@dataclass(slots=True)
class PrefixCache:
    """All kept sequences. `max_rows` and `max_sequences` are the backend's limits."""

    max_rows: int
    max_sequences: int
    kept: list[Kept] = field(default_factory=list)
    _tick: int = 0
    _next_row: int = 0

    def plan(self, prompt: bytes, n_rows: int) -> tuple[Match, list[Kept]] | None:
        """How to begin a job on `prompt`, when `n_rows` are wanted beside the prompt's: its answer, other jobs' rest.

        Returns the match and the idle sequences to drop first, or None if it must wait for a running job's end.
        The best match may hold too much to be copied: then it is cut short, and at last given up.
        """
        n_tokens = len(prompt) // ID_BYTES
        best = self.match(prompt)
        choices = [best]
        if best.fork and best.kept is not None and not best.kept.busy:
            choices.append(replace(best, fork=False))
        if best.kept is not None:
            choices.append(Match(kept=None, snapshot=None, fork=False, branch=best.branch))
        for match in choices:
            dropped = self._room_for(match, n_rows + n_tokens - match.n_tokens)
            if dropped is not None:
                return match, dropped
        return None

    def match(self, prompt: bytes) -> Match:
        """The longest reusable prefix of `prompt`; at least its last token is left to evaluate."""
        limit = len(prompt) // ID_BYTES - 1
        shared = [(min(common_prefix(kept.tokens, prompt), limit), kept) for kept in self.kept]
        longest = max((n for n, _ in shared), default=0)
        usable = [(max((at for at in kept.snapshots if at <= n), default=0), kept) for n, kept in shared]
        reused = max((at for at, _ in usable), default=0)
        branch = longest if longest - reused >= MIN_BRANCH else 0
        if reused == 0:
            return Match(kept=None, snapshot=None, fork=False, branch=branch)

        def fitness(kept: Kept) -> tuple[bool, int, int]:  # last_used: so that the oldest one stays free to be dropped
            return not kept.busy, -max(kept.snapshots), kept.last_used

        best = max((kept for at, kept in usable if at == reused), key=fitness)
        fork = best.busy or max(best.snapshots) - reused >= FORK_WORTH
        return Match(best, best.snapshots[reused], fork, branch)

    def _room_for(self, match: Match, n_rows: int) -> list[Kept] | None:
        """The idle sequences to drop so that `match` can go on for `n_rows` more; None if it does not fit now.

        Least recently used first. Rows that another sequence shares stay, so a trunk goes last of all.
        """
        idle = sorted((k for k in self.kept if not k.busy and k is not match.kept), key=lambda k: k.last_used)
        staying = list(self.kept)
        dropped: list[Kept] = []
        while not self._fits(staying, match, n_rows):
            if not idle:
                return None
            staying.remove(idle[0])
            dropped.append(idle.pop(0))
        return dropped

    def _fits(self, staying: list[Kept], match: Match, n_rows: int) -> bool:
        new_sequence = match.kept is None or match.fork
        runs = [run for kept in staying if new_sequence or kept is not match.kept for run in kept.rows]
        if match.kept is not None and not new_sequence:
            runs += _cut(match.kept.rows, match.n_tokens)
        return len(staying) + new_sequence <= self.max_sequences and count_rows(runs) + n_rows <= self.max_rows

    def begin(self, match: Match, seq: int) -> Kept:
        """Note that a job goes on from `match` on the sequence `seq`, its own or a copy. Returns what it appends to."""
        n = match.n_tokens
        source = match.kept
        if source is not None and not match.fork:
            source.tokens = source.tokens[: n * ID_BYTES]
            source.rows = _cut(source.rows, n)
            source.snapshots = {at: snapshot for at, snapshot in source.snapshots.items() if at <= n}
            source.busy = True
            return source
        kept = Kept(
            seq=seq,
            tokens=source.tokens[: n * ID_BYTES] if source else b"",
            rows=_cut(source.rows, n) if source else [],
            snapshots={at: s for at, s in source.snapshots.items() if at <= n} if source else {},
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

    def remember(self, kept: Kept, snapshot: Snapshot, *, prompt_end: bool) -> None:
        """Keep a snapshot of the sequence as it is now. A sequence has one end-of-prompt snapshot, the newest."""
        if prompt_end:
            if kept.prompt_end != snapshot.n_tokens:
                kept.snapshots.pop(kept.prompt_end, None)
            kept.prompt_end = snapshot.n_tokens
        elif kept.prompt_end == snapshot.n_tokens:
            kept.prompt_end = 0  # now a mark, which outlives the next key
        kept.snapshots[snapshot.n_tokens] = snapshot
        if len(kept.snapshots) > MAX_SNAPSHOTS:
            del kept.snapshots[_least_useful(sorted(kept.snapshots))]

    def release(self, kept: Kept) -> None:
        """The job on `kept` has ended; the sequence may be reused or dropped from now on."""
        self._tick += 1
        kept.busy = False
        kept.last_used = self._tick

    def forget(self, kept: Kept) -> None:
        """The backend closed the sequence."""
        self.kept.remove(kept)

    def n_rows(self) -> int:
        """Attention rows held, shared ones once."""
        return count_rows(run for kept in self.kept for run in kept.rows)

    def snapshot_bytes(self) -> int:
        """Bytes of all snapshots, shared ones once."""
        return sum({id(s): s.n_bytes for kept in self.kept for s in kept.snapshots.values()}.values())


def count_rows(runs: Iterable[tuple[int, int]]) -> int:
    """Size of the union of half-open runs."""
    total, end = 0, -1
    for first, last in sorted(runs):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total


def _cut(rows: list[tuple[int, int]], n: int) -> list[tuple[int, int]]:
    """The first `n` rows."""
    out: list[tuple[int, int]] = []
    for first, last in rows:
        if n <= 0:
            break
        out.append((first, min(last, first + n)))
        n -= last - first
    return out


def _least_useful(positions: list[int]) -> int:
    """The snapshot whose loss costs least: the one nearest behind its predecessor. First and last stay."""
    return min(positions[1:-1], key=lambda at: at - positions[positions.index(at) - 1])
