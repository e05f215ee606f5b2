"""The embedded model with nothing rounded more than it must be, so that equal tokens mean an equal state.

As shipped, llama.cpp's logits move with how a prompt is cut into passes: weights and attention rows are in f16. In f32
they move by 0.00001, as MLX's do; attention is not fused, which would sum in f16 even over f32 rows.
"""

from dataclasses import replace
from pathlib import Path

from inference.backends.base import Backend, EngineName, EngineSettings
from inference.models.catalogue import ModelFiles, load, resolve
from tests.inference.weights import write_gguf


def exact_files(engine: EngineName, folder: Path) -> ModelFiles:
    """The embedded model in f32, which MLX makes of it by itself off Metal; a GGUF is written to `folder`."""
    files = resolve("embedded", engine)
    return files if engine == "mlx" else replace(files, path=write_gguf(folder / "exact.gguf"))


def load_exact(files: ModelFiles, settings: EngineSettings) -> Backend:
    backend = load(files, settings)
    if files.engine == "llama" and "by column" not in backend.info.state_format:
        raise RuntimeError(f"attention is fused: {backend.info.state_format}")
    return backend
