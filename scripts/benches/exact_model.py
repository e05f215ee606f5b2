"""The embedded model with nothing rounded more than it must be, so that equal tokens mean an equal state.

As shipped, llama.cpp's logits move by up to 0.01 with how a prompt is cut into passes: f16 weights, and flash
attention, which sums in f16 even over f32 rows. In f32 and without it they move by 0.00001, as MLX's do.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from inference.backends.base import Backend, EngineName, EngineSettings
from inference.models.catalogue import ModelFiles, load, resolve
from tests.inference.weights import write_gguf

_NO_FLASH_ATTENTION = 0


def exact_files(engine: EngineName, folder: Path) -> ModelFiles:
    """The embedded model in f32, which MLX makes of it by itself off Metal; a GGUF is written to `folder`."""
    files = resolve("embedded", engine)
    return files if engine == "mlx" else replace(files, path=write_gguf(folder / "exact.gguf"))


def load_exact(files: ModelFiles, settings: EngineSettings) -> Backend:
    if files.engine == "mlx":
        return load(files, settings)
    from inference.backends import llama

    made = llama._context_params

    def params(settings: EngineSettings) -> Any:
        found = made(settings)
        found.flash_attn_type = _NO_FLASH_ATTENTION
        return found

    with mock.patch.object(llama, "_context_params", params):
        return load(files, settings)
