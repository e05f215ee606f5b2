"""The list of trusted folders: by resolved path, private, whole or not at all, and empty where it is not certain."""

import json
import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from qwen_lsp.verify.trust import is_trusted, trust, trust_file, trusted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "trusted.json"


def test_nothing_is_trusted_by_itself(tmp_path: Path, file: Path) -> None:
    assert not is_trusted(tmp_path, file)
    assert not file.exists()


def test_trust_is_kept_and_taken_back(tmp_path: Path, file: Path) -> None:
    trust(tmp_path, file=file)
    assert is_trusted(tmp_path, file)
    assert trusted(file) == (str(tmp_path.resolve()),)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    trust(tmp_path, False, file)
    assert not is_trusted(tmp_path, file)
    assert [path.name for path in file.parent.iterdir() if path.suffix != ".lock"] == [file.name]


def test_folders_below_and_above_are_not_trusted(tmp_path: Path, file: Path) -> None:
    (tmp_path / "w" / "vendored").mkdir(parents=True)
    trust(tmp_path / "w", file=file)
    assert not is_trusted(tmp_path / "w" / "vendored", file)
    assert not is_trusted(tmp_path, file)


def test_a_link_is_what_it_points_to(tmp_path: Path, file: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    trust(tmp_path / "link", file=file)
    assert is_trusted(tmp_path / "real", file)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    assert not is_trusted(tmp_path / "link", file)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trusted": "x"}', '{"trusted": [1, null]}', "[" * 100_000])
def test_a_list_that_can_not_be_read_trusts_nothing(tmp_path: Path, file: Path, text: str) -> None:
    trust(tmp_path, file=file)
    file.write_text(text)
    assert trusted(file) == ()
    trust(tmp_path, file=file)  # and is written anew
    assert is_trusted(tmp_path, file)


def test_a_list_that_others_may_write_trusts_nothing(tmp_path: Path, file: Path) -> None:
    trust(tmp_path, file=file)
    file.chmod(0o622)
    assert not is_trusted(tmp_path, file)


def test_a_list_that_is_a_link_trusts_nothing(tmp_path: Path, file: Path) -> None:
    file.parent.mkdir()
    (tmp_path / "planted").write_text(json.dumps({"trusted": [str(tmp_path)]}))
    file.symlink_to(tmp_path / "planted")
    assert not is_trusted(tmp_path, file)


def test_a_write_that_fails_leaves_the_old_list(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trust(tmp_path, file=file)
    before = file.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        trust(tmp_path / "w", file=file)
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.iterdir()) == ["trusted.json", "trusted.lock"]


def _trust_many(file: Path, folder: Path, numbers: range) -> None:
    for number in numbers:
        trust(folder / str(number), file=file)


def test_two_processes_at_once_lose_nothing(tmp_path: Path, file: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    both = [context.Process(target=_trust_many, args=(file, tmp_path, range(at, at + 10))) for at in (0, 10)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert len(trusted(file)) == 20


def test_the_list_is_in_our_own_home(tmp_path: Path) -> None:
    assert trust_file({"QWEN_LSP_HOME": str(tmp_path)}) == tmp_path / "trusted.json"
    assert trust_file({}).name == "trusted.json"
