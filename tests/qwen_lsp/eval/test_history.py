"""A repository's past, read from small repositories that git itself made."""

from pathlib import Path

import pytest

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.history import Change, Repository
from tests.qwen_lsp.eval.repositories import DAY_S, START, Tree, repository

TREES: tuple[Tree, ...] = (
    {"a.py": "x = 1\n", "b/größe.py": "y = 1\n"},
    {"a.py": "x = 1\nz = 2\n", "binary": b"\0\1", "latin": b"gr\xf6\xdfe"},
    {"b/größe.py": None, "c.py": "new = 1\r\n"},
)


@pytest.fixture
def past(tmp_path: Path) -> Repository:
    return Repository(repository(tmp_path / "w", TREES) / "b" / "..")


def test_commits_newest_first_without_the_first_one(past: Repository) -> None:
    commits = past.commits()
    assert [commit.time for commit in commits] == [START + 2 * DAY_S, START + DAY_S]
    assert commits[0].parent == commits[1].id
    assert past.commits(most=1) == commits[:1]
    assert past.commits(since=f"@{START + 2 * DAY_S}") == commits[:1]
    assert past.commits(paths=["a.py"]) == commits[1:]


def test_changes_are_texts_with_lf(past: Repository) -> None:
    newest, older = past.commits()
    assert list(past.changes(newest)) == [Change("c.py", "", "new = 1\n")]
    (change,) = past.changes(older)
    assert change == Change("a.py", "x = 1\n", "x = 1\nz = 2\n")
    assert [(hunk.at, hunk.new) for hunk in change.hunks()] == [(1, ("z = 2\n",))]


def test_a_checkout_moves_and_holds_nothing_of_the_future(past: Repository, tmp_path: Path) -> None:
    before = sorted((past.top / ".git").iterdir())
    newest, older = past.commits()
    tree = past.checkout(tmp_path / "tree")
    tree.move(older.parent)
    assert (tree.folder / "a.py").read_text() == "x = 1\n"
    assert not (tree.folder / "c.py").exists()
    (tree.folder / "left behind.py").write_text("the future")
    tree.move(newest.id)
    assert sorted(path.name for path in tree.folder.iterdir()) == [".git", "a.py", "binary", "c.py", "latin"]
    assert sorted((past.top / ".git").iterdir()) == before


def test_no_hook_runs(past: Repository, tmp_path: Path) -> None:
    for name in ("post-checkout", "reference-transaction"):
        hook = past.top / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
    past.checkout(tmp_path / "tree").move(past.commits()[0].id)
    assert not (tmp_path / "ran").exists()


def test_what_git_refuses_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotDone, match=r"git rev-parse: fatal: not a git repository"):
        Repository(tmp_path)


def test_an_editor_that_git_started_does_not_lead_us_astray(
    past: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert len(past.commits()) == 2
