"""`qwen-lsp eval` as a user runs it: a real daemon that says what it is told, a server that is typed into, real kills.

The answers are scripted: they prove the machinery and say nothing of a model.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_lsp.eval.results import FILE_NAME
from qwen_lsp.eval.run import FIGURES, PAGE
from qwen_lsp.eval.scratch import PREFIX
from tests.e2e.daemons import Daemons
from tests.qwen_lsp.eval.repositories import Tree, repository

BODY = "def function_{0}(argument):\n    value = compute(argument, {0})\n    return value + {0}\n\n\n"
TREES: list[Tree] = [{"a.py": "import os\n"}]
TREES += [
    {"a.py": "import os\n\n\n" + "".join(BODY.format(n) for n in range(k)), f"b{k}.py": f"value = {k}\n"}
    for k in range(1, 9)
]
TREES += [{f"{name}.py": f"{name} = 1\n"} for name in ("one", "two", "ten", "six")]  # few keys: they take real time
ANSWER_S = 180
COST = ("ms", "slow_ms", "reused", "evaluated", "all_evaluated", "prompt")  # of a run, not of its answers


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("past") / "shop", TREES)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory, past: Path) -> list[str]:
    path = tmp_path_factory.mktemp("answers") / "answers.json"
    path.write_text(json.dumps([{"when": ["<|fim_middle|>"], "say": " value + 1\n"}]))
    return [str(past), "--engine", "scripted", "--model", str(path), "--holes", "5", "--keys", "12"]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "qwen_lsp", "eval", *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=ANSWER_S, check=False)


def stopped(sign: signal.Signals, out: Path, *arguments: str) -> tuple[int, str]:
    """A run that gets a signal once it has some answers; its exit code, and what it said."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(out, 5, process)
    process.send_signal(sign)
    _, said = process.communicate(timeout=ANSWER_S)
    return process.returncode, said


def wait_for(out: Path, n_lines: int, process: "subprocess.Popen[str]") -> None:
    """Until so many answers are kept, with the line before them."""
    kept, deadline = out / FILE_NAME, time.monotonic() + ANSWER_S
    while not kept.exists() or kept.read_bytes().count(b"\n") < n_lines:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)  # looking, not hoping: the file is there before the next answer is asked


def figures(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / FIGURES).read_text())
    return found


def scores(out: Path) -> Any:
    """What must repeat."""
    summary = figures(out)["summary"]
    rows = [*summary["everything"], *(row for kind in summary["by_kind"].values() for row in kind)]
    return [{key: value for key, value in row.items() if key not in COST} for row in rows]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where runs have their scratch folders; nobody else's are there."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob(f"{PREFIX}*"))


def test_a_killed_run_goes_on_and_says_the_same(
    daemons: Daemons, options: list[str], tmp_path: Path, temporary: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = run(*options, "--out", str(whole), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["summary"]["everything"][0]["n"] >= 12 and told["typing"]["keys"] >= 8
    assert told["typing"]["evaluated"] is not None and told["about"]["engine"] == "scripted"

    code, _ = stopped(signal.SIGKILL, killed, *options, "--out", str(killed))
    assert code == -signal.SIGKILL and not (killed / PAGE).exists()
    assert left_in(temporary), "nothing can tidy up after that but the next run"
    before = (killed / FILE_NAME).read_bytes()
    (killed / FILE_NAME).write_bytes(before + b'{"hole": "cut off')
    again = run(*options, "--out", str(killed))
    assert again.returncode == 0, again.stderr
    assert (killed / FILE_NAME).read_bytes().startswith(before), "what was answered is not asked again"
    assert scores(killed) == scores(whole)
    assert figures(killed)["about"] == figures(whole)["about"]
    held = run(*options, "--out", str(killed), "--against", str(whole))
    assert held.returncode == 0 and "100% the same" in held.stdout
    assert not left_in(temporary)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_tidies_up_and_can_be_gone_on_from(
    daemons: Daemons, options: list[str], tmp_path: Path, temporary: Path, sign: signal.Signals
) -> None:
    out = tmp_path / "out"
    code, said = stopped(sign, out, *options, "--out", str(out))
    assert code == 1 and f"the same command goes on in {out}" in said and "Traceback" not in said
    assert not left_in(temporary)
    assert run(*options, "--out", str(out)).returncode == 0


def test_an_engine_that_dies_is_started_again_and_no_answer_is_lost(
    daemons: Daemons, options: list[str], tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(*options, "--out", str(whole)).returncode == 0
    process = subprocess.Popen(command(*options, "--out", str(out)), stderr=subprocess.PIPE, text=True)
    for n_lines in (4, 12):
        wait_for(out, n_lines, process)
        for each in daemons.running():
            os.kill(each["pid"], signal.SIGKILL)
    _, said = process.communicate(timeout=ANSWER_S)
    assert process.returncode == 0, said
    assert scores(out) == scores(whole)


def test_the_users_counts_hear_nothing_of_it(daemons: Daemons, options: list[str], tmp_path: Path) -> None:
    assert run(*options, "--out", str(tmp_path / "out")).returncode == 0
    assert not (daemons.home / "stats.json").exists() and not (daemons.home / "cache" / "index").exists()


TOKEN = "0123456789abcdef" * 3


@pytest.fixture
def server(options: list[str]) -> Iterator[str]:
    """A server that the user would name: the same answers, on a port, behind a key. Its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="q-") as folder:
        key = Path(folder, "key")
        key.write_text(TOKEN)
        key.chmod(0o600)
        given = [*options[1:5], "--tcp", str(port), "--token-file", str(key)]
        command = [sys.executable, "-m", "inference", "serve", *given]
        environ = os.environ | {"QWEN_LSP_HOME": folder}
        with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                assert any(f":{port}, with a token" in line for line in process.stderr), "it ended"
                yield f"http://127.0.0.1:{port}/v1"
            finally:
                process.terminate()


def test_a_server_of_the_users_scores_as_the_daemon_does(
    daemons: Daemons, options: list[str], server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", TOKEN)
    local, remote, settings = tmp_path / "local", tmp_path / "remote", daemons.home / "qwen-lsp.toml"
    assert run(*options, "--keys", "0", "--out", str(local)).returncode == 0
    settings.write_text('remote.key = "env:THE_KEY"\n')
    try:
        asked = [options[0], "--engine", "openai", "--url", server, *options[5:], "--keys", "0"]
        done = run(*asked, "--out", str(remote), "--against", str(local))
    finally:
        settings.unlink()
    assert done.returncode == 0 and "100% the same" in done.stdout, done.stderr
    assert figures(remote)["about"]["engine"] == f"openai at {server}" and scores(remote) == scores(local)
    assert figures(remote)["summary"]["everything"][0]["evaluated"] > 0


def test_what_can_not_be_done_is_told_in_a_line(daemons: Daemons, options: list[str], tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"))
    for wrong, told in (
        ([str(tmp_path), *options[1:]], "not a git repository"),
        ([*options, "--since", "2030-01-01"], "no commit newer than '2030-01-01'"),
        ([options[0], "--engine", "openai", "--url", "http://localhost:9"], "did not answer|broke"),
    ):
        done = run(*wrong, *out)
        assert done.returncode == 1 and len(done.stderr.strip().splitlines()) <= 2, done.stderr
        assert any(each in done.stderr for each in told.split("|")), done.stderr
