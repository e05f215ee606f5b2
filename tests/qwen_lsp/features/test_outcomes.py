"""What is said of a suggestion after it was shown: a table of little stories."""

import pytest

from qwen_lsp.features.outcomes import RETAINED_S, SEEN_S, Outcomes
from qwen_lsp.text.document import Cursor, Document, opened

URI = "file:///a.py"


def doc(text: str, uri: str = URI) -> Document:
    return opened(uri, "python", 1, text)


class Story:
    """One suggestion, `sum(xs)`, behind `x = `; the moments are seconds."""

    def __init__(self) -> None:
        self.outcomes, self.happened = Outcomes(), list[str]()
        self.offer("1", "x = $0\n", "sum(xs)", 0.0)

    def offer(self, name: str, text: str, suggested: str, now: float) -> None:
        cursor = Cursor(doc(text.replace("$0", "")), text.index("$0"))
        self.happened += [event.what for event in self.outcomes.offered(name, cursor, suggested, now)]

    def edit(self, text: str, now: float, uri: str = URI) -> None:
        self.happened += [event.what for event in self.outcomes.changed(doc(text, uri), now)]

    def accept(self, now: float, length: int | None = None, name: str = "1", text: str = "x = sum(xs)\n") -> None:
        self.happened += [event.what for event in self.outcomes.accepted(name, length, text, now)]

    def look(self, text: str, now: float) -> None:
        self.happened += [event.what for event in self.outcomes.due([doc(text)], now)]


def test_taken_and_kept() -> None:
    story = Story()
    story.edit("x = sum(xs)\n", 1.0)
    story.accept(1.0)
    story.look("x = sum(xs)\n", RETAINED_S)
    story.look("y = 1\nx = sum(xs)\n", 1.0 + RETAINED_S)
    story.look("", 100.0)
    assert story.happened == ["shown", "accepted", "retained"]


def test_taken_and_rewritten() -> None:
    story = Story()
    story.accept(1.0)
    story.edit("x = sum(xs, 0.0)\n", 3.0)
    story.look("x = fsum(xs[1:])\n", 40.0)
    assert story.happened == ["shown", "accepted", "changed later"]


def test_taken_back() -> None:
    story = Story()
    story.edit("x = sum(xs)\n", 1.0)
    story.accept(1.0)
    story.edit("x = \n", 2.0)
    story.look("x = \n", 40.0)
    assert story.happened == ["shown", "accepted", "undone"]


def test_deleted_letter_by_letter_is_no_undo() -> None:
    story = Story()
    story.accept(1.0)
    text = "x = sum(xs)"
    while len(text) > 4:
        text = text[:-1]
        story.edit(text + "\n", 2.0)
    story.look("x = \n", 40.0)
    assert story.happened == ["shown", "accepted", "changed later"]


@pytest.mark.parametrize(
    ("text", "now", "expected"),
    [
        ("x = max\n", SEEN_S, ["shown", "rejected"]),
        ("x = max\n", SEEN_S / 2, ["shown"]),  # too soon to have been read
        ("x = su\n", 5.0, ["shown"]),  # typed along
        ("x = sum(xs)\n", 5.0, ["shown"]),  # to its end, or accepted: the editor will say
        ("y\nx = \n", 5.0, ["shown", "rejected"]),
    ],
)
def test_going_on_with_something_else(text: str, now: float, expected: list[str]) -> None:
    story = Story()
    story.edit(text, now)
    assert story.happened == expected


def test_another_file_says_nothing_about_it() -> None:
    story = Story()
    story.edit("z\n", 5.0, "file:///b.py")
    story.accept(6.0)
    assert story.happened == ["shown", "accepted"]


def test_the_rest_of_a_suggestion_is_not_shown_anew() -> None:
    story = Story()
    story.edit("x = s\n", 0.2)
    story.offer("2", "x = s$0\n", "um(xs)", 0.2)
    story.edit("x = q\n", SEEN_S)
    assert story.happened == ["shown", "rejected"], "it was on the screen since the first letter"


def test_parts_and_then_the_whole() -> None:
    story = Story()
    for length in (3, 4, None):
        story.accept(1.0, length)
    story.accept(2.0)
    story.accept(2.0, name="never offered")
    story.look("x = sum(xs)\n", 40.0)
    assert story.happened == ["shown", "partly accepted", "partly accepted", "accepted", "retained"]
