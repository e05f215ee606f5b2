"""How the owner thread's words reach the event loop that asked. Knows no backend and no queue of jobs."""

import asyncio
from collections.abc import Callable

from inference.errors import EngineError
from inference.generation import Chunk, Finish, Job

Event = Chunk | Finish | EngineError


class Stream:
    """What one job says: `Chunk`s, then one `Finish`; or an `EngineError`, raised. One consumer, on its own loop."""

    def __init__(self, job: Job, cancel: Callable[[], None]) -> None:
        self.job = job
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._ended = False

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Chunk | Finish:
        if self._ended:
            raise StopAsyncIteration
        event = await self._events.get()
        self._ended = not isinstance(event, Chunk)
        if isinstance(event, EngineError):
            raise event
        return event

    def close(self) -> None:
        """Cancel the job if it still runs. The owner frees its place before the next token or chunk."""
        if not self._ended:
            self._cancel()

    def send(self, event: Event) -> None:
        """Called by the owner thread."""
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._cancel()
