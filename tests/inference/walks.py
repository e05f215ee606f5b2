"""Random walks over what masks allow, in two vocabularies: no model is needed to see what one could say."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from inference.backends.base import Tokenizer
from inference.backends.byte_tokens import CONTROL_IDS, ByteTokenizer
from inference.generation import Constraint
from inference.grammar import Compiler, Grammar
from inference.tokenizer import from_folder
from tests.inference.weights import EMBEDDED

END = CONTROL_IDS["<|im_end|>"]
BYTES = Compiler(ByteTokenizer(), 265, frozenset({END}))
EMBEDDED_TOKENIZER = from_folder(EMBEDDED)
WORDS = Compiler(EMBEDDED_TOKENIZER, EMBEDDED_TOKENIZER.n_vocab + 5, EMBEDDED_TOKENIZER.end_ids)
CLOSING = b"\n>>>>>>> REPLACE"


def allowed(constraint: Constraint) -> list[int]:
    return [token for token, may in enumerate(constraint.mask()) if may]


@dataclass(frozen=True)
class Model:
    """A vocabulary to walk in. `closing` are the tokens that a block's end can be made of."""

    compiler: Compiler
    pieces: list[bytes]
    ends: frozenset[int]
    closing: list[int]


def model(compiler: Compiler, tokenizer: Tokenizer, n_vocab: int, ends: frozenset[int]) -> Model:
    pieces = [tokenizer.piece(token) for token in range(n_vocab)]
    return Model(compiler, pieces, ends, [i for i, piece in enumerate(pieces) if piece and piece in CLOSING])


def walk(model: Model, begin: Callable[[], Constraint], rng: random.Random) -> tuple[bytes, list[int], bool]:
    """Random allowed tokens until an end token, at most 300; in a replacement most often towards its end."""
    constraint, said = begin(), b""
    tokens: list[int] = []
    for _ in range(300):
        mask = constraint.mask()
        may_end = any(mask[end] for end in model.ends)
        may = [token for token, allows in enumerate(mask) if allows and token not in model.ends]
        if not may or (may_end and rng.random() < 0.3):
            assert may_end
            return said, tokens, True
        if b"\n=======\n" in said and rng.random() < 0.8:
            line = said[said.rfind(b"\n") :]
            may = [i for i in model.closing if mask[i] and CLOSING.startswith(line + model.pieces[i])] or may
        token = rng.choice(may)
        assert constraint.allows((token,)) == 1
        constraint.accept(token)
        said += model.pieces[token]
        tokens.append(token)
    return said, tokens, False


MODELS = {
    "bytes": model(BYTES, ByteTokenizer(), 265, frozenset({END})),
    "words": model(WORDS, EMBEDDED_TOKENIZER, EMBEDDED_TOKENIZER.n_vocab, EMBEDDED_TOKENIZER.end_ids),
}


def says(text: str, grammar: Grammar) -> int:
    """How many bytes of `text` the grammar takes."""
    return BYTES.compile(grammar)().allows(tuple(text.encode()))
