"""Recorded edits cut into windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.inference_commits import PACKAGES, releases, windows

Lines = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=30)


@given(Lines.filter(bool), Lines, st.integers(1, 8))
def test_the_windows_make_the_new_text_from_the_old(old: list[str], new: list[str], n_lines: int) -> None:
    found = {window.name: window for window in windows("f", "".join(old), "".join(new), n_lines)}
    text = ""
    for first in range(0, len(old), n_lines):
        before = "".join(old[first : first + n_lines])
        window = found.pop(f"f:{first + 1}", None)
        assert window is None or window.old == before
        text += before if window is None else window.new
    assert text == "".join(new) and not found


def test_only_the_window_that_changed() -> None:
    old = [f"line {n}\n" for n in range(600)]
    new = [*old[:250], "one more\n", *old[250:]]
    (window,) = windows("f", "".join(old), "".join(new))
    assert window.name == "f:201"
    assert window.new == "".join(new[200:401])


def test_every_package_is_listed_with_two_releases() -> None:
    pairs = releases(PACKAGES.read_text("utf-8"))
    assert len(pairs) == 8
    assert all(len(each.sha256) == 64 for pair in pairs for each in pair)
    assert all(old.version != new.version for old, new in pairs)


def test_a_list_that_mixes_packages_is_refused() -> None:
    with pytest.raises(ValueError, match="newer release of b"):
        releases("a 1 x\nb 2 y\n")
