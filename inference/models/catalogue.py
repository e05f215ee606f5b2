"""What a model's name means on this machine, and loading it with the engine that fits.

A name is the embedded model's, or a path. Downloads nothing.
"""

import logging
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from inference import memory
from inference.backends.base import Backend, EngineName, EngineSettings
from inference.errors import EngineUnavailable, NotEnoughMemory, UnknownModel
from inference.memory import Machine, MemoryPlan, Refusal
from inference.models import gguf, sizes
from inference.models.checks import check_folder
from inference.models.gguf import Header
from inference.tokenizer import from_folder, from_gguf

log = logging.getLogger(__name__)

EMBEDDED = "embedded"
_EMBEDDED_FOLDER = Path(__file__).parent / "embedded"
EMBEDDED_GGUF = _EMBEDDED_FOLDER / "model.gguf"  # small enough to ask llama.cpp about GPUs with
_EMBEDDED_THREADS = 1  # llama.cpp spins while it waits: on a busy machine two threads are many times slower than one
_EMBEDDED_CTX = 32_768  # it demonstrates; its real limit would only take memory
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
    with _engine_package(files.engine):
        return _load(files, _checked(files), _settled(files, settings))


def load_planned(files: ModelFiles, n_ctx: int | None, settings: EngineSettings, machine: Machine) -> Backend:
    """As `load`, with context and cache as large as this machine's memory allows; the GPU is looked for here.

    `n_ctx` None: what is usual, or less. Raises NotEnoughMemory with what would fit.
    """
    with _engine_package(files.engine):
        header, settings = _checked(files), _settled(files, settings)
        plan = _planned(files, header, n_ctx, settings, machine)
        log.info("context %d tokens; %s", plan.n_ctx, plan.line)
        fitting = replace(
            settings,
            n_ctx=plan.n_ctx,
            n_cells=plan.n_cells,
            cache_bytes=plan.cache_bytes,
            away_bytes=plan.away_bytes,
            use_gpu=plan.on_gpu,
            wired_bytes=plan.total_bytes,
            work_bytes=plan.work_bytes,
            scores_bytes=min(settings.scores_bytes, plan.room_bytes - plan.total_bytes - plan.away_bytes),
        )
        backend = _load(files, header, fitting)
        backend.info = replace(backend.info, plan=plan)
        return backend


def plan_of(files: ModelFiles, n_ctx: int | None, settings: EngineSettings, machine: Machine) -> MemoryPlan:
    """What `load_planned` would do, without loading. Raises ModelBroken, NotEnoughMemory, EngineUnavailable."""
    with _engine_package(files.engine):
        return _planned(files, _checked(files), n_ctx, settings, machine)


def _planned(
    files: ModelFiles, header: Header | None, n_ctx: int | None, settings: EngineSettings, machine: Machine
) -> MemoryPlan:
    if header is None:
        from inference.backends import mlx_load

        gpu = mlx_load.gpu()
        needed = sizes.of_folder(files.path, settings, has_metal=gpu is not None)
    else:
        from inference.backends import llama_load

        gpu = llama_load.gpu(EMBEDDED_GGUF)
        needed = sizes.of_gguf(files.path, header, settings)
    if files.is_embedded and n_ctx is None:
        needed = replace(needed, n_ctx=min(needed.n_ctx, _EMBEDDED_CTX))
    plan = memory.plan(replace(machine, gpu=gpu), needed, n_ctx, settings.max_sequences)
    if isinstance(plan, Refusal):
        raise NotEnoughMemory(plan.reason)
    return plan


def _checked(files: ModelFiles) -> Header | None:
    """The header of a GGUF; a folder has none. Raises ModelBroken where the files are not whole or make no sense."""
    if files.engine == "mlx":
        check_folder(files.path)
        return None
    header = gguf.read_header(files.path)
    gguf.check_header(header)
    return header


def _settled(files: ModelFiles, settings: EngineSettings) -> EngineSettings:
    if not files.is_embedded:
        return settings
    return replace(settings, n_threads=settings.n_threads or _EMBEDDED_THREADS)


def _load(files: ModelFiles, header: Header | None, settings: EngineSettings) -> Backend:
    if header is None:
        from inference.backends.mlx import MlxBackend

        return MlxBackend(files.name, files.path, from_folder(files.path), settings)
    from inference.backends.llama import LlamaBackend

    return LlamaBackend(files.name, files.path, from_gguf(header.metadata), settings)


@contextmanager
def _engine_package(engine: EngineName) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise EngineUnavailable(f"{error}. The {engine} engine needs: pip install {_PACKAGES[engine]}") from error
