"""Whether to spare the battery now: drafts become short, and nothing is evaluated before somebody asks for it.

Knows how often to look, not how the power is read.
"""

from collections.abc import Callable

from inference.power import Power

EVERY_S = 30.0  # the owner of the model asks before every step; a plug is pulled less often
SPARING_DRAFT = 8  # tokens of a draft on battery: a miss costs work that nobody sees


class Thrift:
    """Called, it answers from its last look, or looks again."""

    def __init__(self, read: Callable[[], Power], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._look_at = float("-inf")
        self._spares = False

    def __call__(self) -> bool:
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + EVERY_S
            self._spares = self._read().source == "battery"
        return self._spares


def never() -> bool:
    """For machines without a battery, and for measuring."""
    return False
