"""Token ids -> text that is safe to show: whole characters only, and no part of a stop string.

Knows no HTTP and no scheduler. The result does not depend on how the tokens were chunked.
"""

import codecs
from collections.abc import Callable, Sequence


class TextStream:
    """Text of one answer as it grows. Feed `push`; end with `finish`, or leave once `stopped`."""

    def __init__(self, piece: Callable[[int], bytes], stops: Sequence[str] = ()) -> None:
        self._piece = piece
        self._stops = tuple(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # may be the beginning of a stop string
        self.stopped = False

    def push(self, token: int) -> str:
        """The text that `token` makes safe to show; often another token's, or none."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(self._piece(token))
        cut = _first_stop(text, self._stops)
        if cut is not None:
            self.stopped = True
            self._held = ""
            return text[:cut]
        keep = _begun(text, self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """What was held back. The bytes of an unfinished character are dropped: half of one is no text."""
        rest, self._held = self._held, ""
        return rest


def text_of(tokens: Sequence[int], piece: Callable[[int], bytes]) -> str:
    """The text of `tokens` at once; bytes that are no UTF-8 become U+FFFD."""
    return b"".join(map(piece, tokens)).decode("utf-8", "replace")


def _first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the stop string begins that is complete first; of several that end together, the longest."""
    found = [(at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0]
    return min(found)[1] if found else None


def _begun(text: str, stops: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of a stop string."""
    longest = min(len(text), max(map(len, stops), default=1) - 1)
    for n in range(longest, 0, -1):
        tail = text[-n:]
        if any(stop.startswith(tail) for stop in stops):
            return n
    return 0
