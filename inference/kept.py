"""A kept sequence as the prefix cache sees it: its tokens, the attention rows it stands on, the snapshots along it.

Rows are numbered once, in the order in which they were evaluated, so two paths that part never meet again. Knows no
engine: a row number is not a place in anyone's memory.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inference.backends.base import Snapshot

ID_BYTES = 4
TRUNK_SHARE = 0.9

Runs = list[tuple[int, int]]  # half-open runs of row numbers


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
class Stop:
    """A snapshot on one or more paths. `last_used`: the number of jobs ended when one last passed over it.

    `n_uses`: the jobs that did.
    """

    snapshot: Snapshot
    last_used: int
    n_uses: int = 0


@dataclass(slots=True, eq=False)
class Kept:
    """One sequence of the backend. `busy` while a job appends to it; `rows` add up to its tokens."""

    seq: int
    tokens: bytes
    rows: Runs
    stops: dict[int, Stop]  # by the number of tokens before it, ascending
    to_come: int  # rows that the job on it may still add
    busy: bool = True
    last_used: int = 0
    prompt_ends: dict[bool, int] = field(default_factory=dict)  # of its newest prompts; True: of one ahead of need

    @property
    def n_tokens(self) -> int:
        return len(self.tokens) // ID_BYTES

    @property
    def reach(self) -> int:
        """The longest prefix of it that can be reused."""
        return max(self.stops, default=0)

    def before(self, at: int) -> int:
        """The stop before the one at `at`; 0 where there is none."""
        return max((other for other in self.stops if other < at), default=0)

    def cut(self, n: int) -> None:
        """Keep the first `n` tokens."""
        self.tokens = self.tokens[: n * ID_BYTES]
        self.rows = first_rows(self.rows, n)
        self.stops = {at: stop for at, stop in self.stops.items() if at <= n}


def count_rows(runs: Iterable[tuple[int, int]]) -> int:
    """Size of the union of half-open runs."""
    total, end = 0, -1
    for first, last in sorted(runs):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total


def first_rows(rows: Runs, n: int) -> Runs:
    """The first `n` rows of a path."""
    out: Runs = []
    for first, last in rows:
        if n <= 0:
            break
        out.append((first, min(last, first + n)))
        n -= last - first
    return out


def common_rows(a: Runs, b: Runs) -> int:
    """How many leading rows are the same ones. Rows are numbered once, so paths that part never meet again."""
    total = 0
    for (first, end), (other_first, other_end) in zip(a, b, strict=False):
        if first != other_first:
            break
        total += min(end, other_end) - first
        if end != other_end:
            break
    return total


def trunk(sequences: Iterable[Kept], least: int) -> tuple[Kept, Snapshot] | None:
    """The prefix that is worth most after a restart: a long one, `least` tokens at least, that jobs had in common.

    Of the stops that are nearly as far along, the first: what follows it is somebody's tail.
    """
    used = {at: (kept, stop.snapshot) for kept in sequences for at, stop in kept.stops.items() if stop.n_uses > 1}
    enough = max(least, TRUNK_SHARE * max(used, default=0))
    at = min((at for at in used if at >= enough), default=None)
    return None if at is None else used[at]
