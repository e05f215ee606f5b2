"""Words are what looking for them letter by letter finds, however they are told apart."""

import re

from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.index.words import MAX_WORD_CHARS, apart, words_of

pieces = st.sampled_from(
    [
        "name",
        "_x1",
        "0x1F",
        "9abc",
        "é",
        "数量：",
        "a·b",
        "“q”",
        "\u2028",
        "\x1c",
        "\0",
        "\n",
        " ",
        ".",
        "٣x",
        "A",
        "-",
    ]
)


@given(st.lists(pieces).map("".join) | st.text(st.characters(exclude_categories=["Cs"])))
def test_as_if_each_had_been_looked_for(text: str) -> None:
    words = re.findall(r"\w+", text)
    assert words_of(text.encode()) == set(words)
    assert [word for word in apart(text.encode()).decode().split("\n") if word] == words


def test_data_that_looks_like_a_word_is_left_out() -> None:
    for letter in ("a", "é", "数"):
        assert words_of(f"x = '{letter * (MAX_WORD_CHARS + 1)}'\n".encode()) == {"x"}
        assert words_of(f"x = '{letter * MAX_WORD_CHARS}'\n".encode()) == {"x", letter * MAX_WORD_CHARS}
