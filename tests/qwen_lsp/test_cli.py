"""The command line: usage, exit codes, what goes to stdout. No daemon runs: its commands are replaced."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_lsp import __version__, cli, windows
from qwen_lsp.doctor import chain
from qwen_lsp.doctor.chain import Check
from qwen_lsp.doctor.links import Failed
from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.locks import locked
from qwen_lsp.index.reading import FileStat
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.scan import Folder, walk


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path))


def works() -> str:
    return "fine"


def fails() -> str:
    raise Failed("broken")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"qwen-lsp {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["demo", "/nowhere"],
        ["index", "/nowhere"],
        ["context", "/nowhere:1:1"],
        ["context", __file__],
        ["context", f"{__file__}:0:1"],
        ["doctor", "--file", "/nowhere"],
        ["demo", "--engine", "gpt"],
        ["status", "x"],
    ],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: qwen-lsp" in capsys.readouterr().err


def test_doctor_says_a_remedy_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chain, "checks", lambda file: (Check("a", works, "-"), Check("b", fails, "mend it")))
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out == "ok    a: fine\nFAIL  b: broken\n      mend it\n"
    assert cli.main(["doctor", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is False
    assert shown["checks"][1] == {"name": "b", "ok": False, "detail": "broken", "fix": "mend it"}


def test_doctor_is_content(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(chain, "checks", lambda file: (Check("a", works, "-"),))
    assert cli.main(["doctor"]) == 0


def test_checks_that_need_no_daemon() -> None:
    found = {check.name: check for check in chain.checks(None)}
    for name in ("python", "packages", "engine packages", "settings", "folder", "embedded model"):
        assert found[name].run(), name


def test_broken_settings_are_found(tmp_path: Path) -> None:
    (tmp_path / "qwen-lsp.toml").write_text("engine = 7\n")
    (check,) = [check for check in chain.checks(None) if check.name == "settings"]
    with pytest.raises(Failed, match="engine takes"):
        check.run()


def test_doctor_loads_no_engine() -> None:
    """In a process of its own: neither an engine nor the daemon's package may be imported by looking for it."""
    code = (
        "import sys; from qwen_lsp.doctor import chain\n"
        "for check in chain.checks(None)[:6]: check.run()\n"
        "print(sorted({'mlx', 'mlx_lm', 'cyllama', 'inference'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_file_that_does_not_count_is_told_with_its_rule_and_not_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine is not started for it either: that check fails before."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("# made\nbuild/\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "a.py").write_text("x = 1\n")
    (tmp_path / "b.py").write_text("x = 1\n")
    (told, *_, completion) = chain.checks(tmp_path / "build" / "a.py")
    for check in (told, completion):
        with pytest.raises(Failed, match=r"^ignored \(\.gitignore:2: build/\)$"):
            check.run()
    assert chain.checks(tmp_path / "b.py")[0].run() == f"counts in {tmp_path}"


def test_index_says_what_it_found_and_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "w"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("def f(): pass\n")
    (root / "sub" / "b.go").write_text("package b\nfunc g() {}\n")
    (root / ".env").write_text("KEY=1\n")
    (root / "c.py").write_bytes(b"a\0")
    assert cli.main(["index", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{root}: 2 files, 2 definitions, 0.0 MB of text;")
    assert lines[1:3] == ["languages: go 1, python 1", "left out: secret 1, binary 1"]
    assert lines[3].startswith("read 3 of 3 files, extracted 2, forgot 0; ")
    assert cli.main(["index", str(root), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["folder"], shown["n_files"], shown["is_complete"]) == (str(root), 2, True)
    assert shown["skipped"] == {"secret": 1, "binary": 1}


def test_index_leaves_a_scan_of_another_process_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w").mkdir()
    folder = store_folder(tmp_path / "w", index_folder())
    folder.mkdir(parents=True, mode=0o700)
    with locked(folder / "scan.lock"):
        assert cli.main(["index", str(tmp_path / "w")]) == 1
    assert capsys.readouterr().err == "qwen-lsp: another process is indexing this repository\n"


def test_ctrl_c_stops_an_index_that_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.py").write_text("def f(): pass\n")

    def interrupted(top: Folder) -> Iterator[FileStat | Skipped]:
        signal.raise_signal(signal.SIGINT)
        yield from walk(top)

    before = signal.getsignal(signal.SIGINT)  # a shell's background jobs start with it ignored
    monkeypatch.setattr("qwen_lsp.index.build.walk", interrupted)
    assert cli.main(["index", str(tmp_path / "w")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "stopped; the same command goes on from here"
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path))
    assert cli.main(["index", str(tmp_path / "w")]) == 0


def test_context_says_what_a_prompt_would_hold_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "w"
    (root / ".git").mkdir(parents=True)
    (root / "cart.py").write_text("class Cart:\n    def total(self): return 1\n")
    (root / "app.py").write_text("from cart import Cart\n\nprint(Cart())\n")
    assert cli.main(["context", f"{root / 'app.py'}:3:7", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["folder"], [item["name"] for item in shown["items"]]) == (str(root), ["Cart", "total"])
    assert shown["items"][0]["evidence"]["import"] == 1.0
    assert cli.main(["context", f"{root / 'app.py'}:3:7", "--tokens", "50"]) == 0
    title, *rows = capsys.readouterr().out.splitlines()
    assert title.startswith(f"2 symbols of 1 files of {root}, about ") and title.endswith(" of 50 tokens")
    assert len(rows) == 2 and "Cart" in rows[0] and "import 1.00" in rows[0]


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 1)])
def test_status_runs_the_daemons_own_command(code: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, code, '[{"pid": 7}]')

    monkeypatch.setattr(subprocess, "run", run)
    assert cli.main(["status", "--json"]) == expected
    assert cli.main(["status", "--web"]) == expected
    assert cli.main(["stop"]) == expected
    assert seen == [
        [sys.executable, "-P", "-m", "inference", "status", "--json"],
        [sys.executable, "-P", "-m", "inference", "status", "--web"],
        [sys.executable, "-P", "-m", "inference", "stop"],
    ]


def test_status_shows_why_the_windows_are_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = subprocess.CompletedProcess([], 0, "[]")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    folder = windows.windows_folder()
    answer = {"at": "12:00", "feature": "inline", "reason": "paused", "times": 3}
    windows.write(folder, {"roots": ["/w"], "state": "ready", "paused": True, "empty": [answer]})
    assert (folder / f"{os.getpid()}.json").stat().st_mode & 0o777 == 0o600
    (folder / "999999999.json").write_text("{}")  # no process has this number
    (folder / "1.json").write_text("no JSON")
    assert cli.main(["status"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == [f"window {os.getpid()}  /w  engine ready  paused", "  12:00  inline: paused (3 times)"]
    assert cli.main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["daemons"] == [] and [window["pid"] for window in found["windows"]] == [os.getpid()]
    assert not (folder / "999999999.json").exists()
    windows.remove(folder)
    assert windows.read(folder) == []


@pytest.mark.parametrize("command", [["trust", "."], ["trust", "--list"]])
def test_a_reader_that_has_read_enough_is_no_error_to_tell(command: list[str]) -> None:
    """As behind `| head`: the pipe is closed before the first line."""
    reads, writes = os.pipe()
    os.close(reads)
    full = [sys.executable, "-m", "qwen_lsp", *command]
    done = subprocess.run(full, stdout=writes, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    os.close(writes)
    assert (done.returncode, done.stderr) == (1, "")
