"""A terminal's escape sequences become HTML: no terminal and no browser is needed for this."""

import pytest

from tests.e2e.editors.picture import NAMED, Style, page, styled


@pytest.mark.parametrize(
    ("codes", "look"),
    [
        ([38, 2, 255, 0, 16], Style(colour="#ff0010")),
        ([1, 31, 44], Style(colour=NAMED[1], ground=NAMED[4], bold=True)),
        ([48, 5, 9], Style(ground=NAMED[9])),
        ([38, 5, 196], Style(colour="#ff0000")),
        ([38, 5, 244], Style(colour="#808080")),
        ([3, 7, 1, 0], Style()),
        ([97, 39], Style()),
    ],
)
def test_numbers_are_a_look(codes: list[int], look: Style) -> None:
    assert styled(Style(), codes) == look


def test_text_is_escaped_and_a_look_goes_on_in_the_next_line() -> None:
    shown = page("\x1b[48;2;1;2;3m<a>\nb  \x1b[0m")
    assert "&lt;a&gt;" in shown
    assert shown.count("background:#010203") == 3  # the page's, and one in each line
