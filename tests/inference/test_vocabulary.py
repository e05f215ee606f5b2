"""Answers that begin with a text: whatever is drawn along the mask says it, whole tokens or parts of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import BadRequest
from inference.grammar import StartsWith
from inference.vocabulary import Vocabulary
from tests.inference.walks import BYTES, EMBEDDED_TOKENIZER, END, WORDS

TEXTS = st.text(st.sampled_from("selfrtun .(_é<|"), min_size=1, max_size=12)


@given(TEXTS, st.integers(0, 1000))
def test_what_is_drawn_along_the_mask_begins_with_the_text(text: str, seed: int) -> None:
    constraint, said, rng = WORDS.compile(StartsWith(text))(), b"", random.Random(seed)
    while not constraint.is_free:
        token = rng.choice([i for i, may in enumerate(constraint.mask()) if may])
        assert constraint.allows((token,)) == 1
        constraint.accept(token)
        said += EMBEDDED_TOKENIZER.piece(token)
    assert said.startswith(text.encode())


@given(TEXTS)
def test_the_mask_and_what_is_allowed_say_the_same(text: str) -> None:
    constraint = WORDS.compile(StartsWith(text))()
    mask = constraint.mask()
    assert [constraint.allows((token,)) for token in range(len(mask))] == list(mask)


@pytest.mark.parametrize("blanks", ["    ", " ", "\t"])
def test_an_indentation_is_not_made_deeper(blanks: str) -> None:
    constraint = WORDS.compile(StartsWith(blanks))()
    allowed = [EMBEDDED_TOKENIZER.piece(token) for token, may in enumerate(constraint.mask()) if may]
    assert blanks.encode() in allowed
    assert not [piece for piece in allowed if len(piece) > len(blanks) and piece.isspace()]


@given(TEXTS.filter(lambda text: not text.isspace()), st.text(max_size=4))
def test_the_tokens_of_a_text_that_begins_so_are_allowed(text: str, more: str) -> None:
    tokens = tuple(EMBEDDED_TOKENIZER.encode(text + more, parse_special=False))
    assert WORDS.compile(StartsWith(text))().allows(tokens) == len(tokens)


def test_no_end_and_no_tag_before_the_text_is_said() -> None:
    assert BYTES.compile(StartsWith("a"))().allows((END,)) == 0
    tag = EMBEDDED_TOKENIZER.encode("<think>", parse_special=True)
    assert len(tag) == 1
    assert WORDS.compile(StartsWith("<"))().allows(tuple(tag)) == 0


def test_a_text_that_the_model_can_not_write_is_refused() -> None:
    with pytest.raises(BadRequest):
        Vocabulary([b"a", b"", b"ab"]).beginning("ac")


def test_the_tokens_that_hold_a_text_may_hold_more() -> None:
    assert Vocabulary([b"a", b"", b"b\n", b"\n", b"\n  c", b"\r"]).holding(("\n",)) == {2, 3, 4}
    assert Vocabulary([b"ab", b"ba", b"c"]).holding(("b", "c")) == {0, 1, 2}
