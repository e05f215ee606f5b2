"""What a cursor is about."""

from qwen_lsp.context.focus import FAR_WEIGHT, MOST_WORDS, NEAR_LINES, focus
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.symbols import extract
from qwen_lsp.text.document import Cursor, opened


def at(text: str) -> Cursor:
    return Cursor(opened("file:///a.py", "python", 1, text.replace("$0", "")), text.index("$0"))


def test_nearer_words_weigh_more_and_stand_first() -> None:
    text = "far_away = 1\n" + "\n" * (NEAR_LINES + 1) + "above = 1\n\nhere = above$0\n\n\nbelow = 1\n"
    found = focus("a.py", at(text), None)
    assert list(found.near) == ["here", "above", "below", "far_away"]
    assert found.near["here"] == found.near["above"] == 1.0 > found.near["below"] > found.near["far_away"] == FAR_WEIGHT


def test_what_the_file_defines_and_imports_comes_from_its_outline() -> None:
    text = "import os\n\ndef here(): ...\n"
    found = focus("a.py", at(text + "$0"), extract(text.encode(), language_of("a.py")))
    assert found.own == {"here"} and [each.module for each in found.imports] == ["os"]


def test_a_file_of_many_words_asks_for_so_many() -> None:
    found = focus("a.py", at("$0" + " ".join(f"word{number}" for number in range(2 * MOST_WORDS))), None)
    assert len(found.near) == MOST_WORDS and len(found.words) == 2 * MOST_WORDS


def test_any_text_has_a_focus() -> None:
    for text in ("$0", "\r\n$0\r", "\ud83d\ude00 na\u00efve$0", "if x y z$0"):
        focus("a.py", at(text), None)
