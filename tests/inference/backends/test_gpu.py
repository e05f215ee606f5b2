"""What the engines say of a GPU, and what they do with the memory plan. No GPU was there: devices are made up."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inference.backends import mlx_load
from inference.backends.base import EngineSettings
from inference.backends.llama_load import clock, gpu, gpu_in, model_params
from inference.errors import ModelBroken
from inference.memory import GIB, MIB, Gpu
from tests.inference.weights import EMBEDDED

# By llama.cpp's own format, "%s: using device %s (%s) (%s) - %zu MiB free".
CUDA = "llama_prepare_model_devices: using device CUDA0 (NVIDIA GeForce RTX 3090) (0000:01:00.0) - 23871 MiB free"
SECOND = "llama_prepare_model_devices: using device CUDA1 (NVIDIA GeForce RTX 3060) (0000:02:00.0) - 11900 MiB free"
VULKAN = (
    "llama_prepare_model_devices: using device Vulkan0 (AMD Radeon 780M (RADV PHOENIX)) (0000:c4:00.0) - 16000 MiB free"
)


def test_devices_in_llama_cpps_log() -> None:
    assert gpu_in(["x", CUDA], is_shared=False) == Gpu("NVIDIA GeForce RTX 3090", 23_871 * MIB, False, "cuda")
    both = gpu_in([CUDA, SECOND], is_shared=False)
    assert both == Gpu("NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3060", 35_771 * MIB, False, "cuda")
    assert gpu_in([VULKAN], is_shared=True) == Gpu("AMD Radeon 780M (RADV PHOENIX)", 16_000 * MIB, True, "vulkan")


def test_a_gpu_that_says_nothing_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    assert gpu_in(["llama_model_loader: loaded meta data"], is_shared=False) is None
    assert "does not say how much" in caplog.text


def devices(*kinds: str) -> list[dict[str, str]]:
    return [{"name": kind, "description": kind, "type": kind} for kind in kinds]


def test_llama_cpp_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu(EMBEDDED / "model.gguf") is None  # the wheel without GPUs
    monkeypatch.setattr("inference.backends.llama_load.cpp.ggml_backend_dev_info", lambda: devices("CPU", "GPU"))
    assert gpu(EMBEDDED / "model.gguf") is None  # the model loads, and its log names no device


@pytest.mark.parametrize(
    ("kinds", "use_gpu", "on_gpu"),
    [
        (("CPU",), True, False),
        (("CPU", "GPU"), True, True),
        (("CPU", "iGPU"), True, True),
        (("CPU", "GPU"), False, False),
    ],
)
def test_where_llama_cpp_puts_the_layers(
    kinds: tuple[str, ...], use_gpu: bool, on_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.backends.llama_load.cpp.ggml_backend_dev_info", lambda: devices(*kinds))
    assert (model_params(EngineSettings(use_gpu=use_gpu)).n_gpu_layers > 0) == on_gpu
    clocks = [clock(EngineSettings(use_gpu=use_gpu, n_threads=n)) for n in (1, 2)]
    assert clocks == [time.perf_counter if on_gpu else time.thread_time, time.perf_counter]  # what a pass costs


class Metal:
    """As much of mlx.core as tells and sets limits, on a Mac with 16 GB."""

    def __init__(self) -> None:
        self.metal = SimpleNamespace(is_available=lambda: True)
        self.limits: dict[str, int] = {}

    def device_info(self) -> dict[str, Any]:
        return {"device_name": "Apple M4", "max_recommended_working_set_size": 11 * GIB, "memory_size": 16 * GIB}

    def set_wired_limit(self, n_bytes: int) -> None:
        self.limits["wired"] = n_bytes

    def set_cache_limit(self, n_bytes: int) -> None:
        self.limits["cache"] = n_bytes


def test_what_metal_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlx_load, "import_engine", lambda: (Metal(), None))
    assert mlx_load.gpu() == Gpu("Apple M4", 11 * GIB, True, "metal")


@pytest.mark.parametrize(("planned", "wired"), [(9 * GIB, 9 * GIB), (12 * GIB, 11 * GIB), (0, 11 * GIB)])
def test_mlx_keeps_to_the_plan(planned: int, wired: int) -> None:
    def load_model(path: Path, lazy: bool) -> Any:
        raise ValueError("far enough")

    metal = Metal()
    with pytest.raises(ModelBroken, match="far enough"):
        mlx_load.load(metal, load_model, EMBEDDED, EngineSettings(wired_bytes=planned, work_bytes=300 * MIB))
    assert metal.limits == {"wired": wired, "cache": 300 * MIB}


def test_cyllama_can_not_keep_experts_beside_a_gpu_yet() -> None:
    """Why `models/offload.py` is a sum and no setting. When this fails, it can become one."""
    cpp = pytest.importorskip("cyllama.llama.llama_cpp")
    params = cpp.LlamaModelParams()
    with pytest.raises(AttributeError, match="not writable"):
        params.tensor_buft_overrides = [(r"\.ffn_.*_exps", "CPU")]
    assert not [name for name in dir(params) if "moe" in name]
