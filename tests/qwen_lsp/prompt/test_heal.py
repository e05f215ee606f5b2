"""Where a line is surely cut, and what of an answer continues the typed letters."""

from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from qwen_lsp.prompt.heal import REFUSED, RESUMED, TYPED_LIMIT, WAITING, Resumed, border, resume

TOKENIZER = Path(__file__).parents[3] / "inference/models/embedded/tokenizer.json"


@pytest.mark.parametrize(
    ("before", "typed"),
    [
        ("total = ", " "),
        ("total", "total"),
        ("total = fo", " fo"),
        ("    return my_na", "_na"),
        ("add(fo", "(fo"),
        ("add(", "("),
        ("x = 12", ""),
        ("if a <", " <"),
        ("    ", "    "),
        ("", ""),
        ("# " + "-" * 60, ""),  # the model would have to repeat it all
        ("name = größ", " größ"),
    ],
)
def test_leaves_the_last_piece_to_the_answer(before: str, typed: str) -> None:
    assert before[border(before) :] == typed


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_is_left_is_short_and_at_the_end(line: str) -> None:
    assert 0 <= border(line) <= len(line)
    assert len(line) - border(line) <= TYPED_LIMIT


@cache
def _tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(TOKENIZER))


CODE = st.text("ab_ .()[]{}:=<>'\"12\t#é", max_size=24)


@settings(deadline=None)
@given(CODE, CODE)
@example("\t\t:", "")  # the tabs are two pieces here, and one where nothing follows
def test_the_tokenizer_cuts_there_whatever_follows(line: str, more: str) -> None:
    encode = _tokenizer().encode
    cut = border(line)
    head = encode(line[:cut]).ids
    assert encode(line + more).ids[: len(head)] == head


@pytest.mark.parametrize(
    ("answer", "typed", "expected"),
    [
        (" foo(1)", " fo", Resumed(RESUMED, "o(1)")),
        (" fo", " fo", Resumed(RESUMED, "")),
        (" f", " fo", Resumed(WAITING)),
        ("", " fo", Resumed(WAITING)),
        (" bar", " fo", Resumed(REFUSED)),
        ("x", "", Resumed(RESUMED, "x")),
    ],
)
def test_answer_against_the_typed_letters(answer: str, typed: str, expected: Resumed) -> None:
    assert resume(answer, typed) == expected
