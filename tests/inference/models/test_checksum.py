"""What changes the checksum of a model's files, and what does not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models.checksum import checksum
from tests.inference.weights import EMBEDDED

TIME = (10**18, 10**18)


def folder(root: Path) -> Path:
    """A model in two files of 9 MB each; and what does not count."""
    root.mkdir()
    for n in (1, 2):
        (root / f"model-{n}-of-2.safetensors").write_bytes(bytes([n]) * 9_000_000)
    (root / "config.json").write_text('{"rope_theta": 1}')
    (root / "README.md").write_text("a model")
    for path in root.iterdir():
        os.utime(path, ns=TIME)
    return root


def edit(path: Path, at: int) -> None:
    """A byte changed, and the time put back."""
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        file.write(b"!")
    os.utime(path, ns=TIME)


CHANGES: dict[str, Callable[[Path], object]] = {
    "its first byte": lambda model: edit(model / "model-1-of-2.safetensors", 0),
    "a last byte": lambda model: edit(model / "model-2-of-2.safetensors", -1),
    "the configuration": lambda model: edit(model / "config.json", 5),
    "time": lambda model: os.utime(model / "model-2-of-2.safetensors", ns=(TIME[0], TIME[1] + 1)),
    "size": lambda model: os.truncate(model / "model-1-of-2.safetensors", 8_999_999),
    "a file less": lambda model: (model / "model-2-of-2.safetensors").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_are_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    model = folder(tmp_path / "model")
    before = checksum(model)
    change(model)
    assert checksum(model) != before


def test_a_change_of_all_weights_is_seen_at_any_size(tmp_path: Path) -> None:
    sums = set()
    for size in (0, 1, 65_535, 65_536, 65_537, 5_000_000):
        for value in (1, 2):
            path = tmp_path / "model.gguf"
            path.write_bytes(bytes([value]) * size)
            os.utime(path, ns=TIME)
            sums.add(checksum(path))
    assert len(sums) == 2 * 6 - 1  # without a byte there is none to change


def test_the_place_and_other_files_do_not_count(tmp_path: Path) -> None:
    model = folder(tmp_path / "model")
    before = checksum(model)
    (model / "README.md").write_text("the model")
    shutil.copytree(model, tmp_path / "copy")  # with its times
    assert checksum(tmp_path / "copy") == before == checksum(model)


def test_the_embedded_model_has_one_for_each_engine() -> None:
    assert checksum(EMBEDDED) != checksum(EMBEDDED / "model.gguf")


def test_a_large_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.touch()
    os.truncate(path, 1 << 42)  # 4 TiB, of which the disk holds nothing
    checksum(path)
