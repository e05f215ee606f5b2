"""A machine broken in ten ways: each is found by the check that is about it, with what to do. No daemon is started."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_lsp import cli, doctor, windows

Break = Callable[[Path, pytest.MonkeyPatch], None]


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
    return lambda _, patch: patch.setattr(doctor, name, value)


def home_is_a_file(home: Path, patch: pytest.MonkeyPatch) -> None:
    home.rmdir()
    home.write_text("")


def python_runs_nothing(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "executable", str(home / "nowhere"))


def empty_model(home: Path, patch: pytest.MonkeyPatch) -> None:
    (home / "models").mkdir()
    settings('model = "HOME/models"')(home, patch)


BROKEN: list[tuple[str, Break, str]] = [
    ("python", patched("LEAST_PYTHON", (9, 9)), "is too old"),
    ("packages", patched("PACKAGES", ("pygls", "not_there_at_all")), "missing: not_there_at_all"),
    ("engine packages", patched("ENGINES", ("not_there_at_all",)), "none of not_there_at_all"),
    ("settings", settings("engine = 7"), "engine takes"),
    ("settings", settings("engine ="), "not valid TOML"),
    ("folder", home_is_a_file, "File exists"),
    ("embedded model", patched("find_spec", lambda name: None), "not in the package"),
    ("model", settings('model = "HOME/gone"'), "gone is not there"),
    ("model", empty_model, "holds no .safetensors and no .gguf"),
    ("machine", python_runs_nothing, "could not look at this machine"),
]


def outcome(name: str, monkeypatch: pytest.MonkeyPatch) -> doctor.Outcome:
    (chosen,) = [check for check in doctor.checks(None) if check.name == name]
    monkeypatch.setattr(doctor, "checks", lambda file: (chosen,))
    (found,) = doctor.examine(None)
    return found


@pytest.mark.parametrize(("name", "harm", "said"), BROKEN)
def test_what_is_broken_is_found_and_has_a_fix(
    name: str, harm: Break, said: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harm(home, monkeypatch)
    found = outcome(name, monkeypatch)
    assert not found.ok
    assert said in found.detail
    assert found.fix


def test_a_model_that_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "m.gguf").write_bytes(bytes(1 << 20))
    settings('model = "HOME/m.gguf"')(home, monkeypatch)
    assert outcome("model", monkeypatch).detail == f"{home / 'm.gguf'}, 0.0 GiB"


def test_the_machine_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By the real command, whose report `doctor --json` holds."""
    found = doctor.machine()
    assert found is not None
    assert found["total_bytes"] > 1 << 28 and found["n_cores"] >= 1
    monkeypatch.setattr(doctor, "machine", lambda: found)
    assert outcome("machine", monkeypatch).ok
    assert cli.main(["doctor", "--json"]) == 0
    assert '"free_disk_bytes"' in capsys.readouterr().out


def test_windows_that_are_open_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    windows.write(windows.windows_folder(), {"state": "ready"})
    assert outcome("windows", monkeypatch).detail.endswith("(ready)")
    windows.remove(windows.windows_folder())
