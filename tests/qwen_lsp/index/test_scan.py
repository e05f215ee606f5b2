"""Which files of real folders count, and why not; the rule is the same for one path and for all."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_lsp.index import scan
from qwen_lsp.index.reading import FileStat, read
from qwen_lsp.index.rules import HUGE_BYTES, Reason, Skipped
from qwen_lsp.index.scan import Folder, opened, walk, why
from tests.qwen_lsp.index.trees import git, repository, write


def top_of(root: Path) -> Folder:
    top = opened(root)
    assert isinstance(top, Folder)
    return top


def look(root: Path) -> tuple[list[str], dict[str, tuple[Reason, str]]]:
    """What counts, and what does not with reason and rule."""
    found = list(walk(top_of(root)))
    skipped = {each.path: (each.reason, each.rule) for each in found if isinstance(each, Skipped)}
    return [each.path for each in found if isinstance(each, FileStat)], skipped


def test_files_come_by_folder_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path, {"b/c.py": "1", "b/a.py": "12", "a.py": "", "empty/": "", "c/d/e.py": ""})
    assert look(tmp_path) == (["a.py", "b/a.py", "b/c.py", "c/d/e.py"], {})
    (found,) = [each for each in walk(top_of(tmp_path)) if each.path == "b/a.py"]
    status = (tmp_path / "b/a.py").stat()
    assert found == FileStat("b/a.py", 2, status.st_mtime_ns, status.st_ino if os.name != "nt" else 0)


def test_every_reason_names_its_rule(tmp_path: Path, nobody: Path) -> None:
    write(nobody, {".config/git/ignore": "*.bak\n"})
    root = repository(tmp_path / "w")
    write(root, {".git/info/exclude": "# mine\n/local.py\n"})
    write(root, {".gitignore": "*.log\nbuild/\n", "src/.gitignore": "!keep.log\ngen.py\n", ".qwenignore": "private/\n"})
    write(root, {"src/a.py": "", "src/keep.log": "", "src/gen.py": "", "src/x.log": "", "build/a.py": "", "a.bak": ""})
    write(root, {"local.py": "", "private/a.py": "", ".env": "", "yarn.lock": "", "big.py": b"x" * (HUGE_BYTES + 1)})
    counts, skipped = look(root)
    assert counts == [".gitignore", ".qwenignore", "src/.gitignore", "src/a.py", "src/keep.log"]
    assert skipped == {
        ".git": ("version control", ".git: a version control system's own files"),
        ".env": ("secret", ".env: environment files hold passwords and keys"),
        "a.bak": ("ignored", f"{nobody}/.config/git/ignore:1: *.bak"),
        "big.py": ("huge", "1,000,001 bytes; the limit is 1,000,000"),
        "build": ("ignored", ".gitignore:2: build/"),
        "local.py": ("ignored", ".git/info/exclude:2: /local.py"),
        "private": ("qwenignored", ".qwenignore:1: private/"),
        "src/gen.py": ("ignored", "src/.gitignore:2: gen.py"),
        "src/x.log": ("ignored", ".gitignore:1: *.log"),
        "yarn.lock": ("generated", "yarn.lock: a package manager's lock file"),
    }


def test_qwenignore_only_takes_away(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*.a\n*.b\n!c.b\n", ".qwenignore": "!x.a\n*.b\n*.c\n!d.c\n"})
    write(tmp_path, {"x.a": "", "c.b": "", "c.c": "", "d.c": ""})
    counts, skipped = look(tmp_path)
    assert counts == [".gitignore", ".qwenignore", "d.c"]
    assert skipped["x.a"] == ("ignored", ".gitignore:1: *.a")
    assert skipped["c.b"] == ("qwenignored", ".qwenignore:2: *.b")


def test_the_users_own_excludes_from_gits_settings(tmp_path: Path, nobody: Path) -> None:
    write(nobody, {".gitconfig": "[core]\n\texcludesFile = ~/mine\n", "mine": "/top.py\n*.x\n"})
    root = write(repository(tmp_path / "w"), {"top.py": "", "a/top.py": "", "a/b.x": ""})
    inner = write(repository(root / "inner"), {"top.py": "", "c.py": ""})
    counts, skipped = look(root)
    assert counts == ["a/top.py", "inner/c.py"]
    assert skipped["top.py"] == skipped["inner/top.py"] == ("ignored", f"{nobody}/mine:1: /top.py")
    assert skipped["a/b.x"][1] == f"{nobody}/mine:2: *.x"
    assert look(inner)[0] == ["c.py"]


def test_case_as_the_repository_says(tmp_path: Path) -> None:
    root = write(repository(tmp_path), {".gitignore": "BUILD\n", "build/a.py": ""})
    assert "build/a.py" in look(root)[0]
    git(root, "config", "core.ignorecase", "true")
    assert look(root)[1]["build"] == ("ignored", ".gitignore:1: BUILD")


def test_a_folder_of_a_repository_obeys_the_files_above_it(tmp_path: Path) -> None:
    root = write(repository(tmp_path), {".gitignore": "/a/b/x.py\n/gone\n", "a/.gitignore": "y.py\n"})
    write(root, {"a/b/x.py": "", "a/b/y.py": "", "a/b/z.py": "", "gone/away/a.py": ""})
    assert look(root / "a/b") == (
        ["z.py"],
        {
            "x.py": ("ignored", f"{root}/.gitignore:1: /a/b/x.py"),
            "y.py": ("ignored", f"{root}/a/.gitignore:1: y.py"),
        },
    )
    assert opened(root / "gone/away") == Skipped(".", "ignored", f"{root}/.gitignore:2: /gone")
    assert why(root / "gone/away", root / "gone/away/a.py") == opened(root / "gone/away")


def test_a_repository_inside_has_its_own_rules(tmp_path: Path) -> None:
    root = write(repository(tmp_path), {".gitignore": "*.x\n", ".qwenignore": "*.y\n"})
    write(repository(root / "inner"), {"a.x": "", "a.y": "", "a.z": ""})
    counts, skipped = look(root)
    assert "inner/a.x" in counts
    assert skipped["inner/a.y"] == ("qwenignored", ".qwenignore:1: *.y")


def test_a_work_tree_shares_the_repositorys_excludes(tmp_path: Path) -> None:
    root = write(repository(tmp_path / "w"), {"a.py": ""})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=a")
    git(root, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    write(root, {".git/info/exclude": "a.py\n"})
    assert look(tmp_path / "tree") == ([], {
        ".git": ("version control", ".git: a version control system's own files"),
        "a.py": ("ignored", ".git/info/exclude:1: a.py"),
    })  # fmt: skip


@pytest.fixture
def nasty(tmp_path: Path) -> Iterator[Path]:
    """What a file system can hold beside files."""
    root = write(repository(tmp_path / "w"), {"a.py": "a", "d/b.py": "b", ".gitignore": "*.x\n!*.y\nd/*\n!d/b.py\n"})
    write(tmp_path, {"outside/c.py": "c", "w/d/z.py": "z", "w/bin.py": b"a\0", "w/latin.py": b"\xe9\n"})
    (root / "loop").symlink_to(".")
    (root / "d" / "up").symlink_to("..", target_is_directory=True)
    (root / "dangling").symlink_to("nothing")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "alias.py").symlink_to("a.py")
    (root / "self").symlink_to("self")
    os.mkfifo(root / "pipe.py")
    (root / "f").mkdir()
    os.mkfifo(root / "f" / ".gitignore")
    (root / "f" / "in.py").touch()
    (root / "g" / ".gitignore").mkdir(parents=True)
    (root / "h").mkdir()
    (root / "h" / ".gitignore").symlink_to("../.gitignore")
    (root / "h" / "q.x").touch()
    (root / "new\nline.py").touch()
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).touch()
    deep = root
    for _ in range(60):
        deep = deep / ("n" * 30)
    deep.mkdir(parents=True)
    (deep / "deep.py").touch()
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(root)  # a socket's path may not be long
        unix.bind("socket.py")
        os.chdir(here)
        yield root


@pytest.mark.skipif(sys.platform == "win32", reason="makes what Windows does not have")
def test_links_pipes_and_odd_names(nasty: Path, tmp_path: Path) -> None:
    counts, skipped = look(nasty)
    expected = [".gitignore", "a.py", "bin.py", "latin.py", "new\nline.py", "d/b.py", "f/in.py"]
    assert counts[:7] == expected
    assert [path.rsplit("/", 1)[-1] for path in counts[7:]] == ["deep.py"]
    assert skipped == {
        ".git": ("version control", ".git: a version control system's own files"),
        "alias.py": ("link", "a link to a.py"),
        "caf\\udce9.py": ("name", "not UTF-8"),
        "d/up": ("ignored", ".gitignore:3: d/*"),
        "d/z.py": ("ignored", ".gitignore:3: d/*"),
        "dangling": ("link", "a link to nothing"),
        "f/.gitignore": ("special", "a pipe"),
        "h/.gitignore": ("link", "a link to ../.gitignore"),
        "h/q.x": ("ignored", ".gitignore:1: *.x"),
        "loop": ("link", "a link to ."),
        "out": ("link", f"a link to {tmp_path}/outside"),
        "pipe.py": ("special", "a pipe"),
        "self": ("link", "a link to self"),
        "socket.py": ("special", "a socket"),
    }


@pytest.mark.skipif(sys.platform == "win32", reason="makes what Windows does not have")
def test_one_path_is_judged_as_in_the_walk(nasty: Path) -> None:
    """Law: `why` says of each path what `walk` said; only what must be read is known to `why` alone."""
    for found in walk(top_of(nasty)):
        if isinstance(found, Skipped) and found.reason != "name":
            assert why(nasty, nasty / found.path) == found
        elif found.path not in ("bin.py", "latin.py"):
            assert found.path.startswith("caf") or why(nasty, nasty / found.path) is None
    raw = Path(os.fsdecode(os.fsencode(nasty) + b"/caf\xe9.py"))
    assert why(nasty, raw) == Skipped("caf\\udce9.py", "name", "not UTF-8")
    assert why(nasty, nasty / "bin.py") == Skipped("bin.py", "binary", "a NUL in the first 8,192 bytes")
    assert why(nasty, nasty / "latin.py") == Skipped("latin.py", "encoding", "byte 0 is not UTF-8")


@pytest.mark.skipif(sys.platform == "win32", reason="makes what Windows does not have")
def test_counts_what_git_would_add(nasty: Path) -> None:
    """Of what git lists, links and pipes and odd names aside, all; and nothing that it ignores."""
    (nasty / "f" / ".gitignore").unlink()  # git would wait for somebody to write into the pipe
    listed = {os.fsdecode(path) for path in git(nasty, "ls-files", "-z", "-o", "--exclude-standard").split(b"\0")}
    regular = {
        path
        for path in listed
        if path and (nasty / path).is_file() and not (nasty / path).is_symlink() and path.isprintable()
    }
    assert set(look(nasty)[0]) - {"new\nline.py"} == regular


def test_a_file_that_is_not_there_is_judged_by_its_name(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*.x\n"})
    assert why(tmp_path, tmp_path / "new.py") is None
    assert why(tmp_path, tmp_path / "new.x") == Skipped("new.x", "ignored", ".gitignore:1: *.x")
    assert why(tmp_path, tmp_path / ".env") is not None
    assert why(tmp_path, tmp_path / "no/folder.py") is None
    assert why(tmp_path, tmp_path / "no/new.x") == Skipped("no/new.x", "ignored", ".gitignore:1: *.x")


def test_outside_is_outside(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": ""})
    write(tmp_path, {"b.py": "", "w2/a.py": ""})
    for path in (tmp_path / "b.py", tmp_path / "w2/a.py", root / "../b.py", root):
        found = why(root, path)
        assert found is not None
        assert found.reason == "outside"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_root_behind_a_link_is_its_folder(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": "", "b.x": "", ".gitignore": "*.x\n"})
    (tmp_path / "link").symlink_to(root)
    for one in (root, tmp_path / "link"):
        for other in (root, tmp_path / "link"):
            assert why(one, other / "a.py") is None
            assert why(one, other / "b.x") is not None
    assert look(tmp_path / "link")[0] == [".gitignore", "a.py"]


@pytest.mark.parametrize("name", [".gitignore", ".qwenignore"])
def test_an_ignore_file_that_can_not_be_read_hides_its_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {f"a/{name}": "x", "a/b.py": "", "c.py": ""})
    really_open = os.open

    def refuse(path: str | bytes | Path, *rest: int) -> int:
        if os.fsdecode(path) == str(tmp_path / "a" / name):
            raise PermissionError(13, "Permission denied")
        return really_open(path, *rest)

    monkeypatch.setattr(os, "open", refuse)
    hidden: tuple[Reason, str] = ("unreadable", "an ignore file in it: Permission denied")
    assert look(tmp_path) == (["c.py"], {"a": hidden})
    assert why(tmp_path, tmp_path / "a/b.py") == Skipped("a", *hidden)


def test_an_ignore_file_without_end_hides_its_folder(tmp_path: Path) -> None:
    write(tmp_path, {"a/.gitignore": b"x\n" * (scan.IGNORE_LIMIT_BYTES // 2 + 1), "a/b.py": ""})
    assert look(tmp_path) == ([], {"a": ("unreadable", "an ignore file in it: File too large")})


def test_there_is_an_end_to_looking(tmp_path: Path) -> None:
    write(tmp_path, {f"{number}.py": "" for number in range(5)})
    found = list(walk(top_of(tmp_path), max_files=3))
    assert [each.path for each in found] == ["0.py", "1.py", "2.py", "3.py"]
    assert found[-1] == Skipped("3.py", "too many", "the limit is 3 files")


def test_reading_gives_the_state_that_was_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "x = 1\n"})
    place = os.fsencode(tmp_path) + b"/"
    (found,) = walk(top_of(tmp_path))
    assert read(place, "a.py") == (b"x = 1\n", found)
    assert read(place, "b.py") == Skipped("b.py", "unreadable", "No such file or directory")


@pytest.mark.skipif(sys.platform == "win32", reason="makes what Windows does not have")
def test_reading_waits_for_no_pipe_and_follows_no_link(nasty: Path) -> None:
    place = os.fsencode(nasty) + b"/"
    assert read(place, "pipe.py") == Skipped("pipe.py", "special", "a pipe")
    found = read(place, "alias.py")
    assert isinstance(found, Skipped)
    assert found.reason == "link"


def test_git_need_not_be_there(tmp_path: Path, nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(nobody, {".config/git/ignore": "*.bak\n"})
    write(tmp_path, {"a.bak": "", "a.py": ""})
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look(tmp_path)[0] == ["a.py"]
