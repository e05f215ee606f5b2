"""A change as git takes it: what is printed makes, applied, byte for byte what the change says."""

import subprocess
from pathlib import Path

import pytest

from qwen_lsp.features.refactor.report import MAX_DIFF_LINES, diff, report
from qwen_lsp.features.refactor.values import NO_USAGE, FileChange, Plan, Refactored
from qwen_lsp.text.edits import EditSet
from tests.qwen_lsp.index.trees import write

LONG = "".join(f"x{n} = {n}\n" for n in range(1_000))
CHANGES = [
    FileChange("a.py", "a.py", "a = 1\nb = 2\nc = 3\n", "a = 1\nb = 3\nc = 3\n"),
    FileChange("a.py", "a.py", "a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n"),
    FileChange("a.py", "a.py", "a = 1", "a = 2"),
    FileChange("a.py", "a.py", "a = 1\nb = 2", "a = 1\nb = 2\n"),
    FileChange("a.py", "a.py", "a = '\f\u2028'\n", "b = '\f\u2028'\n"),
    FileChange("b.py", "a.py", "a = 1\n", "a = 1\n"),
    FileChange("sub/b.py", "a.py", "a = 1\n" * 20, "a = 1\n" * 20 + "c = 1\n"),
    FileChange("new/b.py", "new/b.py", None, "a = 1\n"),
    FileChange("a.py", "a.py", "a = 1\n\n", None),
    FileChange("größe 数.py", "größe 数.py", "a = 1\n", "a = 2\n"),
    FileChange("my new/b c.py", "my new/b c.py", None, "a = 1\n"),
    FileChange("b c.py", "a b.py", "a = 1\n", "a = 1\n"),
    FileChange("b c.py", "a b.py", "a = 1\nb = 2\n", "a = 1\nb = 3\n"),
    FileChange("a b.py", "a b.py", "a = 1\n", None),
    FileChange("a.py", "a.py", "", None),
    FileChange("a.py", "a.py", None, ""),
    FileChange("a.py", "a.py", "a = 1\n", ""),
    FileChange("a.py", "a.py", "", "a = 1"),
    FileChange("a.py", "a.py", "a\rb\r", "a\rc\r"),
    FileChange("a.py", "a.py", LONG, LONG.replace(" = ", "=")),
]


@pytest.mark.parametrize("change", CHANGES)
def test_git_applies_what_is_printed(change: FileChange, tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"kept.py": "k = 1\n"})
    if change.before is not None:
        (root / change.old_path).write_bytes(change.before.encode())
    command = ["git", "apply", "--verbose", "-"]
    done = subprocess.run(command, cwd=root, input=diff(change).encode(), capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    held = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    wanted = {"kept.py": b"k = 1\n"} | ({} if change.after is None else {change.path: change.after.encode()})
    assert held == wanted


def test_a_report_names_files_checks_and_costs_and_shortens_what_is_long() -> None:
    change = CHANGES[-1]
    done = Refactored(EditSet(), (change,), NO_USAGE, Plan({}, leaves="the docs"), ("pytest",), ("a.py:1: bad",), "")
    told = report("Tidy", done)
    for line in (
        "# Tidy",
        "- changes a.py",
        "- passed: pytest",
        "- new finding: a.py:1: bad",
        "- left alone: the docs",
    ):
        assert line in told
    assert told.count("\n") < MAX_DIFF_LINES + 30 and "more lines" in told
    assert diff(FileChange("a.py", "a.py", "a\n", "a\n")) == ""
