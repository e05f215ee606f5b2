"""What typing does to a suggestion that was made before it."""

from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.engine.client import Usage
from qwen_lsp.features.complete import Completion
from qwen_lsp.features.recent import MAX_RECENT, NO_USAGE, Recent, Spot
from qwen_lsp.text.document import Cursor, opened


def at(text: str, uri: str = "file:///a.py", version: int = 1) -> Cursor:
    """The cursor at `$0`."""
    return Cursor(opened(uri, "python", version, text.replace("$0", "")), text.index("$0"))


def suggested(cursor: Cursor, text: str) -> Completion:
    return Completion(text, cursor.offset, cursor.offset, Usage(100, 90, 5, 15, 2.0))


def check(made_at: str, text: str, now: str, expected: str | None, uri: str = "file:///a.py") -> None:
    recent, cursor = Recent(), at(made_at)
    recent.keep(cursor, suggested(cursor, text))
    found = recent.at(at(now, uri, 2))
    assert (found.text if found else None) == expected
    if found:
        assert (found.usage, found.start, found.end) == (NO_USAGE, at(now).offset, at(now).offset)


def test_typing_along_it_leaves_the_rest() -> None:
    check("x = $0\ny\n", "sum(xs)", "x = $0\ny\n", "sum(xs)")
    check("x = $0\ny\n", "sum(xs)", "x = su$0\ny\n", "m(xs)")
    check("f($0)", "a,\n  b", "f(a,\n$0)", "  b")


def test_anything_else_ends_it() -> None:
    check("x = $0\ny\n", "sum(xs)", "x = so$0\ny\n", None)
    check("x = $0\ny\n", "sum(xs)", "x = sum(xs)$0\ny\n", None)
    check("x = $0\ny\n", "sum(xs)", "x = s$0\nz\n", None)
    check("x = $0\ny\n", "sum(xs)", "x = s\n$0y\n", None)
    check("x = $0\ny\n", "sum(xs)", "x =$0\ny\n", None)
    check("x = $0\ny\n", "sum(xs)", "x = su$0\ny\n", None, uri="file:///b.py")


def test_going_back_finds_the_older_one() -> None:
    recent = Recent()
    for text, says in (("x = $0", "sum(xs)"), ("x = m$0", "ax(xs)")):
        cursor = at(text)
        recent.keep(cursor, suggested(cursor, says))
    for text, left in (("x = m$0", "ax(xs)"), ("x = $0", "sum(xs)"), ("x = ma$0", "x(xs)")):
        found = recent.at(at(text, version=3))
        assert found is not None and found.text == left


def test_only_the_last_ones_are_kept() -> None:
    recent = Recent()
    for n in range(MAX_RECENT + 1):
        cursor = at(f"{n}$0")
        recent.keep(cursor, suggested(cursor, "!"))
    assert recent.at(at("0$0")) is None and recent.at(at("1$0")) is not None


@given(st.text("ab\n", max_size=4), st.text("ab\n", max_size=4), st.text("ab\n", min_size=1, max_size=5), st.data())
def test_what_is_left_completes_what_was_suggested(before: str, after: str, says: str, data: st.DataObject) -> None:
    recent, cursor = Recent(), at(f"{before}$0{after}")
    recent.keep(cursor, suggested(cursor, says))
    typed = data.draw(st.text("ab\n", max_size=5))
    found = recent.at(at(f"{before}{typed}$0{after}", version=2))
    if found is not None:
        assert says.endswith(found.text) and found.text
        now = f"{before}{typed}{after}"
        whole = now[: found.start] + found.text + now[found.end :]
        assert whole == f"{before}{says}{after}"
    else:
        assert not says.startswith(typed) or says == typed


FAR = "".join(f"line_{n} = {n}\n" for n in range(400))


def test_an_edit_far_away_leaves_it_and_one_near_it_does_not() -> None:
    for now, expected in (
        ("import os\n" + FAR + "x = s$0\n" + FAR, "um(xs)"),
        (FAR + "x = s$0\n" + FAR + "y\n", "um(xs)"),
        (FAR + "y\nx = s$0\n" + FAR, None),
        (FAR + "x = s$0\ny\n" + FAR, None),
    ):
        check(FAR + "x = $0\n" + FAR, "sum(xs)", now, expected)


def test_what_was_rejected_there_is_not_shown_there_again() -> None:
    recent, cursor = Recent(), at("x = $0\n")
    recent.keep(cursor, suggested(cursor, "sum(xs)"))
    recent.reject(Spot.of(at("x = $0\n")), "sum(xs)")
    assert recent.at(at("x = $0\n")) is None
    left = recent.at(at("x = s$0\n"))
    assert left is not None and left.text == "um(xs)", "typed along after all"
    recent.clear()
    assert recent.at(at("x = s$0\n")) is None and recent.is_rejected(cursor, "sum(xs)")
    assert not recent.is_rejected(at("y = $0\n"), "sum(xs)")
