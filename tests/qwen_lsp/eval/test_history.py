"""A repository's past, read from small repositories that git itself made."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.history import MOST_BYTES, PARTIAL, Change, Repository, _reason
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


def test_a_commit_is_as_old_as_what_it_says(past: Repository) -> None:
    """Rebased today, written and perhaps read by a model last year: the later date would call it new."""
    (past.top / "a.py").write_text("x = 5\n")
    environ = {**os.environ, "GIT_COMMITTER_DATE": f"{START + 90 * DAY_S} +0000"}
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    written = ("commit", "--quiet", "--all", "--message=rebased", f"--date=@{START + 5 * DAY_S}")
    subprocess.run(["git", *who, *written], cwd=past.top, env=environ, check=True)
    assert past.commits()[0].time == START + 5 * DAY_S


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


def test_what_git_says_to_do_is_told_with_it() -> None:
    said = b"fatal: detected dubious ownership in repository at '/w'\nTo add an exception, call:\n\n\tgit config it\n"
    assert _reason(said) == "fatal: detected dubious ownership in repository at '/w': git config it"
    assert _reason(b"warning: odd\nerror: invalid path 'aux.py'\nhint: rename it\n") == "error: invalid path 'aux.py'"
    assert _reason(b"usage: git\n") == "usage: git" and _reason(b"") == ""


def test_an_editor_that_git_started_does_not_lead_us_astray(
    past: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert len(past.commits()) == 2


def run_git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True).stdout


def test_a_renamed_file_is_no_new_one(tmp_path: Path) -> None:
    """Its text stood in the tree before, under the old path: a hole in it would find its answer there."""
    text = "".join(f"value_{n} = compute({n})\n" for n in range(30))
    past = Repository(repository(tmp_path / "w", [{"old.py": text}, {"old.py": None, "new.py": text + "z = 1\n"}]))
    assert list(past.changes(past.commits()[0])) == []


def test_binary_and_huge_files_are_passed_over(tmp_path: Path) -> None:
    huge = "x = 1\n" * (MOST_BYTES // 6 + 1)
    trees: list[Tree] = [{"a.py": "x = 1\n"}, {"a.py": "x = 2\n", "huge.py": huge, "data.py": b"\0" * 100}]
    past = Repository(repository(tmp_path / "w", trees))
    assert [change.path for change in past.changes(past.commits()[0])] == ["a.py"]


def test_merges_submodules_and_links_are_no_changes(tmp_path: Path) -> None:
    folder = repository(tmp_path / "w", [{"a.py": "x = 1\n"}, {"a.py": "x = 2\n"}])
    inner = repository(tmp_path / "inner", [{"b.py": "y = 1\n"}])
    run_git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner), "inner")
    (folder / "link.py").symlink_to("a.py")
    commit(folder, "with a submodule")
    run_git(folder, "checkout", "--quiet", "-b", "side", "HEAD~1")
    (folder / "side.py").write_text("side = 1\n")
    commit(folder, "side")
    run_git(folder, "checkout", "--quiet", "main")
    run_git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    past = Repository(folder)
    changed = [change.path for each in past.commits() for change in past.changes(each)]
    assert sorted(changed) == [".gitmodules", "a.py", "side.py"]
    tree = past.checkout(tmp_path / "tree")
    tree.move(past.head)
    assert list((tree.folder / "inner").iterdir()) == [], "nothing is fetched"


def test_an_empty_repository_and_a_shallow_one(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run_git(tmp_path / "empty", "init", "--quiet")
    with pytest.raises(NotDone, match="has no commit yet"):
        Repository(tmp_path / "empty")
    whole = repository(tmp_path / "w", TREES)
    run_git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{whole}", "shallow")
    past = Repository(tmp_path / "shallow")
    assert past.is_shallow and not Repository(whole).is_shallow
    (newest,) = past.commits()
    tree = past.checkout(tmp_path / "tree")
    tree.move(newest.parent)
    assert (tree.folder / "a.py").read_text() == "x = 1\nz = 2\n"


def test_a_dirty_work_tree_stays_as_it_is(past: Repository, tmp_path: Path) -> None:
    (past.top / "a.py").write_text("not committed")
    (past.top / "untracked.py").write_text("neither")
    before = {path: path.stat().st_mtime_ns for path in past.top.rglob("*")}
    newest, older = past.commits()
    tree = past.checkout(tmp_path / "tree")
    for each in (older, newest):
        list(past.changes(each))
        tree.move(each.parent)
    assert {path: path.stat().st_mtime_ns for path in past.top.rglob("*")} == before


def test_a_linked_work_tree_has_the_same_past(past: Repository, tmp_path: Path) -> None:
    run_git(past.top, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    linked = Repository(tmp_path / "linked")
    assert linked.commits() == past.commits()
    tree = linked.checkout(tmp_path / "tree")
    tree.move(linked.head)
    assert (tree.folder / "c.py").is_file()


def test_a_user_who_wants_to_see_signatures_gets_commits_all_the_same(past: Repository) -> None:
    """git puts what it thinks of a signature before the row that was asked for."""
    whole = run_git(past.top, "cat-file", "commit", "HEAD")
    head, _, message = whole.partition(b"\n\n")
    signature = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----\n\n"
    hashing = ["git", "hash-object", "-t", "commit", "-w", "--stdin"]
    made = subprocess.run(hashing, input=head + signature + message, cwd=past.top, check=True, capture_output=True)
    run_git(past.top, "reset", "--quiet", "--hard", made.stdout.decode().strip())
    run_git(past.top, "config", "log.showSignature", "true")
    assert [commit.time for commit in past.commits()] == [START + 2 * DAY_S, START + DAY_S]


def test_what_a_partial_clone_lacks_is_passed_over_or_told(past: Repository, tmp_path: Path) -> None:
    """git before 2.44 can not be told to go on without; nothing is fetched in either case."""
    run_git(past.top, "config", "uploadpack.allowFilter", "true")
    run_git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{past.top}", "partial")
    partial = Repository(tmp_path / "partial")
    assert partial.is_partial and not past.is_partial
    try:
        assert [list(partial.changes(each)) for each in partial.commits()] == [[], []]
    except NotDone as refused:
        assert refused.message == PARTIAL
    lacking = run_git(partial.top, "rev-list", "--objects", "--all", "--missing=print")
    assert lacking.count(b"\n?") >= 3, "still not here"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_name_that_is_no_text_is_passed_over_and_that_of_the_repository_shown(past: Repository) -> None:
    odd = Path(os.fsdecode(os.fsencode(past.top.with_name("w")) + b"\xff"))
    past.top.rename(odd)
    (odd / os.fsdecode(b"\xfe.py")).write_text("y = 1\n")
    (odd / "a.py").write_text("x = 3\n")
    commit(odd, "odd")
    found = Repository(odd)
    assert found.name == "w\N{REPLACEMENT CHARACTER}"
    assert [change.path for change in found.changes(found.commits()[0])] == ["a.py"]


def test_without_git_it_says_so(past: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotDone, match="git can not be run"):
        past.commits()


def commit(folder: Path, message: str) -> None:
    run_git(folder, "add", "--all")
    run_git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", message)
