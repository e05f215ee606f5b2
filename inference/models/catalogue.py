"""What a model's name means on this machine, and loading it with the engine that fits.

Thin for now: the embedded model, or a path. Knows no sizes and downloads nothing.
"""

import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from inference.backends.base import Backend, EngineName, EngineSettings
from inference.errors import EngineUnavailable, UnknownModel
from inference.models import gguf
from inference.models.checks import check_folder
from inference.tokenizer import from_folder, from_gguf

EMBEDDED = "embedded"
_EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
_EMBEDDED_THREADS = 1  # llama.cpp spins while it waits: on a busy machine two threads are many times slower than one
_PACKAGES = {"mlx": "mlx mlx-lm" if sys.platform == "darwin" else "'mlx[cpu]' mlx-lm", "llama": "cyllama"}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model lies: a folder for MLX, a file for llama.cpp."""

    name: str
    engine: EngineName
    path: Path
    is_embedded: bool


def default_engine() -> EngineName:
    """MLX where it has Metal, llama.cpp everywhere else."""
    return "mlx" if sys.platform == "darwin" and platform.machine() == "arm64" else "llama"


def resolve(model: str, engine: EngineName) -> ModelFiles:
    """`embedded`, a folder of safetensors (MLX), or a .gguf file or a folder with one (llama.cpp)."""
    if engine not in _PACKAGES:
        raise EngineUnavailable(f"no engine named {engine!r} can load a model; there are: {', '.join(_PACKAGES)}")
    is_embedded = model == EMBEDDED
    path = _EMBEDDED_FOLDER if is_embedded else Path(model).expanduser().absolute()
    if not path.exists():
        raise UnknownModel(f"there is no model {model!r}: name {EMBEDDED!r}, a folder or a .gguf file")
    if engine == "mlx" and not (path / "config.json").is_file():
        raise UnknownModel(f"{path} is no folder with config.json and safetensors, which the mlx engine needs")
    if engine == "llama":
        path = _gguf_file(path)
    name = EMBEDDED if is_embedded else path.stem if path.is_file() else path.name
    return ModelFiles(name, engine, path, is_embedded)


def _gguf_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) != 1:
        raise UnknownModel(f"{path} has {len(found)} .gguf files; the llama engine needs one: name the file")
    return found[0]


def load(files: ModelFiles, settings: EngineSettings) -> Backend:
    """The model in memory. Called on the thread that will own it."""
    if files.is_embedded:
        settings = replace(settings, exact=True, n_threads=settings.n_threads or _EMBEDDED_THREADS)
    try:
        if files.engine == "mlx":
            check_folder(files.path)
            from inference.backends.mlx import MlxBackend

            return MlxBackend(files.name, files.path, from_folder(files.path), settings)
        header = gguf.read_header(files.path)
        gguf.check_header(header)
        from inference.backends.llama import LlamaBackend

        return LlamaBackend(files.name, files.path, from_gguf(header.metadata), settings)
    except ImportError as error:
        packages = _PACKAGES[files.engine]
        raise EngineUnavailable(f"{error}. The {files.engine} engine needs: pip install {packages}") from error
