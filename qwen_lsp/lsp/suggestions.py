"""What one window knows of its suggestions: which are kept, which are being made, what became of them, the counts.

The handlers decide what to ask and what to answer; here is only what has to be remembered between two requests.
Everything happens on the event loop. Knows no LSP type.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from qwen_lsp import stats
from qwen_lsp.features.complete import Completion, Nothing
from qwen_lsp.features.making import AHEAD, Making, Work
from qwen_lsp.features.outcomes import RETAINED_S, Event, Outcomes
from qwen_lsp.features.pace import Pace, answered, keyed
from qwen_lsp.features.recent import Recent
from qwen_lsp.stats import Stats
from qwen_lsp.text.document import Cursor, Document

SAVE_S = 30.0  # between two writes of the counts

log = logging.getLogger(__name__)


class Suggestions:
    """One window's."""

    def __init__(
        self,
        documents: Callable[[], Mapping[str, Document]],
        refresh: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`refresh` tells the editor that a suggestion for a document came after it stopped waiting."""
        self._documents = documents
        self._refresh = refresh
        self.clock = clock
        self.paused = False
        self.pace = Pace()
        self.recent = Recent()
        self.making = Making(documents, self._made)
        self._outcomes = Outcomes()
        self._fresh = Stats()  # not in the file yet

    def changed(self, document: Document) -> None:
        """A document was opened or changed."""
        now = self.clock()
        self.pace = keyed(self.pace, now)
        self.making.changed(document)
        self._happened(self._outcomes.changed(document, now))

    def closed(self, uri: str) -> None:
        """A document was closed."""
        self.making.closed(uri)

    def forget(self) -> None:
        """What was made is not what would be made now: the settings or the model changed."""
        self.making.cancel_all()
        self.recent.clear()

    def _made(self, work: Work, found: Completion | Nothing) -> None:
        usage = found.usage
        if usage is not None:
            self._fresh.count("model calls")
            self._fresh.count("prompt tokens", usage.prompt_tokens)
            self._fresh.count("reused tokens", usage.cached_tokens or 0)
            self._fresh.count("evaluated tokens", usage.evaluated_tokens or 0)
        if isinstance(found, Completion):
            self.recent.keep(work.cursor, found)
        if work.key[0] == AHEAD:
            if isinstance(found, Nothing):
                self.recent.keep_empty(work.cursor)
            return
        if usage is not None:
            self.pace = answered(self.pace, usage.engine_ms / 1000)
            self._fresh.took("model's answer", usage.engine_ms)
        document = self._documents().get(work.cursor.document.uri)
        late = work.n_waiting == 0 and isinstance(found, Completion)
        if late and document is not None and work.fits(document):
            self._refresh(document.uri)

    def answered(self, began: float, *, known: bool, empty: bool) -> None:
        """One request was answered. `known`: without asking the model."""
        self._fresh.count("requests")
        if empty:
            self._fresh.count("empty")
            return
        if known:
            self._fresh.count("from what was known")
        self._fresh.took("request to ghost text", (self.clock() - began) * 1000)

    def offered(self, name: str, cursor: Cursor, text: str) -> None:
        """A suggestion goes out under this name."""
        self._happened(self._outcomes.offered(name, cursor, text, self.clock()))

    def offered_too(self, name: str, cursor: Cursor, text: str) -> None:
        """Another one goes out beside it."""
        self._outcomes.offered_too(name, cursor, text, self.clock())

    def is_shown(self, cursor: Cursor, text: str) -> bool:
        """Whether the user looks at this suggestion."""
        return self._outcomes.is_shown(cursor, text)

    def accepted(self, name: str, length: int | None) -> bool:
        """The editor says that the user took it, or its first characters; False for one that is not remembered."""
        document = self._documents().get(self._outcomes.document_of(name) or "")
        if document is None:
            return False
        events = self._outcomes.accepted(name, length, document.text, self.clock())
        self._happened(events)
        return bool(events)

    def _happened(self, events: list[Event]) -> None:
        for event in events:
            self._fresh.count(event.what)
            if event.what in ("rejected", "undone"):
                self.recent.reject(event.offer.spot, event.offer.text)

    def stats(self) -> Stats:
        """The file's counts and those that are not in it yet."""
        total = stats.read(stats.stats_file())
        total.add(self._fresh)
        return total

    async def keep(self) -> None:
        """Judge what was accepted, and write the counts, until cancelled."""
        assert SAVE_S <= RETAINED_S
        try:
            while True:
                await asyncio.sleep(SAVE_S)
                self._happened(self._outcomes.due(self._documents().values(), self.clock()))
                self.save()
        finally:
            self._happened(self._outcomes.due(self._documents().values(), self.clock()))
            self.save()

    def save(self, path: Path | None = None) -> None:
        """Add the fresh counts to the file; where that can not be, they wait for the next time."""
        if not self._fresh.counts and not self._fresh.times:
            return
        try:
            stats.add(path or stats.stats_file(), self._fresh)
        except OSError as error:
            log.warning("the counts can not be written (%s)", error.strerror)
        else:
            self._fresh = Stats()
