"""How the kept sequences hang together: which stands on whose rows, and where along each a snapshot is. For people.

A picture of the cache, counts only: no token of any sequence. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inference.kept import Kept, common_rows


@dataclass(frozen=True, slots=True)
class Branch:
    """One sequence. Its first `n_shared` tokens are rows of the branch it left, which stands before it."""

    n_tokens: int
    n_shared: int
    depth: int
    stops: tuple[int, ...]  # snapshots, by the number of tokens before them
    is_busy: bool


def branches(kept: Sequence[Kept]) -> tuple[Branch, ...]:
    """Each behind the one it shares most with; the longest first."""
    left = sorted(kept, key=lambda each: (-each.n_tokens, each.seq))
    placed: list[tuple[Kept, Branch]] = []
    for each in left:
        shared, at, depth = 0, len(placed), 0
        for i, (other, branch) in enumerate(placed):
            n = common_rows(each.rows, other.rows)
            if n > shared:
                shared, at, depth = n, i, branch.depth + 1
        if shared:
            at = next((i for i in range(at + 1, len(placed)) if placed[i][1].depth < depth), len(placed))
        placed.insert(at, (each, Branch(each.n_tokens, shared, depth, tuple(sorted(each.stops)), each.busy)))
    return tuple(branch for _, branch in placed)
