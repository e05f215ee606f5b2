"""Positions against the slow model, clamping as the specification says, and the table after a splice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.text.lines import Encoding, LineTable
from tests.qwen_lsp.text.slow_model import SlowBuffer

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")
ALPHABET = "ab\t\n\r\r\n\x0c\x0b\x1c\x85\u2028\u2029é漢🙂\ufeff\u0301\x00"
TEXTS = st.text(alphabet=ALPHABET, max_size=40)


@given(TEXTS, st.sampled_from(ENCODINGS))
def test_every_caret_place_is_where_the_slow_model_has_it(text: str, encoding: Encoding) -> None:
    table = LineTable.of(text)
    for offset, line, column in SlowBuffer(text, encoding).positions():
        assert table.position(offset, encoding) == (line, column)
        assert table.offset(line, column, encoding) == offset


@given(TEXTS, TEXTS, st.data())
def test_a_spliced_table_is_the_table_of_the_new_text(text: str, new: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    table = LineTable.of(text).spliced(start, end, new)
    assert table == LineTable.of(text[:start] + new + text[end:])


@pytest.mark.parametrize(
    ("text", "line", "column", "encoding", "offset"),
    [
        ("ab\ncd", 0, 99, "utf-16", 2),  # past the line: its end
        ("ab\r\ncd", 0, 3, "utf-16", 2),  # between CR and LF: before CR
        ("ab\r\ncd", 0, 99, "utf-16", 2),
        ("ab\rcd", 1, 1, "utf-16", 4),  # a lone CR ends a line
        ("ab\ncd", 9, 0, "utf-16", 5),  # past the last line: the end of the text
        ("ab\n", 1, 5, "utf-16", 3),
        ("", 0, 0, "utf-8", 0),
        ("a🙂b", 0, 2, "utf-16", 1),  # inside a surrogate pair: the character's start
        ("a🙂b", 0, 3, "utf-16", 2),
        ("a🙂b", 0, 3, "utf-8", 1),  # inside a UTF-8 sequence
        ("a🙂b", 0, 5, "utf-8", 2),
        ("a🙂b", 0, 2, "utf-32", 2),
        ("é\x0cb\u2028c\n", 0, 5, "utf-16", 5),  # form feed and U+2028 are text
        ("é\x0cb\u2028c\nd", 1, 0, "utf-16", 6),
        ("ab", -1, -1, "utf-8", 0),
    ],
)
def test_clamping(text: str, line: int, column: int, encoding: Encoding, offset: int) -> None:
    assert LineTable.of(text).offset(line, column, encoding) == offset


def test_an_offset_inside_a_line_end_is_shown_before_it() -> None:
    table = LineTable.of("ab\r\ncd")
    assert table.position(3, "utf-16") == (0, 2)
    assert table.position(99, "utf-16") == (1, 2)
    assert table.position(-1, "utf-16") == (0, 0)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_lone_surrogates_do_not_raise(encoding: Encoding) -> None:
    table = LineTable.of("a\ud83d\nb\ude00\ud83dc")
    for offset in range(len(table.text) + 1):
        line, column = table.position(offset, encoding)
        assert 0 <= table.offset(line, column, encoding) <= len(table.text)


def test_lines_are_given_without_their_ends() -> None:
    table = LineTable.of("ab\r\n\rc\n")
    assert [table.line(n) for n in range(table.count)] == ["ab", "", "c", ""]
