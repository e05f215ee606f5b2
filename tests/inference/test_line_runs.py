"""The automaton against counting runs one by one."""

from hypothesis import given
from hypothesis import strategies as st

from inference.line_runs import LineRuns, unique_runs


def spelled(runs: LineRuns) -> set[tuple[str, ...]]:
    """Every run that the automaton spells; each way through it must come to an end."""
    found: set[tuple[str, ...]] = set()
    waiting: list[tuple[int, tuple[str, ...]]] = [(0, ())]
    while waiting:
        state, run = waiting.pop()
        assert state in runs.steps or state in runs.ends or state == 0
        if state in runs.ends:
            assert run not in found
            found.add(run)
        waiting += [(to, (*run, line)) for line, to in runs.steps.get(state, {}).items()]
    return found


def counted(lines: list[str], barred: frozenset[str]) -> set[tuple[str, ...]]:
    places = [(i, j) for i in range(len(lines)) for j in range(i + 1, len(lines) + 1)]
    runs = [tuple(lines[i:j]) for i, j in places]
    return {run for run in runs if runs.count(run) == 1 and not barred & set(run)}


@given(st.lists(st.sampled_from("abcM"), max_size=12))
def test_all_unique_runs_and_no_others(lines: list[str]) -> None:
    barred = frozenset("M")
    assert spelled(unique_runs(lines, barred)) == counted(lines, barred)


def test_size_is_linear_where_lines_repeat() -> None:
    for lines in (["x"] * 2000, ["a", "b"] * 1000, [str(i % 7) for i in range(2000)]):
        runs = unique_runs(lines, frozenset())
        assert sum(map(len, runs.steps.values())) <= 3 * len(lines)


def test_nothing_to_find() -> None:
    assert unique_runs([], frozenset()) == LineRuns({}, frozenset())
    assert not unique_runs(["M", "M"], frozenset("M")).steps
    assert not unique_runs(["a", "M", "a"], frozenset("M")).steps
