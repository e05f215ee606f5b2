"""What a model's name means, and what a person reads where it means nothing."""

import builtins
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from inference.backends.base import EngineName, EngineSettings
from inference.errors import EngineUnavailable, ModelBroken, UnknownModel
from inference.models.catalogue import ModelFiles, default_engine, load, resolve
from tests.inference.weights import EMBEDDED


def test_the_embedded_model() -> None:
    assert resolve("embedded", "mlx") == ModelFiles("embedded", "mlx", EMBEDDED, True)
    assert resolve("embedded", "llama") == ModelFiles("embedded", "llama", EMBEDDED / "model.gguf", True)


def test_paths() -> None:
    assert resolve(str(EMBEDDED), "mlx") == ModelFiles("embedded", "mlx", EMBEDDED, False)
    assert resolve(str(EMBEDDED), "llama").path == EMBEDDED / "model.gguf"
    assert resolve(str(EMBEDDED / "model.gguf"), "llama") == ModelFiles(
        "model", "llama", EMBEDDED / "model.gguf", False
    )


@pytest.mark.parametrize("engine", ["mlx", "llama"])
def test_names_that_mean_nothing(engine: EngineName, tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="no model"):
        resolve(str(tmp_path / "nowhere"), engine)
    with pytest.raises(UnknownModel, match=engine):
        resolve(str(tmp_path), engine)


def test_a_gguf_for_mlx_and_no_engine() -> None:
    with pytest.raises(UnknownModel, match="mlx"):
        resolve(str(EMBEDDED / "model.gguf"), "mlx")
    with pytest.raises(EngineUnavailable, match="scripted"):
        resolve("embedded", "scripted")


@pytest.mark.parametrize(
    ("system", "machine", "engine"),
    [
        ("darwin", "arm64", "mlx"),
        ("darwin", "x86_64", "llama"),
        ("linux", "x86_64", "llama"),
        ("win32", "AMD64", "llama"),
    ],
)
def test_the_engine_of_a_platform(system: str, machine: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert default_engine() == engine


@pytest.mark.parametrize(("engine", "package"), [("mlx", "mlx_lm"), ("llama", "cyllama")])
def test_a_missing_package(engine: EngineName, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., ModuleType] = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return real(name, globals, locals, fromlist, level)

    monkeypatch.delitem(sys.modules, f"inference.backends.{engine}", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(EngineUnavailable, match=rf"{package}.*pip install"):
        load(resolve("embedded", engine), EngineSettings())


@pytest.mark.parametrize("engine", ["mlx", "llama"])
def test_broken_files_are_found_before_the_engine_sees_them(engine: EngineName, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((EMBEDDED / name).read_bytes())
    for name in ("model.safetensors", "model.gguf"):
        (tmp_path / name).write_bytes((EMBEDDED / name).read_bytes()[:-500_000])
    with pytest.raises(ModelBroken, match="should have"):
        load(resolve(str(tmp_path), engine), EngineSettings())
