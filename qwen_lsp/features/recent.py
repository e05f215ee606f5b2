"""The last suggestions: typing along one, or back into it, asks no model. Pure but for the lists it keeps.

A suggestion is kept with the text around its place, not with its document: an edit far away leaves it valid, and an
edit near it, which the model would have read, does not.
"""

from collections import deque
from dataclasses import dataclass, field

from qwen_lsp.engine.client import Usage
from qwen_lsp.features.complete import Completion
from qwen_lsp.text.document import Cursor

MAX_RECENT = 16
MAX_REJECTED = 64
NEAR_BEFORE = 2_000  # characters on either side that a suggestion depends on: more than the prompt's tail shows
NEAR_AFTER = 500
LOOKED_FOR = 32  # characters before a suggestion that are looked for, before all are compared
NO_USAGE = Usage(0, 0, 0, 0, 0.0)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file, known by the text around it. Where the file begins or ends near it, that is a part of it."""

    uri: str
    before: str = field(repr=False)
    after: str = field(repr=False)

    @classmethod
    def of(cls, cursor: Cursor) -> "Spot":
        """The place of a cursor."""
        text, offset = cursor.document.text, cursor.offset
        return cls(cursor.document.uri, _before(text, offset), text[offset : offset + NEAR_AFTER])


@dataclass(frozen=True, slots=True)
class _Made:
    spot: Spot
    found: Completion


class Recent:
    """Suggestions and where they were made, the newest last; and those that the user did not want."""

    def __init__(self) -> None:
        self._made: deque[_Made] = deque(maxlen=MAX_RECENT)
        self._empty: deque[Spot] = deque(maxlen=MAX_RECENT)  # where there was nothing to suggest
        self._rejected: deque[tuple[Spot, str]] = deque(maxlen=MAX_REJECTED)

    def keep(self, cursor: Cursor, found: Completion) -> None:
        """`found` was made for the cursor."""
        if found.start == found.end == cursor.offset:
            self._made.append(_Made(Spot.of(cursor), found))

    def keep_empty(self, cursor: Cursor) -> None:
        """Nothing was found for the cursor; who asks there is answered by the model all the same."""
        self._empty.append(Spot.of(cursor))

    def knows(self, cursor: Cursor) -> bool:
        """Whether the cursor was asked about already: there is nothing to be made ahead of need."""
        return self.at(cursor) is not None or (bool(self._empty) and Spot.of(cursor) in self._empty)

    def at(self, cursor: Cursor) -> Completion | None:
        """What is left of a suggestion whose beginning is all that was typed since; none that was rejected."""
        text, offset, uri = cursor.document.text, cursor.offset, cursor.document.uri
        after = text[offset : offset + NEAR_AFTER]
        for made in reversed(self._made):
            spot, found = made.spot, made.found
            if spot.uri != uri or spot.after != after:
                continue
            for typed in _typed(spot, text, offset, found.text):
                others = found.others
                if others is not None:
                    others = tuple(
                        other[len(typed) :] for other in others if other.startswith(typed) and other != typed
                    )
                rest = Completion(found.text[len(typed) :], offset, offset, NO_USAGE, others)
                if not self.is_rejected(cursor, rest.text):
                    return rest
        return None

    def reject(self, spot: Spot, text: str) -> None:
        """The user saw `text` there and did not want it, or took it back."""
        self._rejected.append((spot, text))

    def is_rejected(self, cursor: Cursor, text: str) -> bool:
        """Whether this was not wanted at this place."""
        return bool(self._rejected) and (Spot.of(cursor), text) in self._rejected

    def clear(self) -> None:
        """Forget the suggestions, not what was rejected."""
        self._made.clear()
        self._empty.clear()


def _typed(spot: Spot, text: str, offset: int, suggested: str) -> list[str]:
    """The beginnings of `suggested` that may have been typed at the spot to come to `offset`: hardly ever two."""
    found: list[str] = []
    last = spot.before[-LOOKED_FOR:]
    least, at = max(0, offset - len(suggested) + 1), offset
    while at >= least and (begins := text.rfind(last, max(0, least - len(last)), at)) >= 0:
        at = begins + len(last)
        if (
            text[at:offset] == suggested[: offset - at]
            and text.endswith(spot.before, 0, at)
            and (len(spot.before) == NEAR_BEFORE or at == len(spot.before))
        ):
            found.append(suggested[: offset - at])
        at -= 1
    return found


def _before(text: str, offset: int) -> str:
    return text[max(0, offset - NEAR_BEFORE) : offset]
