"""The cache as a tree, from sequences made by hand."""

from array import array

from inference.backends.base import Snapshot
from inference.branches import Branch, branches
from inference.kept import Kept, Runs, Stop


def kept(seq: int, rows: Runs, *stops: int, busy: bool = False) -> Kept:
    n_tokens = sum(last - first for first, last in rows)
    tokens = array("i", range(n_tokens)).tobytes()
    return Kept(seq, tokens, rows, {at: Stop(Snapshot(at, 0, None), 0) for at in stops}, 0, busy)


def test_each_stands_behind_the_one_it_left() -> None:
    trunk = kept(1, [(0, 1000)], 400, 999)
    twig = kept(2, [(0, 400), (1000, 1200)], 400, 599, busy=True)
    of_twig = kept(3, [(0, 400), (1000, 1100), (1200, 1250)], 400)
    other = kept(4, [(2000, 2700)])
    assert branches([other, of_twig, twig, trunk]) == (
        Branch(1000, 0, 0, (400, 999), False),
        Branch(600, 400, 1, (400, 599), True),
        Branch(550, 500, 2, (400,), False),
        Branch(700, 0, 0, (), False),
    )


def test_an_empty_cache_has_none() -> None:
    assert branches([]) == ()
