"""Scans of real folders: what they leave in the store, what they do not do twice, and how they may end early."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from qwen_lsp.index import build as building
from qwen_lsp.index import workers
from qwen_lsp.index.build import Progress, Report, build, compare, update
from qwen_lsp.index.locks import Taken, locked
from qwen_lsp.index.scan import Folder, opened
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import Store
from qwen_lsp.index.workers import done_here
from tests.qwen_lsp.index.test_store import parts
from tests.qwen_lsp.index.trees import git, repository, write

REPOSITORY = Path(__file__).parents[3]


def scan(
    store: Store,
    root: Path,
    *,
    progress: Callable[[Progress], None] = lambda at: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Report:
    return build(store, root, n_workers=2, idle=False, progress=progress, cancelled=cancelled)


def defining(store: Store, root: Path, name: str) -> list[str]:
    index = Index(store, root)
    with index.snapshot() as found:
        paths = [each.path for each in found.definitions_of(name)]
    index.close()
    return paths


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small trees go to the processes too, in small jobs."""
    monkeypatch.setattr(building, "IN_PROCESS_BYTES", 0)
    monkeypatch.setattr(building, "BYTES_PER_WORKER", 1)
    monkeypatch.setattr(workers, "BATCH_FILES", 3)


def test_a_scan_stores_what_counts(tmp_path: Path) -> None:
    root = write(
        tmp_path / "w", {"a.py": "def f(): pass\n", "b/c.rs": "fn g() {}\n", "tool": "#!/bin/sh\nh() { :; }\n"}
    )
    write(root, {"x.png": "not read", "bin.py": b"a\0", ".env": "", "notes": "words only\n"})
    store = Store(tmp_path / "s")
    seen: list[Progress] = []
    report = scan(store, root, progress=seen.append)
    assert report.is_complete
    assert (report.n_walked, report.n_read, report.n_extracted, report.n_removed) == (5, 5, 4, 0)
    assert dict(report.skipped) == {"data": 1, "secret": 1}
    totals = store.totals(store.root_id(root))
    assert dict(totals.languages) == {"python": 1, "rust": 1, "shellscript": 1, "": 1}
    assert dict(totals.skipped) == {"binary": 1}
    assert [defining(store, root, name) for name in "fgh"] == [["a.py"], ["b/c.rs"], ["tool"]]
    assert (seen[0], seen[-1]) == (Progress(0, 0), Progress(5, 5))
    store.close()


def test_processes_find_the_same_as_this_one(tmp_path: Path, parallel: None) -> None:
    files = {f"d{number % 7}/f{number}.py": f"def f{number}(): return shared({number})\n" for number in range(60)}
    root = write(tmp_path / "w", {**files, "bad.py": b"\xff\n", "same.py": files["d0/f0.py"]})
    store, alone = Store(tmp_path / "s"), Store(tmp_path / "t")
    assert scan(store, root).is_complete
    update(alone, root, top(root), [*files, "bad.py", "same.py"])
    assert store.totals(store.root_id(root)).languages == alone.totals(alone.root_id(root)).languages
    assert defining(store, root, "f0") == defining(alone, root, "f0") == ["d0/f0.py", "same.py"]
    assert defining(store, root, "f59") == ["d3/f59.py"]
    for each in (store, alone):
        each.close()


def top(root: Path) -> Folder:
    found = opened(root)
    assert isinstance(found, Folder)
    return found


def test_a_second_scan_reads_only_what_changed(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": "def a(): pass\n", "b.py": "def b(): pass\n", "c.py": "def c(): pass\n"})
    store = Store(tmp_path / "s")
    scan(store, root)
    before = store.path.stat().st_mtime_ns, (store.path.with_name(store.path.name + "-wal")).stat().st_mtime_ns
    again = scan(store, root)
    assert (again.n_walked, again.n_read, again.n_removed) == (3, 0, 0)
    assert before == (store.path.stat().st_mtime_ns, store.path.with_name(store.path.name + "-wal").stat().st_mtime_ns)
    write(root, {"b.py": "def b2(): pass\n", "d.py": "def d(): pass\n"})
    (root / "c.py").unlink()
    (root / "a.py").touch()  # the same bytes: read, not extracted
    third = scan(store, root)
    assert (third.n_read, third.n_extracted, third.n_removed) == (3, 2, 1)
    found = [defining(store, root, name) for name in ("a", "b", "b2", "c", "d")]
    assert found == [["a.py"], [], ["b.py"], [], ["d.py"]]
    store.close()


def test_after_many_files_a_look_up_asks_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "WRITTEN_AT_ONCE", 4)
    monkeypatch.setattr(workers, "BATCH_FILES", 4)
    root = write(tmp_path / "w", {f"f{number}.py": f"def f{number}(): pass\n" for number in range(12)})
    store = Store(tmp_path / "s")
    assert scan(store, root).n_extracted == 12
    assert parts(store) == 1
    write(root, {"f0.py": "def changed(): pass\n"})
    scan(store, root)
    assert parts(store) == 2  # not worth writing all of it again
    store.close()


