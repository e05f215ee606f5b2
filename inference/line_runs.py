"""Which runs of whole lines stand exactly once in a text, as an automaton over lines.

It is the text's suffix automaton: a state is a set of places that all share what leads there, so a run that leads to
a state with one place is unique. Its size is linear in the number of lines, also where they repeat, and each run has
one way through it. Knows no grammar and no tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LineRuns:
    """State 0 is where a run begins. `steps[s]`: the next line -> the next state. `ends`: a run may stop here."""

    steps: Mapping[int, Mapping[str, int]]
    ends: frozenset[int]


def unique_runs(lines: Sequence[str], barred: frozenset[str]) -> LineRuns:
    """All runs of `lines` that stand there once and hold none of `barred`. `steps` is empty where there is none."""
    automaton = _Automaton()
    for line in lines:
        automaton.append(line)
    n_places = automaton.n_places()
    ends = {state for state, n in enumerate(n_places) if state and n == 1}
    steps: dict[int, dict[str, int]] = {}
    useful: set[int] = set()
    for state in sorted(range(len(automaton.next)), key=automaton.length.__getitem__, reverse=True):
        ahead = {line: to for line, to in automaton.next[state].items() if to in useful and line not in barred}
        if ahead:
            steps[state] = ahead
        if ahead or state in ends:
            useful.add(state)
    return _reachable(steps, ends)


def _reachable(steps: Mapping[int, Mapping[str, int]], ends: set[int]) -> LineRuns:
    """Without the states that only a barred line leads to."""
    seen, waiting = {0}, [0]
    while waiting:
        for to in steps.get(waiting.pop(), {}).values():
            if to not in seen:
                seen.add(to)
                waiting.append(to)
    return LineRuns({state: ahead for state, ahead in steps.items() if state in seen}, frozenset(ends & seen))


@dataclass(slots=True)
class _Automaton:
    """Blumer et al., "The smallest automaton recognizing the subwords of a text" (1985), built line by line."""

    next: list[dict[str, int]] = field(default_factory=lambda: [{}])
    link: list[int] = field(default_factory=lambda: [-1])  # the state of the longest ending that has more places
    length: list[int] = field(default_factory=lambda: [0])  # lines of the longest run that leads here
    is_copy: list[bool] = field(default_factory=lambda: [False])
    last: int = 0

    def append(self, line: str) -> None:
        new = self._add(self.length[self.last] + 1, {}, 0, is_copy=False)
        state = self.last
        while state >= 0 and line not in self.next[state]:
            self.next[state][line] = new
            state = self.link[state]
        if state >= 0:
            self.link[new] = self._split(state, line)
        self.last = new

    def _split(self, state: int, line: str) -> int:
        """The state that `line` leads to from `state` and from its shorter endings only."""
        target = self.next[state][line]
        if self.length[target] == self.length[state] + 1:
            return target
        copy = self._add(self.length[state] + 1, dict(self.next[target]), self.link[target], is_copy=True)
        self.link[target] = copy
        while state >= 0 and self.next[state].get(line) == target:
            self.next[state][line] = copy
            state = self.link[state]
        return copy

    def n_places(self) -> list[int]:
        """How often the runs of each state stand in the text."""
        counts = [0 if is_copy else 1 for is_copy in self.is_copy]
        for state in sorted(range(1, len(self.link)), key=self.length.__getitem__, reverse=True):
            counts[self.link[state]] += counts[state]
        return counts

    def _add(self, length: int, ahead: dict[str, int], link: int, *, is_copy: bool) -> int:
        self.next.append(ahead)
        self.link.append(link)
        self.length.append(length)
        self.is_copy.append(is_copy)
        return len(self.next) - 1
