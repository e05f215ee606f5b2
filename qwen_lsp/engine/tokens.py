"""Token ids of segments, kept by hash: a text is tokenised once. Knows no HTTP and no prompt.

A base's segments come as the same objects with each key: those are found without hashing their texts again.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from qwen_lsp.prompt.segments import Control, Segment

CACHE_BYTES = 16 << 20  # four million ids
SEEN = 1024  # segments: a base of 32,000 tokens has some hundreds
ENTRY_BYTES = 200  # the key, the array's head, the links

type Tokenize = Callable[[Sequence[Segment]], Awaitable[list[list[int]]]]


class TokenCache:
    """The least recently used ids go first when there are too many. Of texts only the last SEEN segments are kept."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._ids: OrderedDict[bytes, array[int]] = OrderedDict()
        self._seen: OrderedDict[int, tuple[Segment, array[int]]] = OrderedDict()

    async def ids(self, segments: Sequence[Segment], tokenize: Tokenize) -> list[array[int]]:
        """The ids of each segment; `tokenize` is asked once for all that are not known."""
        found = self.known(segments)
        unknown = {_key(segment): segment for segment, ids in zip(segments, found, strict=True) if ids is None}
        if not unknown:
            return [ids for ids in found if ids is not None]
        answer = await tokenize(tuple(unknown.values()))
        asked = {key: array("I", ids) for key, ids in zip(unknown, answer, strict=True)}
        for key, ids in asked.items():
            self._keep(key, ids)
        whole = [asked[_key(segments[n])] if ids is None else ids for n, ids in enumerate(found)]
        for segment, ids in zip(segments, whole, strict=True):
            self._see(segment, ids)
        return whole

    def known(self, segments: Sequence[Segment]) -> list[array[int] | None]:
        """The same for those that are known; None for the others."""
        return [self._known(segment) for segment in segments]

    def _known(self, segment: Segment) -> array[int] | None:
        seen = self._seen.get(id(segment))
        if seen is not None and seen[0] is segment:
            self._seen.move_to_end(id(segment))
            return seen[1]
        key = _key(segment)
        found = self._ids.get(key)
        if found is not None:
            self._ids.move_to_end(key)
            self._see(segment, found)
        return found

    def _see(self, segment: Segment, ids: array[int]) -> None:
        self._seen[id(segment)] = segment, ids
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)

    def _keep(self, key: bytes, ids: array[int]) -> None:
        self._forget(key)
        self._ids[key] = ids
        self._n_bytes += _size(ids)
        while self._n_bytes > self._max_bytes and self._ids:
            self._forget(next(iter(self._ids)))

    def _forget(self, key: bytes) -> None:
        old = self._ids.pop(key, None)
        self._n_bytes -= _size(old) if old is not None else 0


def _size(ids: array[int]) -> int:
    return len(ids) * ids.itemsize + ENTRY_BYTES


def _key(segment: Segment) -> bytes:
    """Text that spells a control token is not that token."""
    kind, text = (b"control", segment.token) if isinstance(segment, Control) else (b"text", segment.text)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16, person=kind).digest()
