"""Garbage is looked through while the editor says nothing: by Python's own count it is in the middle of a key.

Looking through what ten thousand objects leave took a key 4 to 6 ms; all objects, 40 and more. Knows no message.
"""

import asyncio
import gc

PAUSE_S = 0.3  # nobody types that slowly: what is young is looked through
LONG_PAUSE_S = 5.0  # everything is
OBJECTS = 50_000  # made without a pause, before a key has to wait after all; one makes some thousands


class Garbage:
    """Of one server, on its event loop."""

    def __init__(self) -> None:
        self._due: list[asyncio.TimerHandle] = []

    def later(self) -> None:
        """The editor said something."""
        for handle in self._due:
            handle.cancel()
        loop = asyncio.get_running_loop()
        self._due = [loop.call_later(PAUSE_S, gc.collect, 1), loop.call_later(LONG_PAUSE_S, gc.collect)]
