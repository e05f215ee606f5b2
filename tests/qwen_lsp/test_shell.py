"""`qwen-lsp trust`: what it prints, and that only a person's word counts."""

import json
from pathlib import Path

import pytest

from qwen_lsp import cli
from qwen_lsp.settings import Settings, parse
from qwen_lsp.verify.choose import known
from qwen_lsp.verify.trust import is_trusted
from tests.qwen_lsp.index.trees import write


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "w", {"go.mod": "module x\n"})


def test_trust_and_no_longer(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trust", str(root)]) == 0
    shown = capsys.readouterr().out
    assert shown == f"{root} is trusted; its checks may run:\n  go vet ./...   (go.mod)\n  go test ./...   (go.mod)\n"
    assert is_trusted(root)
    assert cli.main(["trust", "--list"]) == 0
    assert capsys.readouterr().out == f"{root}\n"
    assert cli.main(["trust", str(root), "--no"]) == 0
    assert not is_trusted(root)
    assert cli.main(["trust", "--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"trusted": []}


def test_trust_for_programs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["trust", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "folder": str(root),
        "trusted": True,
        "checks": [{"command": "go vet ./...", "why": "go.mod"}, {"command": "go test ./...", "why": "go.mod"}],
    }


def test_a_list_that_can_not_be_written_is_1(root: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home.write_text("a file where the folder should be")
    assert cli.main(["trust", str(root)]) == 1
    assert "can not be written" in capsys.readouterr().err


def test_the_users_checks_come_before_the_repositorys(root: Path, home: Path) -> None:
    def commands() -> list[tuple[str, str]]:
        settings, problems = parse((), [root / "qwen-lsp.toml"], home / "qwen-lsp.toml")
        assert problems == ()
        return [(check.command, check.why) for check in known(root, settings)]

    assert commands() == [("go vet ./...", "go.mod"), ("go test ./...", "go.mod")]
    write(root, {"qwen-lsp.toml": "[refactor]\nchecks = ['./hostile']\n"})
    assert commands() == [("./hostile", "qwen-lsp.toml")]  # proposed: nothing runs without trust
    assert parse((), [root / "qwen-lsp.toml"])[0] == Settings()
    write(home, {"qwen-lsp.toml": "[refactor]\nchecks = ['mine']\n"})
    assert commands() == [("mine", "your settings")]


def test_strange_proposals_are_none(root: Path) -> None:
    for text in ("[refactor]\nchecks = 'x'\n", "[refactor]\nchecks = [1]\n", "refactor = 1\n", "["):
        write(root, {"qwen-lsp.toml": text})
        assert [check.why for check in known(root, Settings())] == ["go.mod", "go.mod"]
