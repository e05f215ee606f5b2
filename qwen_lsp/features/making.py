"""Suggestions that are being made: one at a time for each place that asks, and it goes on when nobody waits any more.

An editor cancels at the next key, or stops waiting; the model's work is worth keeping as long as what is typed is how
the answer begins. Work ends early once the text has left it behind, or newer work takes its place.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from qwen_lsp.features.complete import Completion, Nothing
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.edits import typed_since

type Found = Completion | Nothing
type Key = tuple[str, str]  # who asks, and the document

AHEAD = "ahead"  # asks for a text that does not exist yet: as if a suggestion were accepted
LEFT_BEHIND = Nothing("the text changed meanwhile")


@dataclass(frozen=True, slots=True)
class StillMaking:
    """The time to wait is over, the work is not."""


class Work:
    """One suggestion in the making. `so_far`: how it begins, as far as the model has said it."""

    def __init__(self, key: Key, cursor: Cursor, said: Callable[[], None]) -> None:
        self._said = said
        self.key = key
        self.cursor = cursor
        self.so_far = ""
        self.n_waiting = 0
        self.task: asyncio.Task[Found]

    def hear(self, so_far: str) -> None:
        """The model said more."""
        self.so_far = so_far
        self._said()

    def fits(self, document: Document) -> bool:
        """Whether it may still be shown in the document: nothing happened but typing along it, or ahead of it."""
        typed = typed_since(self.cursor, document)
        return typed is not None and (self.so_far.startswith(typed) or typed.startswith(self.so_far))

    def fits_at(self, cursor: Cursor) -> bool:
        """Whether what is being made may be the answer for the cursor."""
        n_typed = len(cursor.document.text) - len(self.cursor.document.text)
        return self.cursor.offset + n_typed == cursor.offset and self.fits(cursor.document)

    async def wait(self, timeout_s: float | None) -> Found | StillMaking:
        """The result. Cancelling the caller leaves the work alone. Raises EngineError."""
        self.n_waiting += 1
        try:
            await asyncio.wait({self.task}, timeout=timeout_s)
        finally:
            self.n_waiting -= 1
        if not self.task.done():
            return StillMaking()
        return LEFT_BEHIND if self.task.cancelled() else self.task.result()


class Making:
    """All work under way. Every call comes from the event loop's thread."""

    def __init__(self, documents: Callable[[], Mapping[str, Document]], done: Callable[[Work, Found], None]) -> None:
        """`documents`: what is open now, by URI. `done` is told each result once, also where nobody waits."""
        self._documents = documents
        self._done = done
        self._running: dict[Key, Work] = {}

    def fitting(self, key: Key, cursor: Cursor) -> Work | None:
        """What is being made under the key, if it may be the answer for the cursor; else that is ended."""
        work = self._running.get(key)
        if work is not None and not work.fits_at(cursor):
            self.cancel(key)
            return None
        return work

    def begin(self, key: Key, cursor: Cursor, make: Callable[[Work], Coroutine[Any, Any, Found]]) -> Work:
        """Begin new work; older work under the key ends."""
        self.cancel(key)
        work = Work(key, cursor, lambda: self._said(key))
        # Up to where it waits for the engine at once: else it would stand behind all that the loop has to do.
        work.task = asyncio.Task(make(work), loop=asyncio.get_running_loop(), eager_start=True)
        self._running[key] = work
        work.task.add_done_callback(lambda _: self._ended(work))
        return work

    def changed(self, document: Document) -> None:
        """End the work that the text has left behind."""
        for key, work in list(self._running.items()):
            if key[1] == document.uri and key[0] != AHEAD and not work.fits(document):
                self.cancel(key)

    def _said(self, key: Key) -> None:
        """Letters that were typed before the model said anything may not be what it says now."""
        document = self._documents().get(key[1])
        if document is not None:
            self.changed(document)

    def closed(self, uri: str) -> None:
        """End all work for a document."""
        for key in [key for key in self._running if key[1] == uri]:
            self.cancel(key)

    def cancel(self, key: Key) -> None:
        """End the work under the key, if there is any."""
        work = self._running.pop(key, None)
        if work is not None:
            work.task.cancel()

    def cancel_all(self) -> None:
        """End everything."""
        for key in list(self._running):
            self.cancel(key)

    def _ended(self, work: Work) -> None:
        if self._running.get(work.key) is work:
            del self._running[work.key]
        if not work.task.cancelled() and work.task.exception() is None:  # a failure is its waiters' to tell
            self._done(work, work.task.result())
