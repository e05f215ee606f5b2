"""Incremental edits leave server and client with the same text, whatever the characters and the encoding."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.text.document import Change, Cursor, Document, changed, opened
from qwen_lsp.text.lines import Encoding, LineTable
from tests.qwen_lsp.text.slow_model import SlowBuffer

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")
PIECES = (
    "",
    "a",
    "word ",
    "\n",
    "\r\n",
    "\r",
    "é",
    "漢字",
    "🙂",
    "e\u0301",
    "\x0c",
    "\u2028",
    "\x85",
    "\t",
    "x\ny\r\nz",
)


def random_change(buffer: SlowBuffer, draw: random.Random) -> Change:
    """A change between two caret places, applied to the client's buffer as well."""
    places = buffer.positions()
    one = draw.randrange(len(places))
    other = min(len(places) - 1, one + draw.choice((0, 0, 1, 2, 7)))
    start, end = places[one][1:], places[other][1:]
    text = "".join(draw.choice(PIECES) for _ in range(draw.randrange(4)))
    buffer.change(start, end, text)
    return Change(text, start, end)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_thousand_random_edits(encoding: Encoding) -> None:
    draw = random.Random(20261123)
    buffer = SlowBuffer("def héllo():\r\n    return '🙂'\n", encoding)
    document = opened("file:///a.py", "python", 0, buffer.text)
    edits = 0
    while edits < 1000:
        batch = [random_change(buffer, draw) for _ in range(draw.choice((1, 1, 1, 3)))]
        edits += len(batch)
        document = changed(document, batch, document.version + 1, encoding)
        assert document.text == buffer.text
        assert document.lines == LineTable.of(buffer.text)
        if len(buffer.text) > 150:  # keep the slow model fast
            buffer.text = "🙂" + buffer.text[:60]
            document = changed(document, [Change(buffer.text)], document.version + 1, encoding)
    print(f"{encoding}: {edits} random edits, server and client equal, {len(document.text)} characters at the end")


@given(st.text(max_size=30), st.randoms(use_true_random=False), st.sampled_from(ENCODINGS))
@settings(max_examples=60, deadline=None)
def test_random_edits_of_random_texts(text: str, draw: random.Random, encoding: Encoding) -> None:
    buffer = SlowBuffer(text, encoding)
    document = opened("file:///a", "text", 0, text)
    for version in range(1, 6):
        document = changed(document, [random_change(buffer, draw)], version, encoding)
    assert document.text == buffer.text
    assert document.version == 5


def test_a_range_that_ends_before_it_begins_is_turned_round() -> None:
    document = opened("file:///a", "text", 1, "abcd")
    assert changed(document, [Change("x", (0, 3), (0, 1))], 2, "utf-8").text == "axd"


def test_lone_surrogates_become_a_character_of_the_same_width() -> None:
    document = opened("file:///a", "text", 1, "a\ud83db")
    assert document.text == "a\ufffdb"
    after = changed(document, [Change("\ude00", (0, 2), (0, 3))], 2, "utf-16")
    assert after.text == "a\ufffd\ufffd"


def test_a_document_builds_its_own_table_and_hides_its_text() -> None:
    document = Document("file:///a", "text", 1, "a\nb")
    assert document.lines.starts == [0, 2]
    assert "a\\nb" not in repr(document)
    assert (Cursor(document, 1).prefix, Cursor(document, 1).suffix) == ("a", "\nb")


def test_a_key_in_a_long_file_is_cheap() -> None:
    """A guard against quadratic work, far above what was measured (see ARCHITECTURE.md)."""
    document = opened("file:///a", "text", 0, "    value = compute(näme, 3)  # 🙂\n" * 20_000)
    began = time.process_time()
    for version in range(1, 51):
        document = changed(document, [Change("x", (9_000, 4), (9_000, 4))], version, "utf-16")
        for line in range(0, 20_000, 1_000):
            document.lines.position(document.lines.offset(line, 20, "utf-16"), "utf-16")
    assert time.process_time() - began < 5.0
