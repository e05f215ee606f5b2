"""What the model is told of what changed so far."""

import pytest

from qwen_lsp.features.refactor import wording

SOME = "x = 1\ny\n"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "x = 1\n", "--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n+x = 1\n"),
        ("x = 1\n", None, "--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n"),
        (SOME, "x = 1\nz\n", "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y\n+z\n"),
        (SOME, "x = 1\nz", "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y\n+z\n"),
        ("x = 1\r\ny\r\n", "x = 1\r\n", "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1 @@\n x = 1\n-y\n"),
        (SOME, SOME, ""),
    ],
)
def test_a_difference_has_the_lines_that_are_there(before: str | None, after: str | None, expected: str) -> None:
    assert wording.diff({"a.py": before}, {"a.py": after}) == expected
