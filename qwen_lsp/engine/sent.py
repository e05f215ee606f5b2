"""What of a prompt the daemon has already, by the id of an earlier one's answer; and how the rest travels.

A prompt's base comes as the same objects at each key, so looking for what is new compares references. Pure; no HTTP.
"""

import sys
from array import array
from base64 import b64encode
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, takewhile
from operator import is_
from typing import Any

from qwen_lsp.prompt.segments import Segment

KEPT = 6  # prompts: of keys, of what is made ahead, of warm-ups
LEAST_TOKENS = 256  # fewer travel as quickly as a name
PACKED_FROM = 512  # token ids: fewer are written and read as a list in a fifth of a millisecond


@dataclass(frozen=True, slots=True)
class Begun:
    """The first segments of the prompt `name`, which the daemon has. `places`: tokens before each, and in all."""

    name: str
    places: tuple[int, ...] = field(repr=False)


WHOLE = Begun("", (0,))  # nothing: the prompt is sent whole


@dataclass(frozen=True, slots=True)
class Rest:
    """What follows: `wired` are its fields of a request.

    `places`: how many tokens stand before each of the prompt's segments, up to the first whose ids nobody asked for.
    `offsets`: the same for all of them, as marks count: such a text is one.
    """

    wired: Mapping[str, Any] = field(repr=False)
    places: tuple[int, ...] = field(repr=False)
    offsets: tuple[int, ...] = field(repr=False)


def rest_of(begun: Begun, parts: Sequence[array[int] | str]) -> Rest:
    """For the ids of each segment behind what is begun, or its text."""
    offsets = list(begun.places)
    for part in parts:
        offsets.append(offsets[-1] + (1 if isinstance(part, str) else len(part)))
    n_sure = next((n for n, part in enumerate(parts) if isinstance(part, str)), len(parts))
    places = offsets[: len(begun.places) + n_sure]
    return Rest(_wired(parts), tuple(places), tuple(offsets))


def _wired(parts: Sequence[array[int] | str]) -> Mapping[str, Any]:
    """Ids and texts in turn; ids alone as one list, and where that would be felt at each key, as their bytes."""
    ids = array("I")
    for part in parts:
        if isinstance(part, str):
            return {"prompt_parts": [each for one in parts for each in ([one] if isinstance(one, str) else one)]}
        ids += part
    if len(ids) < PACKED_FROM:
        return {"prompt": ids.tolist()}
    if sys.byteorder == "big":
        ids.byteswap()
    return {"prompt_ids": b64encode(ids.tobytes()).decode("ascii")}


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
    n, most = 0, min(len(one), len(other))
    while n < most and one[n] == other[n]:
        n += 1  # and all that follow and are the same objects
        n += sum(takewhile(bool, map(is_, islice(one, n, None), islice(other, n, None))))
    return n
