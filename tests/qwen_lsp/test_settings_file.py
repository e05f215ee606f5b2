"""What a command writes to the user's settings, and what stays as it was."""

import tomllib
from pathlib import Path

import pytest

from qwen_lsp.errors import NotDone
from qwen_lsp.settings import Settings, parse
from qwen_lsp.settings_file import Value, shown, write

OWN = """# my settings
engine = "mlx"  # the fast one
ctx = 8192

[completion]
maxTokens = 32  # camelCase is fine, too

[remote]
url = "https://gpu.example"
"""
NEW: dict[str, Value] = {"engine": "llama", "model": "/models/m.gguf", "completion.layout": "joint", "ctx": None}


def written(tmp_path: Path, before: str | None, values: dict[str, Value]) -> tuple[str, Settings]:
    file = tmp_path / "qwen-lsp.toml"
    if before is not None:
        file.write_text(before)
    write(file, values)
    settings, problems = parse(user=file)
    assert problems == () and file.stat().st_mode & 0o777 == 0o600
    return file.read_text(), settings


def test_all_else_stays_comments_and_order_too(tmp_path: Path) -> None:
    text, settings = written(tmp_path, OWN, NEW)
    assert (settings.engine, settings.model, settings.ctx) == ("llama", "/models/m.gguf", None)
    assert (settings.completion_layout, settings.completion_max_tokens) == ("joint", 32)
    assert settings.remote_url == "https://gpu.example"
    kept = [line for line in OWN.splitlines() if "ctx" not in line and "engine" not in line]
    assert [line for line in text.splitlines() if line in kept] == kept
    assert "# the fast one" in text
    again, _ = written(tmp_path, None, NEW)
    assert again == text


def test_no_file_and_an_empty_one_and_other_spellings(tmp_path: Path) -> None:
    assert tomllib.loads(written(tmp_path / "a" / "b", None, NEW)[0])["model"] == "/models/m.gguf"
    text, settings = written(tmp_path, "completion.layout = 'chat'\nidleExitS = 5\n", {**NEW, "idle_exit_s": 7})
    assert (settings.completion_layout, settings.idle_exit_s) == ("joint", 7) and text.count("dle") == 1


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text(OWN)
    (tmp_path / "qwen-lsp.toml").symlink_to(tmp_path / "dotfiles")
    written(tmp_path, None, NEW)
    assert (tmp_path / "qwen-lsp.toml").is_symlink() and "/models/m.gguf" in (tmp_path / "dotfiles").read_text()


@pytest.mark.parametrize("broken", ["engine = ", 'completion = "x"\n', "\udce4"])
def test_what_is_no_toml_is_left_alone_and_the_lines_are_told(broken: str, tmp_path: Path) -> None:
    file = tmp_path / "qwen-lsp.toml"
    file.write_bytes(broken.encode("utf-8", "surrogateescape"))
    with pytest.raises(NotDone, match='add to it: engine = "llama", model = "/models/m'):
        write(file, NEW)
    assert file.read_bytes() == broken.encode("utf-8", "surrogateescape")


def test_strange_paths_are_quoted() -> None:
    assert shown({"model": 'C:\\a "b"'}) == 'model = "C:\\\\a \\"b\\""'
