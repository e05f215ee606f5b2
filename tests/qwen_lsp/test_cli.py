"""The command line: usage, exit codes, what goes to stdout. No daemon runs: its commands are replaced."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_lsp import __version__, cli, doctor
from qwen_lsp.doctor import Check, Failed


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
    [["nope"], ["demo", "/nowhere"], ["doctor", "--file", "/nowhere"], ["demo", "--engine", "gpt"], ["status", "x"]],
)
def test_wrong_usage_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: qwen-lsp" in capsys.readouterr().err


def test_doctor_says_a_remedy_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "checks", lambda file: (Check("a", works, "-"), Check("b", fails, "mend it")))
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out == "ok    a: fine\nFAIL  b: broken\n      mend it\n"
    assert cli.main(["doctor", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is False
    assert shown["checks"][1] == {"name": "b", "ok": False, "detail": "broken", "fix": "mend it"}


def test_doctor_is_content(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "checks", lambda file: (Check("a", works, "-"),))
    assert cli.main(["doctor"]) == 0


def test_checks_that_need_no_daemon() -> None:
    found = {check.name: check for check in doctor.checks(None)}
    for name in ("python", "packages", "engine packages", "settings", "folder", "embedded model"):
        assert found[name].run(), name


def test_broken_settings_are_found(tmp_path: Path) -> None:
    (tmp_path / "qwen-lsp.toml").write_text("engine = 7\n")
    (check,) = [check for check in doctor.checks(None) if check.name == "settings"]
    with pytest.raises(Failed, match="engine takes"):
        check.run()


def test_doctor_loads_no_engine() -> None:
    """In a process of its own: neither an engine nor the daemon's package may be imported by looking for it."""
    code = (
        "import sys; from qwen_lsp import doctor\n"
        "for check in doctor.checks(None)[:6]: check.run()\n"
        "print(sorted({'mlx', 'mlx_lm', 'cyllama', 'inference'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (2, 1)])
def test_status_runs_the_daemons_own_command(code: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(command: list[str], timeout: float, check: bool) -> subprocess.CompletedProcess[bytes]:
        seen.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(subprocess, "run", run)
    assert cli.main(["status", "--json"]) == expected
    assert cli.main(["stop"]) == expected
    assert seen == [
        [sys.executable, "-P", "-m", "inference", "status", "--json"],
        [sys.executable, "-P", "-m", "inference", "stop"],
    ]
