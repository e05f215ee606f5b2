"""What the tokens of a model stand for, and answers that begin with a given text. Knows no grammar and no engine.

Token healing needs the second: the prompt ends where a token surely begins, and the letters behind that which are
typed already are asked for again. Where those are blanks, more blanks are none of it: an indentation has its depth.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inference.backends.base import Tokenizer
from inference.errors import BadRequest
from inference.generation import Constraint

BLANKS = (b" ", b"\t", b"\n", b"\r", b"\v", b"\f")


def plain_pieces(tokenizer: Tokenizer, n_vocab: int, end_ids: frozenset[int]) -> list[bytes]:
    """The text of each token; empty for one that stands for none, or means something beside its text.

    Tags such as `<think>` are of those: the same text can be had from plain tokens.
    """

    def plain(token: int) -> bytes:
        piece = tokenizer.piece(token)
        if token in end_ids or piece == b"\xff":  # in no UTF-8 text, and llguidance's own mark
            return b""
        if not (piece.startswith(b"<") and piece.endswith(b">")):
            return piece
        is_text = tokenizer.encode(piece.decode("utf-8", "replace"), parse_special=False) == [token]
        return piece if is_text else b""

    return [plain(token) for token in range(n_vocab)]


class Vocabulary:
    """The tokens of one model in the order of their texts. Safe to use from any thread."""

    def __init__(self, pieces: list[bytes]) -> None:
        """`pieces`: of `plain_pieces`."""
        self._pieces = pieces
        ids = sorted((token for token, piece in enumerate(pieces) if piece), key=lambda token: pieces[token])
        self._ids = np.array(ids, np.int64)
        self._texts = [pieces[token] for token in ids]
        self._bytes = frozenset(piece for piece in pieces if len(piece) == 1)

    def beginning(self, text: str) -> Callable[[], Constraint]:
        """Answers that begin with `text`, and go on in any way. Raises BadRequest where the model can not write it."""
        data = text.encode()
        if not {bytes([each]) for each in data} <= self._bytes:
            raise BadRequest("the model has no tokens for how the answer should begin", "grammar")
        return lambda: Beginning(self, data)

    def holding(self, texts: tuple[str, ...]) -> frozenset[int]:
        """The tokens that hold one of these texts, whatever comes before or behind it."""
        wanted = [text.encode() for text in texts]
        return frozenset(n for n, piece in enumerate(self._pieces) if any(each in piece for each in wanted))

    def piece(self, token: int) -> bytes:
        return self._pieces[token] if 0 <= token < len(self._pieces) else b""

    def mask(self, text: bytes) -> bytes:
        """A byte per token: of those that begin with `text`, or are the beginning of it."""
        mask = np.zeros(len(self._pieces), np.uint8)
        for n in range(1, len(text)):
            here = slice(bisect_left(self._texts, text[:n]), bisect_right(self._texts, text[:n]))
            mask[self._ids[here]] = 1
        mask[self._beginning_with(text)] = 1
        for blank in BLANKS if text.isspace() else ():
            mask[self._beginning_with(text + blank)] = 0
        return mask.tobytes()

    def _beginning_with(self, text: bytes) -> NDArray[np.int64]:
        first = bisect_left(self._texts, text)
        last = bisect_left(self._texts, True, lo=first, key=lambda piece: not piece.startswith(text))
        return self._ids[first:last]


class Beginning:
    """One answer that must begin with a text; free when it has said that."""

    def __init__(self, vocabulary: Vocabulary, text: bytes) -> None:
        self._vocabulary = vocabulary
        self._left = text

    @property
    def is_free(self) -> bool:
        return not self._left

    def mask(self) -> bytes:
        return self._vocabulary.mask(self._left)

    def accept(self, token: int) -> None:
        self._left = self._after(self._left, token)

    def allows(self, tokens: tuple[int, ...]) -> int:
        left = self._left
        for n, token in enumerate(tokens):
            if left and not _says(self._vocabulary.piece(token), left):
                return n
            left = self._after(left, token)
        return len(tokens)

    def _after(self, left: bytes, token: int) -> bytes:
        return left[len(self._vocabulary.piece(token)) :]


def _says(piece: bytes, left: bytes) -> bool:
    """Whether a token says the text, or a part of it, or the text and what may stand behind it."""
    if piece.startswith(left):
        return not (left.isspace() and piece[len(left) :][:1].isspace())
    return piece != b"" and left.startswith(piece)
