"""What a model's name means, and what a person reads where it means nothing."""

import builtins
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import pytest

from inference.backends.base import EngineName, EngineSettings
from inference.errors import EngineUnavailable, ModelBroken, NotEnoughMemory, UnknownModel
from inference.memory import GIB, MIB, Machine
from inference.models.catalogue import ModelFiles, default_engine, load, load_planned, resolve
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


@pytest.mark.parametrize("engine", ["mlx", "llama"])
def test_a_plan_is_made_and_kept_to(engine: EngineName) -> None:
    backend = load_planned(resolve("embedded", engine), 5000, EngineSettings(chunk=64), Machine(GIB))
    info, plan = backend.info, backend.info.plan
    backend.shutdown()
    assert plan is not None
    assert (info.n_ctx, info.n_cells, info.cache_bytes) == (5000, plan.n_cells, plan.cache_bytes)
    assert (plan.n_ctx, plan.limited_by, plan.room_bytes) == (5000, "asked", 768 * MIB)
    assert info.cache_bytes >= info.n_ctx * info.row_bytes + info.snapshot_bytes


def test_the_embedded_model_asks_for_no_more_than_it_needs() -> None:
    backend = load_planned(resolve("embedded", "llama"), None, EngineSettings(chunk=64), Machine(64 * GIB))
    assert (backend.info.n_ctx, backend.info.n_cells) == (32_768, 65_536)
    backend.shutdown()


@pytest.mark.parametrize("engine", ["mlx", "llama"])
def test_what_does_not_fit_is_not_loaded(engine: EngineName, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_anyway(*_: object) -> None:
        raise AssertionError("the engine was asked to load it")

    monkeypatch.setattr("inference.models.catalogue._load", load_anyway)
    with pytest.raises(NotEnoughMemory, match=r"weights \d+ MiB .* of 112 MiB .*; no model fits"):
        load_planned(resolve("embedded", engine), None, EngineSettings(chunk=64), Machine(150 * MIB))
