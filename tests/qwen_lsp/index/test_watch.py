"""Hints become batches: purely with given times, and with the real file system on both kinds of watch."""

import errno
import math
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.index import watch as watching
from qwen_lsp.index.scan import Folder, opened
from qwen_lsp.index.watch import HELD_S, MAX_PATHS, QUIET_S, Batch, Settler, TreeWatch, Watch, folders, watch
from tests.qwen_lsp.index.trees import repository, write

if sys.platform == "linux":
    from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, InotifyFD, WatchDescriptor

TIMEOUT_S = 60.0
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def test_a_batch_is_due_when_no_more_hints_come() -> None:
    settler = Settler()
    assert settler.due_at == math.inf
    for now in (10.0, 10.2, 10.4):
        settler.hint("/w/a.py", now)
    assert settler.due_at == pytest.approx(10.4 + QUIET_S)
    assert settler.take() == Batch(("/w/a.py",), False)
    assert settler.due_at == math.inf


def test_a_file_that_is_always_written_holds_nobody_back() -> None:
    settler = Settler()
    settler.hint("/w/a.py", 0.0)
    for tick in range(1, 100):
        settler.hint("/w/app.txt", tick * QUIET_S / 2)
    assert settler.due_at == HELD_S


def test_an_atomic_save_and_a_rename_are_one_batch_each() -> None:
    settler = Settler()
    for path in ("/w/4913", "/w/a.py~", "/w/a.py", "/w/.a.py.swp", "/w/a.py"):  # what Vim does
        settler.hint(path, 1.0)
    assert settler.take() == Batch(("/w/.a.py.swp", "/w/4913", "/w/a.py", "/w/a.py~"), False)
    settler.hint("/w/old.py", 2.0)
    settler.hint("/w/new.py", 2.0)
    assert settler.take() == Batch(("/w/new.py", "/w/old.py"), False)


@pytest.mark.parametrize("name", [".gitignore", "deep/.qwenignore"])
def test_an_ignore_file_needs_a_look_at_everything(name: str) -> None:
    settler = Settler()
    settler.hint("/w/a.py", 0.0)
    settler.hint(f"/w/{name}", 0.0)
    settler.hint("/w/b.py", 0.0)
    assert settler.take() == Batch((), True)


def test_a_branch_switch_is_one_batch() -> None:
    settler = Settler()
    for number in range(20 * MAX_PATHS):
        settler.hint(f"/w/{number}.py", number / 10_000)
    assert settler.due_at == pytest.approx((20 * MAX_PATHS - 1) / 10_000 + QUIET_S)
    assert settler.take() == Batch((), True)


@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from([*"abcdef", "", ".gitignore"])), min_size=1))
def test_nothing_hinted_is_lost_and_nothing_waits_too_long(events: list[tuple[float, str]]) -> None:
    """An empty name is a doubt."""
    settler = Settler(max_paths=3)
    now = 0.0
    owed: set[str] = set()
    first = math.inf
    for pause, name in [*events, (HELD_S, "last")]:
        now += pause
        if settler.due_at <= now:
            batch = settler.take()
            assert batch.whole or owed <= set(batch.paths)
            assert len(batch.paths) <= 3
            owed, first = set(), math.inf
        first = min(first, now)
        owed.add(name)
        if name:
            settler.hint(name, now)
        else:
            settler.doubt(now)
        assert now <= settler.due_at <= first + HELD_S


