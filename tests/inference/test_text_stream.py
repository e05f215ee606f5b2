"""Ids -> text: whole characters, no part of a stop string, and the chunking does not show."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.text_stream import TextStream, text_of


def stream(text: str | bytes, stops: tuple[str, ...], size: int) -> tuple[list[str], bool]:
    """What is shown after each token, where a token stands for `size` bytes; whether a stop string was met."""
    data = text.encode() if isinstance(text, str) else text
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    reader = TextStream(lambda token: pieces[token], stops)
    shown = [reader.push(token) for token in range(len(pieces))]
    return [*shown, reader.finish()], reader.stopped


def reference(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """The definition: read letter by letter, end where a stop string is complete, cut the longest such."""
    for end in range(len(text) + 1):
        ended = [stop for stop in stops if text[:end].endswith(stop)]
        if ended:
            return text[: end - max(map(len, ended))], True
    return text, False


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "stops", "shown", "stopped"),
    [
        ("plain text", (), "plain text", False),
        ("one\n\ntwo", ("\n\n",), "one", True),
        ("one\ntwo", ("\n\n",), "one\ntwo", False),
        ("held to the end \n", ("\n\n",), "held to the end \n", False),
        ("aab", ("ab",), "a", True),
        ("aaab", ("aab",), "a", True),
        ("xab.", ("xabc", "ab"), "x", True),
        ("naïve \U0001f600 done", ("\U0001f600",), "naïve ", True),
        ("héllo wörld", ("ld",), "héllo wör", True),
        ("stop at once", ("s",), "", True),
    ],
)
def test_stop_strings(text: str, stops: tuple[str, ...], shown: str, stopped: bool, size: int) -> None:
    parts, met = stream(text, stops, size)
    assert ("".join(parts), met) == (shown, stopped)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(
    st.text(alphabet="ab\n\U0001f600é", max_size=30),
    st.lists(st.text(alphabet="ab\né", min_size=1, max_size=4), max_size=4).map(tuple),
    st.integers(1, 7),
)
def test_chunking_does_not_show_and_nothing_is_taken_back(text: str, stops: tuple[str, ...], size: int) -> None:
    parts, met = stream(text, stops, size)
    expected, stopped = reference(text, stops)
    if size == 1 or not stopped:
        assert ("".join(parts), met) == (expected, stopped)
    else:  # a token that holds the stop string may hold text after it, but none of that is shown
        assert met
        assert expected == "".join(parts)
    assert all("\ufffd" not in part for part in parts)


def test_a_character_is_shown_when_its_last_byte_comes() -> None:
    parts, _ = stream("a\U0001f600b", (), 1)
    assert parts == ["a", "", "", "", "\U0001f600", "b", ""]


def test_an_unfinished_character_at_the_end_is_dropped() -> None:
    parts, _ = stream("aé".encode()[:-1], (), 1)
    assert parts == ["a", "", ""]


def test_bytes_that_are_no_text_are_replaced() -> None:
    parts, _ = stream(b"a\xffb", (), 1)
    assert "".join(parts) == "a\ufffdb"


def test_nothing_is_shown_after_a_stop() -> None:
    parts, met = stream("a;bc", (";",), 1)
    assert (parts, met) == (["a", "", "", "", ""], True)


def test_text_of_all_tokens_at_once() -> None:
    assert text_of([0, 1], lambda token: "é".encode()[token : token + 1]) == "é"
