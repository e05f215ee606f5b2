"""Where a run of whole lines, begun at a line, has become one that stands exactly once in a text.

Longer runs from there do so, too. Read off the text's suffix automaton: a state is a set of places that all share what
leads there, and the longest ending of a state that has more places is one line short of standing once. Takes linear
time, also where lines repeat. Knows no grammar and no tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


def least_ends(lines: Sequence[str]) -> list[int]:
    """At i the least j so that lines[i:j] stands once; shorter than `lines` where no run from there on does."""
    automaton = _Automaton()
    ways = []
    for line in lines:
        automaton.append(line)
        ways.append(automaton.last)
    n_places = automaton.n_places()
    ends: list[int] = []
    for at, state in enumerate(ways):
        if n_places[state] == 1:
            last_start = at - automaton.length[automaton.link[state]]
            ends += [at + 1] * (last_start + 1 - len(ends))
    return ends


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
