"""Which sequences' attention rows lie in llama.cpp's one pool, and which have left it for the process's memory.

A pass looks at every cell of the pool up to the last that is used, whoever uses it. With the embedded model that is
50 to 70 ns for each token and each cell, so that 32,000 rows of others made a prompt of 1,000 tokens 15 times as dear.
So a sequence leaves when what was evaluated beside it has cost as much as moving it does, and comes back when it is
asked for: the rule for renting or buying, never more than twice what knowing the future would have cost. What leaves
is its own rows and its state; the rows that it shares stay with whoever shares them. When holes are left, all of it is
packed anew by the same rule.

Nothing is evaluated for it, and what comes back is the same to the bit. Knows no tokens.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from inference.errors import QueueFull
from inference.kept import Runs, common_rows, count_rows, first_rows

WHOLE, RECURRENT_ONLY = 0, 1  # 1: LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
LEAST_ROWS = 256  # a pass looks at so many cells at a time: fewer rows cost the others next to nothing
TO_MOVE = 16  # tokens beside a row that cost what moving it out and in does: 0.6 us, and 0.05 to 0.07 for each
TO_MOVE_FUSED = 128  # fused attention steps over what is not its own
_BRANCH = 1 << 32  # numbers of rows that one branch may use


@dataclass(frozen=True, slots=True)
class _Left:
    """A sequence outside. Its first `n_shared` rows are those of `owner`, in the pool or outside."""

    payload: bytes
    n_shared: int
    owner: int


class Pool:
    """The rows of all open sequences. Written only by the backend that owns the context."""

    def __init__(self, context: Any, spare: int, *, has_state: bool, is_fused: bool) -> None:
        self._context = context
        self._spare = spare  # a sequence that is empty between passes
        self._has_state = has_state
        self._to_move = TO_MOVE_FUSED if is_fused else TO_MOVE
        self._max_bytes = self._row_bytes = self._state_bytes = 0  # until `limit` nothing leaves
        self.n_left = 0  # how often a sequence did
        self._rows: dict[int, Runs] = {}
        self._left: dict[int, _Left] = {}
        self._beside: dict[int, int] = {}  # tokens evaluated by others since a sequence was used
        self._branches = count()
        self._next: dict[int, int] = {}  # the number of a sequence's next row
        self._high = (
            0  # most rows since the pool was empty: llama.cpp fills it from the front, so no cell far beyond is used
        )
        self._lost = 0  # tokens times cells that are not used and looked at, since then

    def limit(self, max_bytes: int, row_bytes: int, state_bytes: int) -> None:
        """How much may be outside, and what a sequence takes there: so much for each row and once for its state."""
        self._max_bytes, self._row_bytes, self._state_bytes = max_bytes, row_bytes, state_bytes

    def open(self, seq: int) -> None:
        self._rows[seq] = []
        self._beside[seq] = 0
        self._part(seq)

    def close(self, seq: int) -> None:
        self.cut(seq, 0)
        self._context.memory_seq_rm(seq, -1, -1)
        self._left.pop(seq, None)
        del self._rows[seq], self._beside[seq], self._next[seq]

    def check_room(self, n_tokens: int) -> None:
        """Rows outside have their cells, too: whoever is asked for fits."""
        n_cells = self._context.n_ctx
        if count_rows(run for rows in self._rows.values() for run in rows) + n_tokens > n_cells:
            raise QueueFull(f"no room for {n_tokens} more tokens in {n_cells} rows")

    def ready(self, seqs: Collection[int], n_tokens: int) -> None:
        """Before a pass that appends `n_tokens` to `seqs`: they are in, and who has been in the way leaves."""
        self.check_room(n_tokens)
        needed = self._with_owners(seqs)
        for seq in self._inside():
            self._beside[seq] = 0 if seq in seqs else self._beside[seq] + n_tokens
            if self._beside[seq] >= self._to_move and seq not in needed:
                n_own = self._n_own(seq)
                if n_own >= LEAST_ROWS and self._may_leave(n_own):
                    self._leave(seq)
        n_inside = self.n_inside()
        if n_inside == 0:
            self._high = self._lost = 0
        self._lost += n_tokens * max(0, self._high - n_inside)
        if self._lost >= self._to_move * max(LEAST_ROWS, n_inside) and self._may_leave(n_inside):
            self.empty(wipe=False)
        for seq in seqs:
            self.bring(seq)

    def bring(self, seq: int) -> None:
        """Have a sequence in the pool."""
        left = self._left.get(seq)
        if left is None:
            return
        if left.n_shared:
            self.bring(left.owner)
        self._context.set_state_seq_data_with_flags(left.payload, seq, WHOLE)
        if left.n_shared:
            state = self._context.get_state_seq_data_with_flags(seq, RECURRENT_ONLY) if self._has_state else b""
            self._context.memory_seq_cp(left.owner, seq, 0, left.n_shared)  # takes the owner's state along
            if state:
                self._context.set_state_seq_data_with_flags(state, seq, RECURRENT_ONLY)
        del self._left[seq]
        self._high = max(self._high, self.n_inside())

    def grew(self, seq: int, n_rows: int) -> None:
        rows, first = self._rows[seq], self._next[seq]
        self._next[seq] += n_rows
        if rows and rows[-1][1] == first:
            rows[-1] = (rows[-1][0], first + n_rows)
        else:
            rows.append((first, first + n_rows))
        self._high = max(self._high, self.n_inside())

    def cut(self, seq: int, n_rows: int) -> None:
        """The sequence is about to be cut to `n_rows`, or is so already: who needs more of it comes in."""
        for other in [other for other, left in self._left.items() if left.owner == seq and left.n_shared > n_rows]:
            self.bring(other)
        self._rows[seq] = first_rows(self._rows[seq], n_rows)
        self._part(seq)

    def forked(self, seq: int, child: int, n_rows: int) -> None:
        self._rows[child] = first_rows(self._rows[seq], n_rows)

    def empty(self, *, wipe: bool) -> None:
        """Everything leaves, and the pool begins anew; with `wipe` no number stays behind in it."""
        for seq in self._inside():
            self._leave(seq)
        self._context.kv_cache_clear(wipe)
        self._high = self._lost = 0

    def n_inside(self) -> int:
        """Rows in the pool, shared ones once."""
        return count_rows(run for seq in self._inside() for run in self._rows[seq])

    def high(self) -> int:
        """How many cells a pass looks at, about."""
        return self._high

    def out_bytes(self) -> int:
        return sum(len(left.payload) for left in self._left.values())

    def _may_leave(self, n_rows: int) -> bool:
        return self.out_bytes() + n_rows * self._row_bytes + self._state_bytes <= self._max_bytes

    def _with_owners(self, seqs: Collection[int]) -> set[int]:
        """All that must be in the pool for `seqs` to be."""
        needed, wanted = set[int](), list(seqs)
        while wanted:
            seq = wanted.pop()
            needed.add(seq)
            if seq in self._left and self._left[seq].n_shared:
                wanted.append(self._left[seq].owner)
        return needed

    def _inside(self) -> Sequence[int]:
        return [seq for seq in self._rows if seq not in self._left]

    def _n_own(self, seq: int) -> int:
        return count_rows(self._rows[seq]) - self._shared(seq)[0]

    def _shared(self, seq: int) -> tuple[int, int]:
        """How many of its rows another in the pool has, too, and which."""
        others = (other for other in self._inside() if other != seq)
        return max(((common_rows(self._rows[seq], self._rows[other]), other) for other in others), default=(0, seq))

    def _leave(self, seq: int) -> None:
        if not self._rows[seq]:
            return
        n_shared, owner = self._shared(seq)
        self._context.memory_seq_cp(seq, self._spare, n_shared, -1)
        payload = self._context.get_state_seq_data_with_flags(self._spare, WHOLE)
        self._context.memory_seq_rm(self._spare, -1, -1)
        self._context.memory_seq_rm(seq, -1, -1)
        self._left[seq] = _Left(payload, n_shared, owner)
        self.n_left += 1

    def _part(self, seq: int) -> None:
        """Rows that come now have numbers that no row ever had."""
        self._next[seq] = next(self._branches) * _BRANCH
