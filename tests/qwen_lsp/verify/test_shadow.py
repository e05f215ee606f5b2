"""The copy: what is in it, what is not, and that the user's files stay as they are."""

import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from qwen_lsp.errors import NotDone
from qwen_lsp.verify import shadow as module
from qwen_lsp.verify.shadow import cache_folder, remove_left, shadowed
from qwen_lsp.verify.verdict import Limits
from tests.qwen_lsp.index.trees import age, git, repository, write


def held(folder: Path) -> dict[str, bytes]:
    """Every file below, but git's own."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if ".git" not in path.parts}


@contextmanager
def unchanged(root: Path) -> Iterator[None]:
    """Nothing below `root` changes, times of writing included."""

    def state() -> Mapping[str, object]:
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in root.rglob("*")}

    before, texts = state(), held(root)
    yield
    assert (state(), held(root)) == (before, texts)


def test_what_counts_is_copied_with_mode_and_time(root: Path) -> None:
    write(root, {"a.py": "a", "b/c.py": "c\r\n", "run.sh": "#!/bin/sh", "uv.lock": "lock", "x.png": b"\0\1"})
    (root / "run.sh").chmod(0o755)
    with unchanged(root), shadowed(root) as shadow:
        assert held(shadow.tree) == held(root)
        assert shadow.files == {"a.py", "b/c.py", "run.sh", "uv.lock", "x.png"}
        assert os.access(shadow.tree / "run.sh", os.X_OK)
        assert (shadow.tree / "a.py").stat().st_mtime_ns == (root / "a.py").stat().st_mtime_ns
        assert (shadow.tree / "a.py").stat().st_ino != (root / "a.py").stat().st_ino


def test_writing_in_the_copy_is_not_writing_in_the_workspace(root: Path) -> None:
    write(root, {"a.py": "a"})
    with unchanged(root), shadowed(root) as shadow:
        (shadow.tree / "a.py").write_text("changed in place")
        (shadow.tree / "new.py").write_text("new")


def test_secrets_and_what_git_ignores_stay_out(root: Path) -> None:
    repository(root)
    write(root, {".gitignore": "out/\n*.csv\nbuild.py\n*.so\n", "a.py": "", ".env": "KEY=1", "id_rsa": "k"})
    write(
        root, {"out/a.o": "", "customers.csv": "", "build.py": "x = 1", "fast.so": b"\x7fELF", ".aws/credentials": "k"}
    )
    with shadowed(root) as shadow:
        # What a build has put beside the sources is needed to run them.
        assert set(held(shadow.tree)) == {".gitignore", "a.py", "build.py", "fast.so"}


def test_what_only_prompts_leave_out_is_copied(root: Path) -> None:
    write(root, {".qwenignore": "kept/\nother.py\n", "kept/b.py": "b", "kept/.env": "KEY=1", "other.py": "o"})
    write(root, {"x_pb2.py": "generated", "big.txt": "x" * 1_100_000})
    with shadowed(root) as shadow:
        assert set(held(shadow.tree)) == {".qwenignore", "kept/b.py", "other.py", "x_pb2.py", "big.txt"}


def test_dependencies_are_named_to_be_shared(root: Path) -> None:
    repository(root)
    write(root, {".gitignore": "node_modules\n.venv\n", "package.json": "{}", "p/package.json": "{}"})
    write(root, {"node_modules/x/index.js": "", "p/node_modules/y/index.js": "", ".venv/bin/python": ""})
    with shadowed(root) as shadow:
        assert shadow.shared == (".venv", "node_modules", "p/node_modules")
        assert set(held(shadow.tree)) == {".gitignore", "package.json", "p/package.json"}


def test_links_inside_are_made_again_and_others_left_out(root: Path, tmp_path: Path) -> None:
    write(root, {"a.py": "a", "b/c.py": "c"})
    write(tmp_path, {"outside.py": "o"})
    (root / "inner").symlink_to("b")
    (root / "b/absolute.py").symlink_to(root / "a.py")
    (root / "outer.py").symlink_to(tmp_path / "outside.py")
    (root / "loop").symlink_to("loop")
    with shadowed(root) as shadow:
        assert (shadow.tree / "inner").readlink() == Path("b")
        assert (shadow.tree / "b/absolute.py").readlink() == Path("../a.py")
        assert not os.path.lexists(shadow.tree / "outer.py")
        assert not os.path.lexists(shadow.tree / "loop")


def test_open_buffers_are_in_it(root: Path) -> None:
    write(root, {"a.py": "saved", "gone.py": ""})
    with unchanged(root), shadowed(root, {"a.py": "typed", "new/b.py": "b", "gone.py": None}) as shadow:
        assert held(shadow.tree) == {"a.py": b"typed", "new/b.py": b"b"}
        assert shadow.files == {"a.py", "new/b.py"}


def test_edits_are_put_in_and_taken_back(root: Path) -> None:
    write(root, {"a.py": "a", "b.py": "b", "run.sh": "x"})
    (root / "run.sh").chmod(0o755)
    with unchanged(root), shadowed(root, {"b.py": "typed"}) as shadow:
        shadow.apply({"a.py": "A", "b.py": None, "d/n.py": "n", "run.sh": "y"})
        assert held(shadow.tree) == {"a.py": b"A", "d/n.py": b"n", "run.sh": b"y"}
        assert os.access(shadow.tree / "run.sh", os.X_OK)
        assert shadow.files == {"a.py", "d/n.py", "run.sh"}
        assert shadow.texts({"a.py": "", "b.py": "", "d/n.py": ""}) == {"a.py": "a", "b.py": "typed", "d/n.py": None}
        shadow.apply({"b.py": "B"})
        assert held(shadow.tree) == {"a.py": b"a", "b.py": b"B", "run.sh": b"x"}
        shadow.apply({})
        assert held(shadow.tree) == {"a.py": b"a", "b.py": b"typed", "run.sh": b"x"}


def test_what_stays_as_it_is_is_not_written_again(root: Path) -> None:
    write(root, {"a.py": "a"})
    with shadowed(root) as shadow:
        age(shadow.tree / "a.py")
        before = (shadow.tree / "a.py").stat().st_mtime_ns
        shadow.apply({"a.py": "a"})
        assert (shadow.tree / "a.py").stat().st_mtime_ns == before


@pytest.mark.parametrize("path", ["../x.py", "/etc/x", "a/../../x", "", "a\0b", "b"])
def test_no_edit_leaves_the_copy(root: Path, path: str) -> None:
    write(root, {"a/x.py": "", "b/y.py": ""})
    with unchanged(root), shadowed(root) as shadow, pytest.raises(NotDone):
        shadow.apply({path: "x"})


def test_no_edit_goes_through_a_link_that_a_command_made(root: Path, tmp_path: Path) -> None:
    write(root, {"a/x.py": "", "b.py": ""})
    (tmp_path / "outside").mkdir()
    with shadowed(root) as shadow:
        shutil.rmtree(shadow.tree / "a")
        (shadow.tree / "a").symlink_to(tmp_path / "outside")
        with pytest.raises(NotDone, match="link"):
            shadow.apply({"a/x.py": "x"})
        (shadow.tree / "b.py").unlink()
        (shadow.tree / "b.py").symlink_to(tmp_path / "outside" / "b.py")
        with pytest.raises(NotDone, match="not a file"):
            shadow.apply({"b.py": "x"})
    assert list((tmp_path / "outside").iterdir()) == []


def test_limits_are_reasons(root: Path) -> None:
    write(root, {"a.py": "x" * 100, "b.py": "x" * 100})
    with pytest.raises(NotDone, match="larger than"), shadowed(root, limits=Limits(copy_bytes=150)):
        pass
    with pytest.raises(NotDone, match="more than 1 files"), shadowed(root, limits=Limits(copy_files=1)):
        pass
    assert list(cache_folder().iterdir()) == []


def test_a_full_disk_is_a_reason_and_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, {"a.py": "a", "b.py": "b"})
    real, n_copied = module._copy, 0

    def fills(source: Path, target: Path) -> bool:
        nonlocal n_copied
        n_copied += 1
        if n_copied > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    monkeypatch.setattr(module, "_copy", fills)
    with unchanged(root), pytest.raises(NotDone, match="the disk is full"), shadowed(root):
        pass
    assert list(cache_folder().iterdir()) == []


def test_the_copy_is_private_and_gone_afterwards(root: Path) -> None:
    write(root, {"a.py": "a"})
    with shadowed(root) as shadow:
        base = shadow.tree.parent
        assert stat.S_IMODE(base.stat().st_mode) == 0o700
        (shadow.tree / "locked").mkdir()
        (shadow.tree / "locked" / "x").write_text("x")
        (shadow.tree / "locked").chmod(0)
    assert not base.exists()


def test_copies_of_the_dead_are_removed_and_of_the_living_not(root: Path) -> None:
    with shadowed(root) as living:
        dead = cache_folder() / "copy-dead"
        dead.mkdir()
        young = cache_folder() / "copy-young"
        young.mkdir()
        for each in (dead, living.tree.parent):
            os.utime(each, (time.time() - 3600,) * 2)
        remove_left(cache_folder())
        assert living.tree.exists()
        assert young.exists()
        assert not dead.exists()


def committed(root: Path) -> None:
    repository(root)
    write(root, {"a.py": "a", ".git/hooks/post-checkout": "#!/bin/sh\ntouch HOOKED\n"})
    (root / ".git/hooks/post-checkout").chmod(0o755)
    git(root, "add", "a.py")
    git(root, "commit", "--quiet", "-m", "one")
    git(root, "tag", "v1")
    git(root, "config", "remote.origin.url", "https://token@example.org/x")


def test_the_copy_has_the_history_and_the_repository_is_only_read(root: Path) -> None:
    committed(root)
    with unchanged(root), shadowed(root, {"a.py": "typed"}) as shadow:
        assert git(shadow.tree, "describe", "--tags", "--dirty") == b"v1-dirty\n"
        assert git(shadow.tree, "ls-files") == b"a.py\n"
        assert git(shadow.tree, "branch", "--format=%(refname)") == b"(no branch)\nrefs/heads/main\n"
        assert b"token" not in (shadow.tree / ".git/config").read_bytes()
        git(shadow.tree, "commit", "--quiet", "--all", "-m", "in the copy")
        assert not (shadow.tree / "HOOKED").exists()
    assert git(root, "log", "--format=%s") == b"one\n"


def test_a_work_tree_and_an_empty_repository_are_copied_too(root: Path, tmp_path: Path) -> None:
    with shadowed(repository(tmp_path / "empty")) as shadow:
        assert not (shadow.tree / ".git").exists()
    committed(root)
    git(root, "worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"))
    with unchanged(tmp_path / "tree"), shadowed(tmp_path / "tree") as shadow:
        assert git(shadow.tree, "describe", "--tags") == b"v1\n"
