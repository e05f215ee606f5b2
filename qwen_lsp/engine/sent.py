"""What of a prompt the daemon has already: the segments that an earlier one began with, by the id of its answer. Pure.

A prompt's base comes as the same objects at each key, so looking for what is new compares references. Knows no HTTP.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from qwen_lsp.prompt.segments import Segment

KEPT = 6  # prompts: of keys, of what is made ahead, of warm-ups
LEAST_TOKENS = 256  # fewer travel as quickly as a name


@dataclass(frozen=True, slots=True)
class Begun:
    """The first segments of the prompt `name`, which the daemon has. `places`: tokens before each, and in all."""

    name: str
    places: tuple[int, ...] = field(repr=False)


WHOLE = Begun("", (0,))  # nothing: the prompt is sent whole


@dataclass(frozen=True, slots=True)
class _Sent:
    name: str
    segments: tuple[Segment, ...]
    places: tuple[int, ...]


class Earlier:
    """The last prompts of one connection."""

    def __init__(self) -> None:
        self._sent: deque[_Sent] = deque(maxlen=KEPT)

    def keep(self, name: str, segments: Sequence[Segment], places: Sequence[int]) -> None:
        """The daemon answers this prompt."""
        if places[-1] >= LEAST_TOKENS:
            self._sent.appendleft(_Sent(name, tuple(segments), tuple(places)))

    def forget(self, name: str) -> None:
        """The daemon has not got it any more."""
        self._sent = deque((sent for sent in self._sent if sent.name != name), KEPT)

    def best(self, segments: Sequence[Segment]) -> Begun:
        """The longest beginning of a prompt that the daemon has."""
        found, most = WHOLE, 0
        for sent in self._sent:
            n = _common(sent.segments, segments)
            if n > most and sent.places[n] >= LEAST_TOKENS:
                found, most = Begun(sent.name, sent.places[: n + 1]), n
        return found


def _common(one: Sequence[Segment], other: Sequence[Segment]) -> int:
    n = 0
    for a, b in zip(one, other, strict=False):
        if a is not b and a != b:
            break
        n += 1
    return n
