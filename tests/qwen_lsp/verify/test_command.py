"""Commands in the copy, run for real: with the system's sandbox and without it. Faults: hangs, forks, floods."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qwen_lsp.verify import sandbox, warden
from qwen_lsp.verify.command import run
from qwen_lsp.verify.sandbox import Guard
from qwen_lsp.verify.shadow import shadowed
from qwen_lsp.verify.verdict import MIB, Check, Limits, Outcome
from tests.qwen_lsp.index.trees import repository, write
from tests.qwen_lsp.verify.conftest import NO_GUARD
from tests.qwen_lsp.verify.test_shadow import unchanged

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what leaves its process group is found on Linux only")

LIMITS = Limits(wall_s=30)


async def outcome(root: Path, guard: Guard, command: str, limits: Limits = LIMITS, folder: str = "") -> Outcome:
    with unchanged(root), shadowed(root) as shadow:
        return await run(Check(command, folder=folder), shadow, guard, limits)


def alive(mark: str) -> list[str]:
    """Command lines of processes that were told `mark`."""
    found = []
    for process in warden.processes():
        try:
            line = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        except OSError:
            continue
        if mark in line and process.pid != os.getpid():
            found.append(line)
    return found


async def until(is_so: Callable[[], bool]) -> None:
    """Other processes have no event to wait for: look again until it is so."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_command_runs_where_the_workspace_is(root: Path, guard: Guard) -> None:
    write(root, {"a.py": "x\n", "sub/b.txt": "b"})
    found = await outcome(root, guard, "cat b.txt; echo made > new; exit 3", folder="sub")
    assert (found.ended, found.code, found.tail, found.passed) == ("exit", 3, "b", False)
    found = await outcome(root, guard, "pwd; echo; echo a.py:1:1: error: seen")
    assert found.passed
    assert [finding.shown() for finding in found.findings] == ["a.py:1:1: error: seen"]
    if guard.kind == "bubblewrap":
        assert found.tail.splitlines()[0] == str(root)


async def test_a_command_that_is_not_there(root: Path, guard: Guard) -> None:
    assert (await outcome(root, guard, "no-such-command")).code == 127
    assert (await outcome(root, guard, "true", folder="nowhere")).ended == "not started"


async def test_secrets_of_the_environment_are_not_seen(
    root: Path, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "secret-value")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-value")
    monkeypatch.setenv("QWEN_LSP_HOME", os.environ["QWEN_LSP_HOME"])
    found = await outcome(root, guard, "env; echo; cat /proc/1/environ 2>/dev/null | tr '\\0' '\\n'")
    assert "secret-value" not in found.tail
    assert "QWEN_LSP_HOME" not in found.tail
    assert "CI=true" in found.tail


