"""What goes into a bug report, and what must never: everything that could hold it is filled with canaries."""

import io
import json
import os
import socket
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from qwen_lsp import windows
from qwen_lsp.doctor import bundle
from qwen_lsp.doctor.chain import Outcome
from qwen_lsp.stats import read, stats_file
from tests.qwen_lsp.test_canary import CANARY, SOURCE, clean

WORD = "zebrafinch"  # of names of files, folders, models, servers and users
OUTCOMES = [
    Outcome("file", False, f"ignored (src/{WORD}/.gitignore:3: {WORD}.py)", f"edit /work/{WORD}/.gitignore"),
    Outcome("settings", False, f"/home/me/{WORD}/qwen-lsp.toml: unknown setting x", "edit ~/x"),
    Outcome("model", True, f"{WORD}-model on llama: context 2,048 tokens", ""),
    Outcome("engine", False, f"no https://{WORD}.example:8443/v1 with {CANARY}", "start it"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose name, settings, windows and logs tell everything."""
    home = tmp_path / f"{WORD} home"
    (home / "log").mkdir(parents=True)
    monkeypatch.setenv("QWEN_LSP_HOME", str(home))
    monkeypatch.setenv("USER", WORD)
    monkeypatch.setenv("LOGNAME", WORD)
    monkeypatch.setattr(socket, "gethostname", lambda: f"{WORD}-laptop")
    (home / "qwen-lsp.toml").write_text(
        f'model = "{home}/{WORD}-model.gguf"\nrefactor.checks = ["make {WORD}"]\nunknown = 1\n'
        f'[remote]\nurl = "https://{WORD}.example"\nmodel = "{WORD}"\nkey = "env:{WORD.upper()}"\n'
    )
    lines = [
        f"2026-11-26 INFO inference: loaded /srv/{WORD}/m.gguf in 3 ms",
        f"2026-11-26 ERROR connection to unix:/run/{WORD}/k.sock by {WORD} on {WORD}-laptop",
        f"2026-11-26 ERROR C:\\Users\\{WORD}\\x.py and file:///work/{WORD}/a.py and Bearer {CANARY}",
        "2026-11-26 INFO inference: job 17 typing 34 tokens 12 ms",
    ]
    (home / "log" / "k.log").write_text("\n".join(lines) + "\n" + f"{home}/x y: no such file\n")
    empty = [{"at": "12:00", "feature": "inline", "reason": f"{WORD}.py is ignored", "times": 3}]
    windows.write(
        windows.windows_folder(), {"state": "ready", "roots": [f"/work/{WORD} two"], "detail": WORD, "empty": empty}
    )
    return home


def texts_of(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name).decode() for name in found.namelist()}


def no_canary(text: str) -> None:
    clean(text)
    assert WORD not in text.lower(), text[max(0, text.lower().index(WORD) - 80) :][:200]


def test_no_source_no_names_no_keys(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bundle.zip"
    assert bundle.make(file, OUTCOMES, yes=True) == 0
    texts = texts_of(file)
    shown = capsys.readouterr().out
    for name, text in texts.items():
        no_canary(name + text)
        assert text.rstrip() in shown, "all of it was shown"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_a_bug_needs_is_in_it(home: Path, tmp_path: Path) -> None:
    texts = bundle.entries(OUTCOMES)
    about, settings = json.loads(texts["about.json"]), json.loads(texts["settings.json"])
    assert about["packages"]["pygls"] and about["python"].startswith("CPython 3.")
    assert json.loads(texts["machine.json"])["n_cores"] >= 1
    assert (settings["model"], settings["remote_url"], settings["remote_key"]) == ("<a path>.gguf", "<set>", "<set>")
    assert settings["refactor_checks"] == 1 and settings["problems"] == [
        "<ours>/qwen-lsp.toml: unknown setting unknown"
    ]
    assert json.loads(texts["checks.json"])[0] == {"name": "file", "ok": False}
    assert json.loads(texts["windows.json"]) == [{"state": "ready", "paused": None}]
    assert json.loads(texts["counts.json"]) == json.loads(json.dumps(read(stats_file()).summary()))
    log = texts["daemon-1.log"].splitlines()
    assert log[0] == "2026-11-26 INFO inference: loaded <place> in 3 ms"
    assert log[1] == "2026-11-26 ERROR connection to <place> by <user> on <host>"
    assert log[3] == "2026-11-26 INFO inference: job 17 typing 34 tokens 12 ms"
    assert json.loads(texts["daemons.json"]) == []


def test_models_that_setup_fetched_are_named(home: Path) -> None:
    folder = home / "models" / "qwen2.5-coder-7b-gguf-q8_0@0123456789ab"
    folder.mkdir(parents=True)
    (folder / "fetched.json").write_text("{}")
    (folder / "q8.gguf").write_text("")
    (home / "qwen-lsp.toml").write_text(f'model = "{folder / "q8.gguf"}"\n')
    assert json.loads(bundle.entries([])["settings.json"])["model"] == f"{folder.name}, q8.gguf"


def test_nothing_is_written_over_or_without_a_yes(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bundle.zip"
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert bundle.make(file, [], yes=False) == 1 and not file.exists()
    assert "--yes does" in capsys.readouterr().err
    file.write_text("mine")
    assert bundle.make(file, [], yes=True) == 1 and file.read_text() == "mine"
    assert "File exists" in capsys.readouterr().err


def test_after_a_real_completion(tmp_path: Path) -> None:
    """Engine, daemon and log are real ones, and have just seen the source."""
    home, file, out = tmp_path / "home", tmp_path / f"{WORD}.py", tmp_path / "bundle.zip"
    home.mkdir()
    file.write_text(SOURCE + f"\n\ndef {WORD}(x):\n    return x + ")
    environment = os.environ | {"QWEN_LSP_HOME": str(home)}
    command = [sys.executable, "-P", "-m", "qwen_lsp", "doctor", "--file", str(file), "--bundle", str(out), "--yes"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)
        assert done.returncode == 0, done.stderr
        texts = texts_of(out)
        checks = {each["name"]: each for each in json.loads(texts["checks.json"])}
        assert checks["completion"]["ok"] and "tokens of prompt" in checks["completion"]["detail"]
        assert json.loads(texts["daemons.json"])[0]["state"] == "ready" and texts["daemon-1.log"].strip()
        for text in (*texts.values(), done.stdout, done.stderr):
            no_canary(text.replace(str(out), "").replace(str(tmp_path), ""))
    finally:
        subprocess.run([sys.executable, "-P", "-m", "inference", "stop", "--all"], env=environment, check=False)
