"""LatestWins: at most one task per key; a newer one cancels the older.

Knows nothing of LSP. A cancelled task closes its stream to the engine, which is how the engine learns of it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Superseded:
    """The answer of work that a newer request with the same key has cancelled."""


class LatestWins[Key]:
    """Runs work under keys. All calls come from the event loop's thread."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Task[object]] = {}

    async def run[T](self, key: Key, work: Callable[[], Coroutine[object, object, T]]) -> T | Superseded:
        """The result of `work`, unless a later call with the same key comes first.

        Cancelling the caller cancels the work and raises, as usual; being superseded returns.
        """
        self.cancel(key)
        task = asyncio.get_running_loop().create_task(work())
        self._running[key] = task
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            return Superseded()
        finally:
            if self._running.get(key) is task:
                del self._running[key]

    def cancel(self, key: Key) -> None:
        """Supersede what runs under the key."""
        older = self._running.pop(key, None)
        if older is not None:
            older.cancel()

    def cancel_all(self) -> None:
        """Supersede everything that runs."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()
