"""A machine broken in many ways: each is found by the check that is about it, and told in one line with what to do."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from qwen_lsp import cli, windows
from qwen_lsp.doctor import chain, links
from qwen_lsp.index.database import index_folder
from qwen_lsp.index.store import Store

Break = Callable[[Path, pytest.MonkeyPatch], None]
EMBEDDED = Path(links.__file__).parents[2] / "inference" / "models" / "embedded"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def settings(text: str) -> Break:
    def harm(home: Path, _: pytest.MonkeyPatch) -> None:
        (home / "qwen-lsp.toml").write_text(text.replace("HOME", str(home)))

    return harm


def patched(name: str, value: object) -> Break:
    return lambda _, patch: patch.setattr(links, name, value)


def home_is_a_file(home: Path, patch: pytest.MonkeyPatch) -> None:
    home.rmdir()
    home.write_text("")


def python_runs_nothing(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "executable", str(home / "nowhere"))


def empty_model(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "models").mkdir()
    settings('engine = "llama"\nmodel = "HOME/models"')(home, patch)


def engine_that_does_not_import(home: Path, patch: pytest.MonkeyPatch) -> None:
    package = home / "broken" / "cyllama"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    patch.setenv("PYTHONPATH", str(package.parent))
    settings('engine = "llama"')(home, patch)


def cut_model(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "m.gguf").write_bytes((EMBEDDED / "model.gguf").read_bytes()[:-1000])
    settings('engine = "llama"\nmodel = "HOME/m.gguf"')(home, patch)


def model_without_a_key(home: Path, patch: pytest.MonkeyPatch) -> None:
    folder = home / "models" / "mine"
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "model.safetensors"):
        (folder / name).symlink_to(EMBEDDED / name)
    config = json.loads((EMBEDDED / "config.json").read_text())
    del config["num_experts_per_tok"]
    (folder / "config.json").write_text(json.dumps(config))
    settings('engine = "mlx"\nmodel = "HOME/models/mine"')(home, patch)


def model_that_lost_a_file(home: Path, patch: pytest.MonkeyPatch) -> None:
    folder = home / "models" / "mine"
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).symlink_to(EMBEDDED / name)
    file = {"name": "chat_template.jinja", "n_bytes": 462, "sha256": None, "git_sha1": None}
    (folder / "fetched.json").write_text(json.dumps({"files": [file]}))
    settings('engine = "mlx"\nmodel = "HOME/models/mine"')(home, patch)


def damaged_index(home: Path, patch: pytest.MonkeyPatch) -> None:
    folder = index_folder() / "0123"
    with closing(Store(folder)):
        pass
    (path,) = folder.glob("*.sqlite")
    octets = bytearray(path.read_bytes())
    octets[4096:] = b"\xff" * len(octets[4096:])
    path.write_bytes(octets)


def no_database(home: Path, patch: pytest.MonkeyPatch) -> None:
    folder = index_folder() / "0123"
    folder.mkdir(parents=True)
    (folder / "1-1.sqlite").write_text("this is no database, whatever its name says" * 100)


def full_disk(home: Path, patch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home)
    patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5 << 20))


def runtime_folder_is_a_link(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").mkdir()
    (home / "run").symlink_to(home / "elsewhere")
    settings('engine = "scripted"')(home, patch)


BROKEN: list[tuple[str, Break, str, str]] = [
    ("python", patched("LEAST_PYTHON", (9, 9)), "is too old", "install Python 3.12"),
    ("packages", patched("PACKAGES", ("pygls", "not_there")), "missing: not_there", "scripts/install"),
    ("engine packages", patched("ENGINES", ("not_there",)), "none of not_there", "install `cyllama`"),
    ("settings", settings("engine = 7"), "engine takes", "qwen-lsp.toml"),
    ("settings", settings("engine ="), "not valid TOML", "qwen-lsp.toml"),
    ("settings", settings("modle = 'x'"), "unknown setting modle", "qwen-lsp.toml"),
    ("folder", home_is_a_file, "File exists", "QWEN_LSP_HOME"),
    ("folder", full_disk, "has 5 MiB free", "make room"),
    ("embedded model", patched("find_spec", lambda name: None), "not in the package", "scripts/install"),
    ("model", settings('model = "HOME/gone"'), "there is no model", "qwen-lsp setup"),
    ("model", empty_model, "has 0 .gguf files", "qwen-lsp setup"),
    ("model", engine_that_does_not_import, "libcuda.so.1: cannot open", "name another"),
    ("model", cut_model, "m.gguf should have at least", "qwen-lsp setup"),
    ("model", model_without_a_key, "num_experts_per_tok must be a positive whole number", "qwen-lsp setup"),
    ("model", model_that_lost_a_file, "chat_template.jinja is missing", "qwen-lsp setup"),
    ("machine", python_runs_nothing, "could not look at this machine", "inference hardware"),
    ("index", damaged_index, "is damaged", "made anew"),
    ("index", no_database, "is damaged", "made anew"),
    ("engine", runtime_folder_is_a_link, "is not a folder of its own (a link or a file): remove it", "inference start"),
    ("engine", settings('engine = "openai"'), "remote.url names no server", "remote.url"),
    ("engine", settings('engine = "openai"\nremote.url = "http://127.0.0.1:9"'), "broke (ConnectError)", "that server"),
]


def outcome(name: str, monkeypatch: pytest.MonkeyPatch) -> chain.Outcome:
    (chosen,) = [check for check in chain.checks(None) if check.name == name]
    with monkeypatch.context() as patch:
        patch.setattr(chain, "checks", lambda file: (chosen,))
        (found,) = chain.examine(None)
    return found


@pytest.mark.parametrize(("name", "harm", "said", "fix"), BROKEN)
def test_what_is_broken_is_found_and_has_a_fix(
    name: str, harm: Break, said: str, fix: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm(home, monkeypatch)
    found = outcome(name, monkeypatch)
    assert not found.ok
    assert said in found.detail and "\n" not in found.detail
    assert fix in found.fix
    assert found.line() == f"FAIL  {name}: {found.detail}\n      {found.fix}"


@pytest.fixture
def silent(home: Path) -> Iterator[int]:
    """Somebody holds a daemon's socket and says nothing."""
    (home / "run").mkdir(mode=0o700)
    place = home / "run" / "k.sock"
    named = {"pid": os.getpid(), "socket": str(place), "address": f"unix:{place}", "engine": "llama", "model": "m"}
    record = {**named, "n_ctx": None, "build": "b", "started": 1.0, "uid": os.getuid(), "version": "0"}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen()
        fields = _fields_of_a_record()
        (home / "run" / "k.json").write_text(json.dumps({name: record.get(name) for name in fields}))
        yield os.getpid()