async def test_no_network_and_no_socket_of_the_users(
    root: Path, tmp_path: Path, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    if guard.kind == "none":
        pytest.skip("what no sandbox guards is open")
    script = "import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\nprint('connected')"
    unix = "import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect({path!r})\nprint('connected')"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as other:
        monkeypatch.chdir(tmp_path)  # a socket's path may be 108 bytes long
        other.bind("s")
        other.listen()
        write(
            root, {"tcp.py": script.format(port=server.getsockname()[1]), "unix.py": unix.format(path=f"{tmp_path}/s")}
        )
        found = await outcome(root, guard, "python3 tcp.py; python3 unix.py")
    assert "connected" not in found.tail
    assert "ConnectionRefusedError" in found.tail or "Network is unreachable" in found.tail
    assert "FileNotFoundError" in found.tail


async def test_what_writes_outside_fails(root: Path, tmp_path: Path, guard: Guard) -> None:
    if guard.kind == "none":
        pytest.skip("what no sandbox guards is open")
    write(tmp_path, {"victim.txt": "before"})
    (root / "link.txt").symlink_to(tmp_path / "victim.txt")
    write(root, {"a.py": "mine"})
    places = (
        f"{tmp_path}/victim.txt /etc/qwen /usr/qwen $HOME/../x /proc/sys/kernel/hostname {Path.home()}/qwen-was-here"
    )
    command = f"for f in {places}; do echo bad > $f && echo wrote $f; done; rm -rf {tmp_path}/* a.py; echo new > a.py"
    await outcome(root, guard, command)
    assert (tmp_path / "victim.txt").read_text() == "before"
    assert (root / "a.py").read_text() == "mine"
    assert not (Path.home() / "qwen-was-here").exists()
    assert not os.path.lexists("/etc/qwen")  # noqa: ASYNC240


async def test_the_home_is_hidden_and_dependencies_are_read_only(root: Path, guard: Guard) -> None:
    if guard.kind == "none":
        pytest.skip("what no sandbox guards is open")
    repository(root)
    write(root, {".gitignore": "node_modules\n", "node_modules/x/a.js": "x", "node_modules/.cache/old": "o"})
    found = await outcome(
        root,
        guard,
        "cat node_modules/x/a.js; echo y > node_modules/x/a.js; echo y > node_modules/.cache/new && echo cached;"
        f" ls -A {Path.home()} | grep -c bash_history; ls /run/user /var/run/docker.sock",
    )
    assert found.tail.startswith("x")
    assert "Read-only file system" in found.tail
    assert "cached" in found.tail
    assert "\n0\n" in found.tail
    assert (root / "node_modules/x/a.js").read_text() == "x"
    assert os.listdir(root / "node_modules/.cache") == ["old"]  # noqa: PTH208


async def test_without_a_sandbox_dependencies_are_linked(root: Path) -> None:
    repository(root)
    write(root, {".gitignore": "node_modules\n", "node_modules/x/a.js": "x"})
    assert (await outcome(root, NO_GUARD, "cat node_modules/x/a.js")).tail == "x"


async def test_one_that_hangs_is_killed_with_all_it_started(root: Path, guard: Guard) -> None:
    mark = "86401.125"
    command = f"(sleep {mark} &) ; setsid sleep {mark} & trap '' TERM INT; sleep {mark}"
    started = time.monotonic()
    found = await outcome(root, guard, command, Limits(wall_s=1))
    assert (found.ended, found.detail) == ("time", "more than 1 s")
    assert time.monotonic() - started < 10
    assert alive(mark) == []


async def test_what_stays_behind_after_the_end_is_killed(root: Path, guard: Guard) -> None:
    mark = "86402.125"
    found = await outcome(root, guard, f"setsid nohup sleep {mark} >/dev/null 2>&1 & sleep 0.2; echo done")
    assert (found.ended, found.tail) == ("exit", "done\n")
    assert alive(mark) == []


async def test_one_that_forks_without_end_is_killed(root: Path, guard: Guard) -> None:
    # 86403.125 seconds each, and a new one until it is stopped; the limit is far below what the machine bears.
    command = "while :; do setsid sleep 86403.125 & done"
    found = await outcome(root, guard, command, Limits(wall_s=20, processes=40))
    assert found.ended == "processes"
    assert alive("86403.125") == []


async def test_one_that_floods_is_cut(root: Path, guard: Guard) -> None:
    started = time.monotonic()
    found = await outcome(root, guard, "yes", Limits(wall_s=20, output_bytes=100_000))
    assert found.ended == "output"
    assert len(found.tail) <= 4_000
    assert time.monotonic() - started < 10


async def test_output_that_fits_is_whole(root: Path, guard: Guard) -> None:
    found = await outcome(root, guard, "head -c 300000 /dev/zero | tr '\\0' x; echo END", Limits(output_bytes=300_004))
    assert found.ended == "exit"
    assert found.tail.endswith("xEND\n")


async def test_one_that_burns_the_processor_is_killed(root: Path, guard: Guard) -> None:
    found = await outcome(root, guard, "while :; do :; done", Limits(wall_s=30, cpu_s=1))
    assert found.ended == "cpu"


async def test_one_that_takes_all_memory_is_killed(root: Path, guard: Guard) -> None:
    write(root, {"m.py": "import time\nx = b'x' * 200_000_000\ntime.sleep(60)\n"})
    found = await outcome(root, guard, "python3 m.py", Limits(wall_s=30, memory_bytes=100 * MIB))
    assert (found.ended, found.detail) == ("memory", "more than 100 MiB")


async def test_a_file_that_grows_without_end_is_stopped(root: Path, guard: Guard) -> None:
    found = await outcome(root, guard, "head -c 50M /dev/zero > big; ls -l big", Limits(file_bytes=1 * MIB))
    assert "1048576" in found.tail


async def test_writing_many_files_is_stopped(root: Path, guard: Guard) -> None:
    command = "n=0; while :; do n=$((n+1)); head -c 4M /dev/zero > f$n; done"
    found = await outcome(root, guard, command, Limits(wall_s=60, disk_bytes=64 * MIB))
    assert found.ended == "disk"


@contextmanager
def small_disk(folder: Path, n_bytes: int) -> Iterator[None]:
    """A file system of its own with so little room."""
    folder.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("mounting needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_is_full(root: Path, home: Path, guard: Guard) -> None:
    write(root, {"a.py": "x" * 1000})
    with small_disk(home / "cache", 2 * MIB):
        found = await outcome(root, guard, "head -c 8M /dev/zero > big || echo full: $?")
        assert (found.ended, "full" in found.tail) == ("exit", True)
        found = await outcome(root, guard, "true")  # what was written is gone
        assert found.passed


async def test_cancelling_kills_and_leaves_nothing(root: Path, guard: Guard) -> None:
    mark = "86404.125"
    started = asyncio.Event()

    async def work() -> None:
        with shadowed(root) as shadow:
            started.set()
            await run(Check(f"touch begun; setsid sleep {mark} & sleep {mark}"), shadow, guard, LIMITS)

    task = asyncio.create_task(work())
    await started.wait()
    async with asyncio.timeout(20):
        await until(lambda: len(alive(mark)) >= 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert alive(mark) == []


async def test_it_dies_with_whoever_asked(root: Path, guard: Guard) -> None:
    mark = "86405.125"
    script = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom qwen_lsp.verify.command import run\n"
        "from qwen_lsp.verify.sandbox import Guard\nfrom qwen_lsp.verify.shadow import shadowed\n"
        "from qwen_lsp.verify.verdict import Check, Limits\n"
        f"with shadowed(Path({str(root)!r})) as shadow:\n"
        f"    work = run(Check('setsid sleep {mark} & sleep {mark}'), shadow, Guard{vars_of(guard)}, Limits())\n"
        "    asyncio.run(work)\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script)
    async with asyncio.timeout(30):
        await until(lambda: any(line.startswith("sleep") for line in alive(mark)))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await until(lambda: not alive(mark))


def vars_of(guard: Guard) -> tuple[str, str, str]:
    return guard.kind, guard.told, guard.program


async def test_real_tools_run_in_it(root: Path, guard: Guard) -> None:
    """What a project's own checks look like, each with one mistake."""
    write(
        root,
        {"a.c": "int f(void) { return x; }\n", "t.py": "def test_x():\n    assert 1 == 2\n", "a.py": "x: int = ''\n"},
    )
    python = sys.executable
    found = await outcome(root, guard, f"{python} -m pytest -q -p no:cacheprovider t.py; {python} -m mypy a.py")
    assert {(each.path, each.line, each.is_test) for each in found.findings} == {("t.py", 2, True), ("a.py", 1, False)}
    if shutil.which("gcc"):
        found = await outcome(root, guard, "gcc -c a.c")
        assert [(each.path, each.line) for each in found.findings] == [("a.c", 1)]


async def test_cargo_builds_in_it(root: Path, guard: Guard) -> None:
    if not shutil.which("cargo"):
        pytest.skip("no Rust here")
    write(root, {"Cargo.toml": '[package]\nname = "r"\nversion = "0.1.0"\nedition = "2021"\n'})
    write(root, {"src/lib.rs": "pub fn f() -> i32 { true }\n"})
    found = await outcome(root, guard, "cargo check --offline --quiet")
    assert [(each.path, each.line, each.rule) for each in found.findings] == [("src/lib.rs", 1, "E0308")]


def test_a_system_without_a_sandbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = sandbox.guard.__wrapped__()
    assert found.kind == "none"
    assert "no sandbox" in found.told


def test_a_sandbox_that_is_refused_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, {"bwrap": "#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2; exit 1\n"})
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / "bwrap"))
    found = sandbox.guard.__wrapped__()
    assert found.kind == "none"
    assert "setting up uid map: Permission denied" in found.told


def test_the_profile_for_macos_names_the_copy(root: Path) -> None:
    with shadowed(root) as shadow:
        profile = sandbox.profile(shadow)
        assert "(deny network*)(deny file-write*)" in profile
        assert f'(allow file-write* (subpath "{shadow.tree.parent}")' in profile
        assert profile.count("(") == profile.count(")")
