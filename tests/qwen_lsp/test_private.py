import os
from pathlib import Path

import pytest

from qwen_lsp import private


def test_a_file_is_replaced_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old")
    path.chmod(0o644)
    private.write(path, "näu\n")
    assert path.read_text(encoding="utf-8") == "näu\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_can_not_be_written_leaves_the_old_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figures.json"
    private.write(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        private.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f"figures.json.{os.getpid()}.part").write_text("half")
    private.write(tmp_path / "figures.json", "new")
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]