def _fields_of_a_record() -> list[str]:
    code = "import dataclasses, json; from inference.lifecycle.places import Record as R"
    told = "print(json.dumps([f.name for f in dataclasses.fields(R)]))"
    done = subprocess.run([sys.executable, "-c", f"{code}; {told}"], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_daemon_that_does_not_answer(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outcome("daemons", monkeypatch)
    assert (found.ok, found.detail) == (False, f"pid {silent} is not answering") and "qwen-lsp stop" in found.fix


def test_a_dead_daemon_s_socket_is_nobody_s_trouble(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed -9, it leaves socket, record and lock: the next start clears them away."""
    settings('engine = "scripted"\nidle_exit_s = 60')(home, monkeypatch)
    try:
        assert "answers" in links.engine()
        (first,) = json.loads(links.inference("status", "--json"))
        os.kill(first["pid"], signal.SIGKILL)
        assert Path(first["address"].removeprefix("unix:")).exists()
        assert links.daemons() == "none runs yet" or f"pid {first['pid']}" not in links.daemons()
        assert "answers" in links.engine()
        (second,) = json.loads(links.inference("status", "--json"))
        assert second["pid"] != first["pid"] and links.daemons() == f"pid {second['pid']} (scripted, ready)"
    finally:
        links.inference("stop", "--all")


def test_a_runtime_folder_that_others_can_read_is_closed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings('engine = "scripted"')(home, monkeypatch)
    (home / "run").mkdir()
    (home / "run").chmod(0o777)
    try:
        assert "answers" in links.engine()
        assert (home / "run").stat().st_mode & 0o777 == 0o700
    finally:
        links.inference("stop", "--all")


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ([{"when": ["add(a, b)"], "say": " a + b"}], 'ok    layout: the model fills a hole in the layout "joint"'),
        (
            [{"when": ["<|fim_middle|>"], "say": "Sure, I can"}, {"when": ["add(a, b)"], "say": " a + b"}],
            'FAIL  layout: layout "joint": the model answers with talk or Markdown, '
            'so completion.layout is "chat" here',
        ),
    ],
)
def test_a_model_that_talks(says: list[object], said: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "says.json").write_text(json.dumps(says))
    settings('engine = "scripted"\nmodel = "HOME/says.json"')(home, monkeypatch)
    try:
        assert outcome("layout", monkeypatch).line().partition("\n")[0] == said
    finally:
        links.inference("stop", "--all")


def test_a_model_that_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(EMBEDDED / "model.gguf", home / "m.gguf")
    settings('engine = "llama"\nmodel = "HOME/m.gguf"\nctx = 2048')(home, monkeypatch)
    assert outcome("model", monkeypatch).detail.startswith("m on llama: context 2,048 tokens; weights 9 MiB")


def test_an_index_that_is_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(index_folder() / "0123")):
        assert outcome("index", monkeypatch).detail.startswith("1 repositories")
    with closing(sqlite3.connect(next(index_folder().glob("*/*.sqlite")))) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)


def test_the_machine_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By the real command, whose report `doctor --json` holds."""
    found = links.machine()
    assert found is not None
    assert found["total_bytes"] > 1 << 28 and found["n_cores"] >= 1
    (chosen,) = [check for check in chain.checks(None) if check.name == "machine"]
    monkeypatch.setattr(chain, "checks", lambda file: (chosen,))
    assert cli.main(["doctor", "--json"]) == 0
    assert '"free_disk_bytes"' in capsys.readouterr().out


def test_windows_that_are_open_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome("windows", monkeypatch).detail.endswith("was here: never")
    windows.write(windows.windows_folder(), {"state": "ready"})
    assert outcome("windows", monkeypatch).detail.endswith("(ready)")
    windows.remove(windows.windows_folder())
