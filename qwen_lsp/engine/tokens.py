"""Token ids of segments, kept by hash: a text is tokenised once. Knows no HTTP and no prompt."""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from qwen_lsp.prompt.segments import Control, Segment

CACHE_BYTES = 16 << 20  # four million ids
ENTRY_BYTES = 200  # the key, the array's head, the links


class TokenCache:
    """The least recently used ids go first when there are too many. No text is kept."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._ids: OrderedDict[bytes, array[int]] = OrderedDict()

    async def ids(self, segment: Segment, tokenize: Callable[[Segment], Awaitable[list[int]]]) -> array[int]:
        """The ids of `segment`, by `tokenize` where they are not known."""
        key = _key(segment)
        known = self._ids.get(key)
        if known is not None:
            self._ids.move_to_end(key)
            return known
        found = array("I", await tokenize(segment))
        self._keep(key, found)
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
