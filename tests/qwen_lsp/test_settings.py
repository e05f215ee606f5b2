"""Four sources, one precedence, and problems instead of exceptions."""

from pathlib import Path
from typing import Any

import pytest

from qwen_lsp.settings import FILE_LIMIT_BYTES, KEYS, PROPOSED, Settings, overlay, parse, read, user_file


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_the_editor_wins_over_the_workspace_over_the_user(tmp_path: Path) -> None:
    user = write(tmp_path / "user.toml", "[completion]\nmax_tokens = 1\ndebounce_ms = 1\nenabled = false\n")
    first = write(tmp_path / "first.toml", "[completion]\nmax_tokens = 2\ndebounce_ms = 2\n")
    second = write(tmp_path / "second.toml", "[completion]\nmax_tokens = 3\n")
    settings, problems = parse([{"completion.max_tokens": 4}, {"qwen": {"engine": "mlx"}}], [first, second], user)
    assert problems == ()
    assert (settings.completion_max_tokens, settings.completion_debounce_ms, settings.engine) == (4, 2, "mlx")
    assert settings.completion_enabled is False
    assert parse((), [first, second])[0].completion_max_tokens == 2


@pytest.mark.parametrize("key", [name for name, key in KEYS.items() if not key.repository and name != PROPOSED])
def test_a_repository_may_not_choose_what_runs(tmp_path: Path, key: str) -> None:
    value = {"engine": '"mlx"', "model": '"/tmp/evil.gguf"', "log.level": '"debug"', "refactor.rounds": "5"}.get(
        key, "5000"
    )
    path = write(tmp_path / "qwen-lsp.toml", f"{key} = {value}\n")
    settings, problems = parse((), [path])
    assert settings == Settings()
    assert problems == (f"{path}: a repository may not set {key}",)
    assert parse((), (), path)[0] != Settings()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"engine": "gpt"}, "engine takes one of"),
        ({"ctx": "big"}, "ctx takes"),
        ({"ctx": True}, "ctx takes"),
        ({"ctx": -1}, "ctx takes"),
        ({"ctx": 4096.0}, "ctx takes"),
        ({"model": ""}, "model takes"),
        ({"model": "a\nb"}, "model takes"),
        ({"completion": {"enabled": 1}}, "completion.enabled takes"),
        ({"completion": 5}, "unknown setting completion"),
        ({"completion": {"maxTokenz": 5}}, "unknown setting completion.max_tokenz"),
        ({"engine": {"name": "mlx"}}, "engine takes"),
        ({"\x1b[31mred": 1}, "unknown setting [31mred"),
        ("text", "expected a table"),
        ([], "expected a table"),
    ],
)
def test_wrong_values_are_problems(options: Any, problem: str) -> None:
    settings, problems = overlay(Settings(), options, "editor")
    assert settings == Settings()
    assert len(problems) == 1
    assert problems[0].startswith(f"editor: {problem}")


def test_the_good_part_of_a_source_counts() -> None:
    settings, problems = overlay(Settings(), {"ctx": 4096, "engine": "gpt", "idleExitS": 5, "model": None}, "editor")
    assert (settings.ctx, settings.idle_exit_s, settings.engine, settings.model) == (4096, 5, "auto", None)
    assert len(problems) == 1


def test_files_that_can_not_be_used(tmp_path: Path) -> None:
    assert read(tmp_path / "absent.toml") == ({}, None)
    assert read(tmp_path / "absent" / "deep.toml") == ({}, None)
    for name, content, words in [
        ("broken.toml", b"engine = secret value", "not valid TOML"),
        ("latin.toml", b"model = '\xe9'", "not valid TOML"),
        ("huge.toml", b"#" * (FILE_LIMIT_BYTES + 1), "larger than"),
    ]:
        (tmp_path / name).write_bytes(content)
        table, problem = read(tmp_path / name)
        assert table == {}
        assert problem is not None and words in problem and "secret" not in problem
    (tmp_path / "folder.toml").mkdir()
    assert "can not be read" in str(read(tmp_path / "folder.toml")[1])


def test_the_users_file_moves_with_the_home(tmp_path: Path) -> None:
    assert user_file({"QWEN_LSP_HOME": str(tmp_path)}) == tmp_path / "qwen-lsp.toml"
    assert user_file({}).name == "qwen-lsp.toml"
