"""Which holes of a repository's past are asked: newest commits first, so many of each kind, grouped by their tree."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from qwen_lsp.eval.history import Change, Commit, Repository
from qwen_lsp.eval.holes import KINDS, Hole, Kind, holes

MOST_COMMITS = 2_000  # looked at, the newest first
MOST_FILES = 60  # of a commit: more is a mass change, which nobody types


def sample(
    repository: Repository,
    n_per_kind: int,
    seed: int,
    since: str = "",
    kinds: Sequence[Kind] = KINDS,
    admitted: Callable[[Commit, Change], bool] = lambda _commit, _change: True,
) -> tuple[Hole, ...]:
    """Up to `n_per_kind` holes of each kind from commits after `since`: oldest tree first, each commit's as written.

    `admitted` may leave changes out, for example those that a project's own rules exclude.
    """
    left = Counter(dict.fromkeys(kinds, n_per_kind))
    found: list[Hole] = []
    for commit in repository.commits(since, MOST_COMMITS):
        if not +left:
            break
        changes = [change for change in repository.changes(commit) if admitted(commit, change)]
        if not 0 < len(changes) <= MOST_FILES:
            continue
        for hole in holes(commit, changes, seed, [kind for kind in kinds if left[kind] > 0]):
            if left[hole.kind] > 0:
                left[hole.kind] -= 1
                found.append(hole)
    return tuple(sorted(found, key=lambda h: (h.time, h.parent, h.commit, h.path, h.offset, KINDS.index(h.kind))))


def by_tree(found: Sequence[Hole]) -> Iterator[tuple[str, tuple[Hole, ...]]]:
    """Holes with the same parent commit together."""
    for parent, group in groupby(found, key=lambda hole: hole.parent):
        yield parent, tuple(group)
