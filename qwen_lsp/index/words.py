"""The words of a text and how often each stands there: also those in comments and strings, also keywords. Pure.

Splitting at what is in no word is three times as quick as looking for words; the few pieces that are not words as they
stand (`0x1F`, `a-b`, `数量`) are looked at once more.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

type Words = Mapping[str, int]

MAX_WORD_CHARS = 128  # what is longer is data: nobody types it
LONG_CHARS = 16  # credentials are no shorter: `text/secrets.py` asks for these
_WORD = re.compile(r"[^\W\d]\w*")
_APART = bytes(code if code >= 0x80 or chr(code).isalnum() or chr(code) in "_-" else ord(" ") for code in range(0x100))


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a text falls into at all ASCII but letters, digits, `_` and `-`. `odd`: what is long, or no ASCII word."""

    counts: dict[str, int]
    odd: list[str]


def pieces_of(data: bytes) -> Pieces:
    """Of a text in UTF-8; the same order for the same bytes."""
    counts = Counter(data.translate(_APART).decode().split())
    if data.isascii():
        return Pieces(counts, [piece for piece in counts if len(piece) >= LONG_CHARS or not piece.isidentifier()])
    odd = [p for p in counts if len(p) >= LONG_CHARS or not (p.isascii() and p.isidentifier())]
    return Pieces(counts, odd)


def words_of(pieces: Pieces) -> Words:
    """The pieces are used up for it: they become the words."""
    counts = pieces.counts
    for piece in pieces.odd:
        if len(piece) <= MAX_WORD_CHARS and piece.isascii() and piece.isidentifier():
            continue
        count = counts.pop(piece)
        for word in _WORD.findall(piece):
            if len(word) <= MAX_WORD_CHARS:
                counts[word] = counts.get(word, 0) + count
    return counts