def test_what_is_ignored_from_now_on_is_gone(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": "def a(): pass\n", "b/b.py": "def b(): pass\n"})
    store = Store(tmp_path / "s")
    scan(store, root)
    write(root, {".qwenignore": "b/\n"})
    assert scan(store, root).n_removed == 1
    assert defining(store, root, "b") == []
    store.close()


def test_another_branch_is_extracted_once(tmp_path: Path) -> None:
    """Also in another work tree, and on the way back."""
    root = write(repository(tmp_path / "w"), {"a.py": "def a(): pass\n", "b.py": "def b(): pass\n"})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=one")
    store = Store(tmp_path / "s")
    assert scan(store, root).n_extracted == 2
    git(root, "checkout", "--quiet", "-b", "other")
    write(root, {"b.py": "def changed(): pass\n"})
    git(root, "commit", "--quiet", "--all", "--message=two")
    assert scan(store, root).n_extracted == 1
    git(root, "checkout", "--quiet", "main")
    assert scan(store, root).n_extracted == 0
    git(root, "worktree", "add", "--quiet", str(tmp_path / "tree"), "other")
    there = scan(store, tmp_path / "tree")
    assert (there.n_read, there.n_extracted) == (2, 0)
    assert defining(store, root, "b") == defining(store, tmp_path / "tree", "changed") == ["b.py"]
    store.close()


def test_a_file_of_this_moment_is_looked_at_again(tmp_path: Path) -> None:
    """It may change within the clock's tick, with the same size."""
    root = write(tmp_path / "w", {"old.py": "def a(): pass\n"})
    (root / "new.py").write_text("def b(): pass\n")
    store = Store(tmp_path / "s")
    scan(store, root)
    assert [file.path for file in compare(store, root, lambda: False).changed] == ["new.py"]
    store.close()


def test_saved_made_and_removed_files(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": "def a(): pass\n", "b.py": "def b(): pass\n", ".gitignore": "*.x\n"})
    store = Store(tmp_path / "s")
    scan(store, root)
    write(root, {"a.py": "def a2(): pass\n", "sub/new.py": "def new(): pass\n", "c.x": "def c(): pass\n"})
    write(root, {".env": "KEY=1\n", "table.csv": "a,b\n"})
    (root / "b.py").unlink()
    update(
        store, root, top(root), ["a.py", "b.py", "sub/new.py", "c.x", ".env", "table.csv", "never.py", "caf\udce9.py"]
    )
    assert sorted(store.files(store.root_id(root))) == [".gitignore", "a.py", "sub/new.py"]
    assert [defining(store, root, name) for name in ("a", "a2", "b", "new")] == [[], ["a.py"], [], ["sub/new.py"]]
    store.close()


def test_a_cancelled_scan_goes_on_later(tmp_path: Path, parallel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "WRITTEN_AT_ONCE", 1)
    root = write(tmp_path / "w", {f"f{number:02}.py": f"def f{number}(): pass\n" for number in range(60)})
    store = Store(tmp_path / "s")
    done: list[Progress] = []
    first = scan(store, root, progress=done.append, cancelled=lambda: bool(done) and done[-1].n_done > 5)
    assert not first.is_complete
    assert 5 < first.n_extracted < 60
    second = scan(store, root)
    assert second.is_complete
    assert first.n_extracted + second.n_extracted == 60
    assert defining(store, root, "f59") == ["f59.py"]
    store.close()


def test_a_scan_cancelled_while_looking_forgets_nothing(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {f"f{number}.py": f"def f{number}(): pass\n" for number in range(9)})
    store = Store(tmp_path / "s")
    scan(store, root)
    assert not scan(store, root, cancelled=lambda: True).is_complete
    assert len(store.files(store.root_id(root))) == 9
    store.close()


def test_one_scan_at_a_time_and_saves_in_between(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {"a.py": "def a(): pass\n"})
    store, other = Store(tmp_path / "s"), Store(tmp_path / "s")

    def meanwhile(at: Progress) -> None:
        with pytest.raises(Taken):
            scan(other, root)
        write(root, {"a.py": "def saved(): pass\n"})
        update(other, root, top(root), ["a.py"])
        assert defining(other, root, "saved") == ["a.py"]

    assert scan(store, root, progress=meanwhile).is_complete
    assert defining(store, root, "saved") == ["a.py"]
    for each in (store, other):
        each.close()


def test_no_more_room_ends_the_scan_with_a_word(tmp_path: Path) -> None:
    text = "".join(f"def f{number}(): pass\n" for number in range(3000))
    root = write(tmp_path / "w", {f"{number}.py": f"# {number}\n{text}" for number in range(3)})
    store = Store(tmp_path / "s", max_bytes=100_000)
    report = scan(store, root)
    assert report.is_full
    assert not report.is_complete
    store.close()


def test_a_database_that_breaks_during_a_scan_is_made_anew(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {f"f{number}.py": f"def f{number}(): pass\n" for number in range(50)})
    store = Store(tmp_path / "s")
    scan(store, root)
    store.close()
    store = Store(tmp_path / "s")
    size = store.path.stat().st_size
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    write(root, {"new.py": "def new(): pass\n"})
    assert scan(store, root).n_extracted == 51
    assert defining(store, root, "new") == ["new.py"]
    store.close()


KILLS = """
import os, pathlib, signal
from qwen_lsp.index import workers
workers._begin(pathlib.Path({database!r}), {place!r}, False)
really = workers.matched
def matched(file, language, parse):
    if b"poison" in file.data:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(file, language, parse)
workers.matched = matched
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_file_that_kills_the_parser_is_remembered_and_costs_nothing_else(
    tmp_path: Path, parallel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fragile(workers.Pool):
        def _started(self, n_workers: int) -> ProcessPoolExecutor:
            database, place, _ = self._arguments
            code = KILLS.format(database=str(database), place=place)
            return ProcessPoolExecutor(n_workers, get_context("spawn"), exec, (code, {}))

    monkeypatch.setattr(building, "Pool", Fragile)
    root = write(tmp_path / "w", {f"f{number}.py": f"def f{number}(): pass\n" for number in range(9)})
    write(root, {"bad.py": "poison = 1\n"})
    store = Store(tmp_path / "s")
    report = scan(store, root)
    assert report.is_complete
    assert (report.n_read, report.n_extracted) == (10, 9)
    assert dict(store.totals(store.root_id(root)).skipped) == {"crash": 1}
    assert compare(store, root, lambda: False).changed == []  # not tried at each start
    store.close()


def test_where_no_process_lives_no_file_is_blamed(
    tmp_path: Path, parallel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without room for more processes, say: the files would look broken until they are changed."""

    class Stillborn(workers.Pool):
        def _started(self, n_workers: int) -> ProcessPoolExecutor:
            return ProcessPoolExecutor(n_workers, get_context("spawn"), exec, ("import os; os._exit(1)", {}))

    root = write(tmp_path / "w", {f"f{number}.py": f"def f{number}(): pass\n" for number in range(9)})
    store = Store(tmp_path / "s")
    with monkeypatch.context() as patched, pytest.raises(OSError, match="end at once"):
        patched.setattr(building, "Pool", Stillborn)
        scan(store, root)
    assert dict(store.totals(store.root_id(root)).skipped) == {}
    assert scan(store, root).n_extracted == 9
    store.close()


def test_what_a_job_made_is_gone_before_garbage_is_looked_for(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {f"{n}.py": "".join(f"def f{n}_{at}(): pass\n" for at in range(99)) for n in range(9)})
    store = Store(tmp_path / "s")
    files = compare(store, root, lambda: False).changed
    n_young: list[int] = []

    def look(phase: str, _: dict[str, int]) -> None:
        n_young.append(len(gc.get_objects(generation=0)) if phase == "start" else 0)

    gc.collect()
    gc.callbacks.append(look)
    try:
        done = done_here(store.has, bytes(root) + b"/", files)
    finally:
        gc.callbacks.remove(look)
    assert len(done.rows) == len(files) == 9 and max(n_young, default=0) < 500, n_young  # 99 definitions each
    store.close()


@pytest.mark.parametrize(
    ("n_bytes", "most", "n_workers"), [(0, 8, 1), (3_999_999, 8, 1), (4_000_000, 8, 2), (1 << 30, 8, 8)]
)
def test_a_small_tree_is_not_worth_many_processes(n_bytes: int, most: int, n_workers: int) -> None:
    assert building.workers_for(n_bytes, most) == n_workers


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux names it")
def test_idle_is_the_systems_lowest() -> None:
    code = (
        "import os; from qwen_lsp.index.workers import yield_to_others; yield_to_others()\n"
        "print(os.sched_getscheduler(0) == os.SCHED_IDLE)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "True\n"


CHILD = """
import sys
from pathlib import Path
from qwen_lsp.index import build as building, workers
from qwen_lsp.index.locks import Taken
from qwen_lsp.index.store import Store

building.IN_PROCESS_BYTES, building.BYTES_PER_WORKER = 0, 1
building.WRITTEN_AT_ONCE, workers.BATCH_FILES = 1, 3
root, folder, holds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "holds"

def progress(at):
    if holds and at.n_done >= 12:
        print(at.n_done, flush=True)
        sys.stdin.read()

def main():
    print("ready", flush=True)
    sys.stdin.readline()
    store = Store(folder)
    n_extracted, taken = 0, 0
    while True:
        try:
            report = building.build(store, root, n_workers=2, idle=False, progress=progress, cancelled=lambda: False)
            n_extracted += report.n_extracted
            break
        except Taken:
            taken += 1
    print(n_extracted, flush=True)

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    (tmp_path / "child.py").write_text(CHILD)

    def start(root: Path, folder: Path, mode: str = "runs") -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "child.py"), str(root), str(folder), mode]
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True, env=environ)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    return start


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_kill_in_the_middle_of_a_scan(tmp_path: Path, child: Callable[..., subprocess.Popen[str]]) -> None:
    """What was written stays, the lock is free, no worker lives on, and the next scan goes on from there."""
    root = write(tmp_path / "w", {f"f{number:02}.py": f"def f{number}(): pass\n" for number in range(60)})
    with child(root, tmp_path / "s", "holds") as process:
        go(process)
        assert process.stdout is not None
        assert int(process.stdout.readline()) >= 12
        process.kill()
        # The workers have the pipe as well: its end comes with the last of them.
        assert process.stdout.read() == ""
    store = Store(tmp_path / "s")
    kept = len(store.files(store.root_id(root)))
    assert 9 <= kept < 60  # but the batch that was under way
    report = scan(store, root)
    assert report.is_complete
    assert report.n_extracted == 60 - kept
    assert defining(store, root, "f59") == ["f59.py"]
    store.close()


def test_two_windows_index_one_workspace_at_once(tmp_path: Path, child: Callable[..., subprocess.Popen[str]]) -> None:
    root = write(tmp_path / "w", {f"f{number:02}.py": f"def f{number}(): pass\n" for number in range(60)})
    with child(root, tmp_path / "s") as one, child(root, tmp_path / "s") as two:
        go(one)
        go(two)
        assert one.stdout is not None
        assert two.stdout is not None
        assert int(one.stdout.readline()) + int(two.stdout.readline()) == 60  # nothing twice
    assert (one.returncode, two.returncode) == (0, 0)
    store = Store(tmp_path / "s")
    assert [defining(store, root, f"f{number}") for number in (0, 59)] == [["f00.py"], ["f59.py"]]
    assert len(list((tmp_path / "s").glob("*.sqlite"))) == 1
    store.close()


def test_a_lock_ends_with_its_block(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(Taken), locked(tmp_path / "lock", wait=False):
        raise AssertionError("two have it")
    with locked(tmp_path / "lock", wait=False):
        pass