class Heard:
    """What a watch has reported."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self.paths: set[str] = set()
        self.n_doubts = 0

    def hint(self, path: str) -> None:
        with self._news:
            self.paths.add(path)
            self._news.notify()

    def doubt(self) -> None:
        with self._news:
            self.n_doubts += 1
            self._news.notify()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._news:
            assert self._news.wait_for(condition, TIMEOUT_S), (self.paths, self.n_doubts)

    def forget(self) -> None:
        with self._news:
            self.paths.clear()
            self.n_doubts = 0


def top(root: Path) -> Folder:
    found = opened(root)
    assert isinstance(found, Folder)
    return found


def follow(watched: Watch, root: Path) -> None:
    assert watched.follow(folders(top(root))) == ""


def test_only_folders_that_count_are_watched(tmp_path: Path) -> None:
    root = write(repository(tmp_path / "w"), {".gitignore": "build/\n", "build/x/": "", "a/b/": "", ".ssh/": ""})
    (root / "link").symlink_to(root / "a")
    place = os.fsencode(root) + b"/"
    assert sorted(folders(top(root))) == [place, place + b"a/", place + b"a/b/"]


@pytest.mark.parametrize("kind", ["folders", "tree"])
def test_what_happens_is_hinted(tmp_path: Path, kind: str) -> None:
    write(repository(tmp_path / "w"), {".gitignore": "build/\n", "build/": "", "a/x.py": "", "y.py": ""})
    root = tmp_path / "link"  # hints are spelled as the editor spells the root
    root.symlink_to(tmp_path / "w")
    heard = Heard()
    watched = watch(root, heard.hint, heard.doubt) if kind == "folders" else TreeWatch(root, heard.hint, heard.doubt)
    follow(watched, root)
    (root / "build" / "never.py").write_text("")
    (root / "a" / "x.py").write_text("saved")
    heard.until(lambda: str(root / "a" / "x.py") in heard.paths)
    (root / "a" / "x.py").rename(root / "z.py")
    heard.until(lambda: str(root / "z.py") in heard.paths)
    (root / "y.py").unlink()
    heard.until(lambda: str(root / "y.py") in heard.paths)
    assert str(root / "build" / "never.py") not in heard.paths
    heard.forget()
    (root / "new").mkdir()
    heard.until(lambda: heard.n_doubts > 0)
    follow(watched, root)
    (root / "new" / "n.py").write_text("")
    heard.until(lambda: str(root / "new" / "n.py") in heard.paths)
    heard.forget()
    (root / "new").rename(root / "newer")
    heard.until(lambda: heard.n_doubts > 0)
    follow(watched, root)
    (root / "newer" / "n.py").write_text("again")
    heard.until(lambda: str(root / "newer" / "n.py") in heard.paths)
    heard.forget()
    shutil.rmtree(root / "newer")
    heard.until(lambda: heard.n_doubts > 0)
    watched.close()


@linux_only
def test_at_the_systems_limit_nothing_is_watched_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "w", {"a/": "", "b/": "", "c/": ""})
    heard = Heard()
    watched = watch(root, heard.hint, heard.doubt)
    n_left = 2
    add = InotifyFD.add_callback

    def limited(self: InotifyFD, *arguments: object) -> object:
        nonlocal n_left
        n_left -= 1
        if n_left < 0:
            raise OSError(errno.ENOSPC, "inotify watch limit reached")
        return add(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(InotifyFD, "add_callback", limited)
    assert watched.follow(folders(top(root))) == watching.LIMIT_REACHED
    n_left = 100
    follow(watched, root)
    (root / "a" / "x.py").write_text("")
    heard.until(lambda: str(root / "a" / "x.py") in heard.paths)
    watched.close()


@linux_only
def test_too_many_folders_are_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_FOLDERS", 2)
    root = write(tmp_path / "w", {"a/": "", "b/": "", "c/": ""})
    heard = Heard()
    watched = watch(root, heard.hint, heard.doubt)
    assert watched.follow(folders(top(root))) == "there are more than 2 folders"
    (root / "x.py").write_text("")
    follow_one: Iterable[bytes] = [os.fsencode(root / "a") + b"/"]
    assert watched.follow(follow_one) == ""
    (root / "a" / "x.py").write_text("")
    heard.until(lambda: bool(heard.paths))
    assert heard.paths == {str(root / "a" / "x.py")}
    watched.close()


@linux_only
def test_an_overflow_is_a_doubt(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a/": ""})
    heard = Heard()
    watched = watching.FolderWatch(heard.hint, heard.doubt)
    follow(watched, root)
    assert watched._fd is not None
    overflow = InotifyEvent(WatchDescriptor(-1), InotifyConstants.IN_Q_OVERFLOW, 0, b"")
    watched._fd.handle_event(overflow)
    assert heard.n_doubts == 1
    (root / "a" / "x.py").write_text("")
    heard.until(lambda: str(root / "a" / "x.py") in heard.paths)
    watched.close()
