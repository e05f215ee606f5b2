"""Four sources, one precedence, and problems instead of exceptions."""

from dataclasses import replace
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
    texts = {"engine": "mlx", "model": "/tmp/evil.gguf", "log.level": "debug", "remote.url": "https://evil.example"}
    texts |= {"remote.key": "env:AWS_SECRET_ACCESS_KEY", "remote.model": "evil"}
    value = f'"{texts[key]}"' if key in texts else "5" if key == "refactor.rounds" else "3000"
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


@pytest.mark.parametrize(
    "url",
    [
        "http://gpu.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "ftp://a.example",
        "https://user:pw@a.example",
        "https://a.example?k=1",
        "https://a.example:x",
        "https://",
        "a.example",
    ],
)
def test_an_address_that_would_tell_others_is_refused(url: str) -> None:
    settings, problems = overlay(Settings(), {"remote": {"url": url}}, "editor")
    assert settings == Settings() and problems[0].startswith("editor: remote.url takes an address https://HOST")


@pytest.mark.parametrize("key", ["sk-proj-" + "a1B2c3D4e5" * 4, "Bearer x", "", "env:", "env:A B"])
def test_a_key_in_the_settings_is_refused_and_not_repeated(key: str) -> None:
    settings, problems = overlay(Settings(), {"remote.key": key}, "editor")
    assert settings == Settings()
    assert problems == ["editor: remote.key takes env:NAME or the name of an entry of the keyring, not the key"]


@pytest.mark.parametrize("place", ["env:TEAM_KEY", "team", "team@gpu.example"])
def test_the_name_of_a_key_is_taken(place: str) -> None:
    assert overlay(Settings(), {"remote.key": place}, "editor")[0].remote_key == place


def test_another_server_is_another_engine() -> None:
    settings = Settings(engine="openai", remote_url="https://a.example")
    for other in ({"remote_url": "https://b.example"}, {"remote_key": "env:K"}, {"remote_model": "m"}):
        assert not settings.same_engine(replace(settings, **other))  # type: ignore[arg-type]
