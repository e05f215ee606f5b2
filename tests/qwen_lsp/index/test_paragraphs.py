"""How a text without a grammar is cut, and what holds for the pieces of any text."""

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from qwen_lsp.index.paragraphs import FIRST_CHARS, LEAST_CHARS, MOST_CHARS, paragraphs_of

CUSTOMERS = "-- who buys\nCREATE TABLE customers (\n" + "  name TEXT,\n" * 20 + ");\n"
INVOICES = "CREATE TABLE invoices (\n" + "  amount NUMERIC,\n" * 20 + ");\n"
pieces = st.sampled_from(("word", " ", "\n", "\r\n", "\r", "\n\n", "\t", "Größe 📦", "\x0c", "x" * 300, "a b\n" * 60))
texts = st.text() | st.lists(pieces, max_size=30).map("".join)


def shown(text: str) -> list[str]:
    return [text[each.start : each.end] for each in paragraphs_of(text)]


def test_blank_lines_are_borders() -> None:
    assert shown(f"\n{CUSTOMERS}\n \n{INVOICES}") == [CUSTOMERS.rstrip(), INVOICES.rstrip()]
    assert [each.first for each in paragraphs_of(CUSTOMERS)] == ["-- who buys"]


def test_a_line_end_of_any_kind_is_one() -> None:
    for end in ("\r\n", "\r"):
        text = f"{CUSTOMERS}\n{INVOICES}".replace("\n", end)
        assert [each.first for each in paragraphs_of(text)] == ["-- who buys", "CREATE TABLE invoices ("]


def test_short_ones_are_gathered() -> None:
    text = "build:\n\tcc -o app app.c\n\nclean:\n\trm app\n"
    assert shown(text) == [text.rstrip()]


def test_a_long_one_is_cut_at_the_end_of_a_line() -> None:
    lines = [f"INSERT INTO rates VALUES ({number});" for number in range(100)]
    found = shown("\n".join(lines))
    assert "\n".join(found).split("\n") == lines and len(found) == 4


def test_a_long_line_is_cut_at_a_space_or_anywhere() -> None:
    assert shown("word " * 300)[0] == ("word " * 160).rstrip()
    assert shown("x" * 1_000) == ["x" * 800, "x" * 200]


@given(texts)
@example("\x1f")
@example(" " * 2_000 + "a")
def test_laws(text: str) -> None:
    """In order, apart, bounded, and nothing but white space is left out."""
    found = paragraphs_of(text)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert "".join("".join(piece.split()) for piece in shown(text)) == "".join(text.split())
    for each in found:
        assert 0 < each.end - each.start <= MOST_CHARS
        assert each.first and len(each.first) <= FIRST_CHARS and "\n" not in each.first
        assert text.startswith(each.first, each.start)
        piece = text[each.start : each.end]
        assert piece == piece.strip()


@given(texts)
@example("x" * 801 + "\n\nw")
def test_few_are_short(text: str) -> None:
    """Of two neighbours at least one is long, or both would not have fitted together."""
    for before, after in pairwise(paragraphs_of(text)):
        assert (
            max(before.end - before.start, after.end - after.start) >= LEAST_CHARS
            or after.end - before.start > MOST_CHARS
        )
