"""The store follows the disk: real files, real events, real processes; and the same with a watch that a test plays."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from qwen_lsp.index import frames, indexer
from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.indexer import DEGRADED_LOOK_S, LOOK_S, Hint, Indexer, Look, State, Switched
from qwen_lsp.index.locks import locked
from qwen_lsp.index.repository import checked_out
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import Store
from tests.qwen_lsp.index.trees import git, repository, write

TIMEOUT_S = 90.0


class Window:
    """What a window hears of its indexer, and what is in the store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._news = threading.Condition()
        self.states: list[State] = []
        self.n_switched = 0

    def say(self, news: State | Switched) -> None:
        with self._news:
            if isinstance(news, Switched):
                self.n_switched += 1
            else:
                self.states.append(news)
            self._news.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something was said that makes it true."""
        with self._news:
            assert self._news.wait_for(condition, TIMEOUT_S), self.states[-1:]

    def until_ready(self, times: int = 1) -> State:
        self.until(lambda: self.n_ready >= times)
        return self.states[-1]

    @property
    def n_ready(self) -> int:
        return sum(state.phase == "ready" for state in self.states)

    def until_defined(self, *expected: str) -> None:
        """Wait until the store defines exactly these names (of those that begin as `f` does)."""
        pause = threading.Event()
        with closing(Store(store_folder(self.root, index_folder()))) as store:
            index = Index(store, self.root)
            for _ in range(int(TIMEOUT_S / 0.02)):
                with index.snapshot() as found:
                    names = {name for name in NAMES if found.definitions_of(name)}
                if names == set(expected):
                    break
                pause.wait(0.02)  # the store has no way to tell
            index.close()
        assert names == set(expected)


NAMES = ("f_one", "f_two", "f_three", "f_last", "f_0", "f_399")


@contextmanager
def running(window: Window, clock: Callable[[], float] | None = None) -> Iterator[Indexer]:
    made = Indexer([window.root], window.say) if clock is None else Indexer([window.root], window.say, clock)
    thread = threading.Thread(target=made.run)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def test_saves_renames_and_branches_reach_the_store(tmp_path: Path) -> None:
    root = write(repository(tmp_path / "w"), {"a.py": "def f_one(): pass\n", ".gitignore": "out/\n"})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=one")
    git(root, "checkout", "--quiet", "-b", "many")
    write(root, {f"d{number % 9}/m{number}.py": f"def f_{number}(): pass\n" for number in range(400)})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=many")
    git(root, "checkout", "--quiet", "main")
    window = Window(root)
    with running(window):
        assert window.until_ready().n_done == 2
        window.until_defined("f_one")
        (root / "a.py.tmp").write_text("def f_two(): pass\n")
        (root / "a.py.tmp").rename(root / "a.py")
        window.until_defined("f_two")
        (root / "a.py").rename(root / "b.py")
        write(root, {"out/c.py": "def f_three(): pass\n"})
        (root / "last.py").write_text("def f_last(): pass\n")
        window.until_defined("f_two", "f_last")
        (root / "b.py").unlink()
        window.until_defined("f_last")
        assert window.n_switched == 0
        git(root, "checkout", "--quiet", "--force", "many")
        window.until_defined("f_one", "f_last", "f_0", "f_399")
        window.until(lambda: window.n_switched == 1)
        git(root, "checkout", "--quiet", "--force", "main")
        window.until_defined("f_one", "f_last")
        window.until(lambda: window.n_switched == 2)
    assert window.states[-1].trouble == ""


def test_what_is_checked_out_is_known_in_every_work_tree(tmp_path: Path) -> None:
    root = write(repository(tmp_path / "w"), {"a.py": "x = 1\n"})
    assert checked_out(tmp_path) == "" and checked_out(root) == "ref: refs/heads/main "
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=one")
    first = checked_out(root)
    git(root, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    assert first.startswith("ref: refs/heads/main ") and first.split()[2] == checked_out(tmp_path / "linked").split()[2]
    git(tmp_path / "linked", "commit", "--quiet", "--allow-empty", "--message=two")
    assert checked_out(tmp_path / "linked") != first == checked_out(root)
    git(root, "checkout", "--quiet", "--detach")
    assert checked_out(root) == f"{first.split()[2]} "


class PlayedWatch:
    """Reports what a test says; remembers what it was asked for."""

    def __init__(self) -> None:
        self.trouble = ""
        self.followed: list[list[bytes]] = []
        self.closed = False

    def follow(self, folders: Iterable[bytes]) -> str:
        self.followed.append(list(folders))
        return self.trouble

    def close(self) -> None:
        self.closed = True


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedWatch:
    found = PlayedWatch()
    monkeypatch.setattr(indexer, "watch", lambda root, hint, doubt: found)
    return found


def test_without_events_the_next_look_finds_it(tmp_path: Path, played: PlayedWatch) -> None:
    root = write(tmp_path / "w", {"a.py": "def f_one(): pass\n"})
    window, clock = Window(root), Clock()
    with running(window, clock) as made:
        window.until_ready()
        write(root, {"a.py": "def f_two(): pass\n", "sub/b.py": "def f_three(): pass\n"})
        clock.now += LOOK_S + 1
        made.hint("/somewhere/else")  # wakes it, and says nothing
        window.until_ready(2)
        window.until_defined("f_two", "f_three")
        (root / "a.py").unlink()
        made.look()
        window.until_ready(3)
        window.until_defined("f_three")
        assert [len(folders) for folders in played.followed] == [1, 2, 2]
    assert played.closed


def test_where_nothing_is_watched_it_says_so_and_looks_more_often(tmp_path: Path, played: PlayedWatch) -> None:
    played.trouble = "the system's limit"
    root = write(tmp_path / "w", {"a.py": "def f_one(): pass\n", "bad.py": b"\xff"})
    window, clock = Window(root), Clock()
    with running(window, clock) as made:
        state = window.until_ready()
        assert (state.trouble, state.n_done, state.n_skipped) == ("the system's limit", 1, 1)
        (root / "a.py").unlink()
        played.trouble = ""
        clock.now += DEGRADED_LOOK_S + 1
        made.hint("/somewhere/else")
        assert window.until_ready(2).trouble == ""
        window.until_defined()


def test_a_hint_is_one_file_read(tmp_path: Path, played: PlayedWatch) -> None:
    """Other files are not looked at."""
    root = write(tmp_path / "w", {"a.py": "def f_one(): pass\n", "b.py": ""})
    window, clock = Window(root), Clock()
    with running(window, clock) as made:
        window.until_ready()
        write(root, {"a.py": "def f_two(): pass\n", "b.py": "def f_three(): pass\n"})
        made.hint(str(root / "a.py"))
        clock.now += 1
        made.hint("/somewhere/else")
        window.until_defined("f_two")
        made.doubt(str(root / "b.py"))
        clock.now += 1
        made.hint("/somewhere/else")
        window.until_defined("f_two", "f_three")


def test_of_a_folder_that_is_gone_all_files_are(tmp_path: Path, played: PlayedWatch) -> None:
    root = write(tmp_path / "w", {"d/a.py": "def f_one(): pass\n", "b.py": "def f_two(): pass\n"})
    window = Window(root)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb") as editor, running(window) as made:
        thread = threading.Thread(target=indexer._hear, args=(pipe, made))
        thread.start()
        window.until_ready()
        shutil.rmtree(root / "d")
        frames.write(editor, Hint((str(root / "d"),)))
        window.until_ready(2)
        window.until_defined("f_two")
        editor.close()
        thread.join(TIMEOUT_S)


def test_while_another_window_scans_this_one_waits(tmp_path: Path, played: PlayedWatch) -> None:
    root = write(tmp_path / "w", {"a.py": "def f_one(): pass\n"})
    window, clock = Window(root), Clock()
    folder = store_folder(root, index_folder())
    Store(folder).close()
    with locked(folder / "scan.lock"), running(window, clock) as made:
        window.until(lambda: window.states[-1:] == [State(str(root), "waiting")])
        made.hint(str(root / "a.py"))  # a save is not a scan
        clock.now += 1
        made.hint("/somewhere/else")
        window.until_defined("f_one")
    window.states.clear()
    with running(window, clock) as made:
        window.until_ready()


def test_a_damaged_store_is_made_anew(tmp_path: Path, played: PlayedWatch) -> None:
    root = write(tmp_path / "w", {"a.py": "def f_one(): pass\n"})
    window, clock = Window(root), Clock()
    with running(window, clock) as made:
        window.until_ready()
        for path in store_folder(root, index_folder()).glob("*.sqlite*"):
            path.unlink()  # another window has given it up
        made.hint(str(root / "a.py"))
        clock.now += 1
        made.hint("/somewhere/else")
        window.until_ready(2)
        window.until_defined("f_one")


def test_a_store_that_can_not_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "file"))
    window = Window(write(tmp_path / "w", {"a.py": ""}))
    with running(window):
        window.until(lambda: bool(window.states))
    assert (window.states[-1].phase, window.states[-1].trouble) == ("failed", "Not a directory")


def test_the_program_hears_tells_and_ends_with_its_input(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": "def f_one(): pass\n"})
    command = [sys.executable, "-m", "qwen_lsp.index.indexer", str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        window = Window(root)

        def said() -> State:
            assert process.stdout is not None
            state = frames.read(process.stdout)
            assert isinstance(state, State)
            return state

        while said().phase != "ready":
            pass
        write(root, {"a.py": "def f_two(): pass\n"})
        frames.write(process.stdin, Hint((str(root / "a.py"),)))
        window.until_defined("f_two")
        frames.write(process.stdin, Look())
        while said().phase != "ready":
            pass
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0
