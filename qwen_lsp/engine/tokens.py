"""Token ids of segments, kept by hash: a text is tokenised once. Knows no HTTP and no prompt.

A base's segments come as the same objects with each key: those are found without hashing their texts again.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from qwen_lsp.prompt.segments import Control, Segment

CACHE_BYTES = 16 << 20  # four million ids
SEEN = 1024  # segments: a base of 32,000 tokens has some hundreds
ENTRY_BYTES = 200  # the key, the array's head, the links


class TokenCache:
    """The least recently used ids go first when there are too many. Of texts only the last SEEN segments are kept."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._ids: OrderedDict[bytes, array[int]] = OrderedDict()
        self._seen: OrderedDict[int, tuple[Segment, array[int]]] = OrderedDict()

    async def ids(self, segment: Segment, tokenize: Callable[[Segment], Awaitable[list[int]]]) -> array[int]:
        """The ids of `segment`, by `tokenize` where they are not known."""
        seen = self._seen.get(id(segment))
        if seen is not None and seen[0] is segment:
            self._seen.move_to_end(id(segment))
            return seen[1]
        key = _key(segment)
        found = self._ids.get(key)
        if found is None:
            found = array("I", await tokenize(segment))
            self._keep(key, found)
        else:
            self._ids.move_to_end(key)
        self._seen[id(segment)] = segment, found
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return found

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
