"""What becomes of suggestions that were shown: accepted, rejected, taken back, still there half a minute later.

Told what the editor did, with the moment in seconds; reads no clock. Holds texts of the last ones in memory only.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from qwen_lsp.features.recent import Spot
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.lines import code_points, units

REMEMBERED = 200  # suggestions whose acceptance is still believed
SEEN_S = 0.75  # shown for less, it was not read
RETAINED_S = 30.0
RETAINED_SHARE = 2 / 3  # of its lines: what was mended a little was still of use

Happened = Literal["shown", "accepted", "partly accepted", "rejected", "undone", "retained", "changed later"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A suggestion that went out: where, what, when."""

    id: str
    spot: Spot
    document: Document
    offset: int
    text: str = field(repr=False)
    at: float


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an offer."""

    what: Happened
    offer: Offer


class Outcomes:
    """The offers of a window that something may still happen to."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}
        self._current: Offer | None = None
        self._taken: deque[Offer] = deque(maxlen=REMEMBERED)
        self._texts: dict[str, str] = {}  # of documents with something taken, as they were last

    def offered(self, name: str, cursor: Cursor, text: str, now: float) -> list[Event]:
        """A suggestion goes out. The rest of one that is typed along is not a new one."""
        last, offer = self._current, Offer(name, Spot.of(cursor), cursor.document, cursor.offset, text, now)
        if last is not None and typed_along(last, cursor.document) is not None and last.text.endswith(text):
            offer = Offer(name, offer.spot, cursor.document, cursor.offset, text, last.at)
        self._current = self._offers[name] = offer
        while len(self._offers) > REMEMBERED:
            del self._offers[next(iter(self._offers))]
        return [] if last is not None and offer.at == last.at else [Event("shown", offer)]

    def offered_too(self, name: str, cursor: Cursor, text: str, now: float) -> None:
        """Another suggestion beside the one that went out last: it counts for nothing until it is accepted."""
        self._offers[name] = Offer(name, Spot.of(cursor), cursor.document, cursor.offset, text, now)

    def is_shown(self, cursor: Cursor, text: str) -> bool:
        """Whether the user looks at this suggestion, as what is left of the last one."""
        offer = self._current
        if offer is None or offer.spot.uri != cursor.document.uri:
            return False
        typed = typed_along(offer, cursor.document)
        return typed is not None and offer.text[len(typed) :] == text

    def accepted(self, name: str, length: int | None, text: str, now: float) -> list[Event]:
        """The user took all of it, or its first `length` units of UTF-16. `text`: the document's, with that in it.

        One that is not known, or was taken already, counts for nothing.
        """
        offer = self._offers.get(name)
        if offer is None:
            return []
        whole = length is None or length >= units(offer.text, "utf-16")
        if whole:
            del self._offers[name]
            self._current = None
        taken = offer.text if length is None else offer.text[: code_points(offer.text, length, "utf-16")]
        if not taken.strip():
            return []
        kept = Offer(name, offer.spot, offer.document, offer.offset, taken, now)
        self._texts[offer.spot.uri] = text
        self._taken = deque([*(each for each in self._taken if each.id != name), kept], REMEMBERED)
        return [Event("accepted" if whole else "partly accepted", kept)]

    def changed(self, document: Document, now: float) -> list[Event]:
        """The document has a new text."""
        found: list[Event] = []
        current = self._current
        if current is not None and current.spot.uri == document.uri and typed_along(current, document) is None:
            self._current = None
            if now - current.at >= SEEN_S:
                found.append(Event("rejected", current))
        before = self._texts.get(document.uri, "")
        for offer in [each for each in self._taken if each.spot.uri == document.uri]:
            gone = len(before) - len(document.text) >= len(offer.text)
            if gone and offer.text in before and offer.text not in document.text:
                self._taken.remove(offer)
                found.append(Event("undone", offer))
        if any(each.spot.uri == document.uri for each in self._taken):
            self._texts[document.uri] = document.text
        else:
            self._texts.pop(document.uri, None)
        return found

    def due(self, documents: Iterable[Document], now: float) -> list[Event]:
        """Look at what was taken long enough ago. What was closed meanwhile can not be told."""
        texts = {document.uri: document.text for document in documents}
        found: list[Event] = []
        while self._taken and now - self._taken[0].at >= RETAINED_S:
            offer = self._taken.popleft()
            text = texts.get(offer.spot.uri)
            if text is not None:
                found.append(Event("retained" if _is_retained(offer.text, text) else "changed later", offer))
        return found

    def document_of(self, name: str) -> str | None:
        """The URI of the document that an offer was made for."""
        offer = self._offers.get(name)
        return offer.spot.uri if offer is not None else None


def typed_along(offer: Offer, document: Document) -> str | None:
    """How much of the offer stands at its place now, if nothing else happened."""
    before, text = offer.document.text, document.text
    n_typed = len(text) - len(before)
    if not 0 <= n_typed <= len(offer.text) or not text.startswith(before[: offer.offset]):
        return None
    typed = text[offer.offset : offer.offset + n_typed]
    return typed if offer.text.startswith(typed) and text.endswith(before[offer.offset :]) else None


def _is_retained(suggested: str, text: str) -> bool:
    lines = [line.strip() for line in suggested.split("\n") if line.strip()]
    return sum(line in text for line in lines) >= RETAINED_SHARE * len(lines)
