"""Words are what looking for them letter by letter finds, however they are split."""

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.index.words import MAX_WORD_CHARS, pieces_of, words_of

pieces = st.sampled_from(
    [
        "name",
        "_x1",
        "0x1F",
        "9abc",
        "é",
        "数量：",
        "a·b",
        "\u2028",
        "\x1c",
        "\n",
        " ",
        ".",
        "٣x",
        "A",
        "-",
        "a_long_name_of_sixteen",
    ]
)


@given(st.lists(pieces).map("".join) | st.text(st.characters(exclude_categories=["Cs"])))
def test_as_if_each_had_been_looked_for(text: str) -> None:
    assert words_of(pieces_of(text.encode())) == Counter(re.findall(r"[^\W\d]\w*", text))


def test_data_that_looks_like_a_word_is_left_out() -> None:
    assert words_of(pieces_of(b"x = '" + b"a" * (MAX_WORD_CHARS + 1) + b"'\n")) == {"x": 1}
