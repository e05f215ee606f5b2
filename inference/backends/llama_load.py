"""Loading a GGUF into a llama.cpp context, which GPUs it would use, and samplers. Knows no sequences and no tokens.

With `llama` the only module that knows cyllama.
"""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cyllama
from cyllama.llama import llama_cpp as cpp
from cyllama.utils.platform import physical_cores

from inference.backends.base import EngineSettings
from inference.errors import ModelBroken
from inference.generation import MIN_TEMPERATURE, Sampling
from inference.memory import MIB, Gpu

log = logging.getLogger(__name__)

_GGML_F32, _GGML_F16 = 0, 1
_FUSED_AUTO, _NOT_FUSED = -1, 0  # flash attention
_ALL_LAYERS = 999
_GPU_KINDS = {"GPU", "iGPU"}  # the second shares the machine's memory
_USED_DEVICE = re.compile(r"using device (?P<device>\S+) \((?P<name>.*)\) \(.*\) - (?P<mib>\d+) MiB free")
_KINDS = {"CUDA": "cuda", "ROCm": "rocm", "Vulkan": "vulkan", "SYCL": "sycl", "MTL": "metal", "Metal": "metal"}
_SCORE_BYTES = 4  # of one query head, token and row
_LOAD_ERRORS_KEPT = 3  # lines of llama.cpp's log in our message
_RANDOM_SEED = 0xFFFFFFFF  # llama.cpp takes this one for "seed from the clock"


def gpu(probe: Path) -> Gpu | None:
    """What llama.cpp may use of the GPUs it finds, all together; None where it finds none.

    It tells how much of a device is free in its log only, and only when it loads a model: `probe`, a small one.
    """
    with log_lines() as lines:
        cpp.ggml_backend_load_all()
        kinds = {device["type"] for device in cpp.ggml_backend_dev_info()} & _GPU_KINDS
        if not kinds:
            return None
        cpp.LlamaModel(str(probe), model_params(EngineSettings())).close()
    return gpu_in(lines, is_shared="GPU" not in kinds or sys.platform == "darwin")


def gpu_in(lines: Iterable[str], is_shared: bool) -> Gpu | None:
    """The devices that llama.cpp's log says it uses, as one."""
    found = [used for line in lines if (used := _USED_DEVICE.search(line))]
    if not found:
        log.warning("llama.cpp does not say how much of the GPU is free: the processors are used")
        return None
    n_free = sum(int(used["mib"]) for used in found) * MIB
    kinds = {_KINDS.get(used["device"].rstrip("0123456789"), "") for used in found}
    kind = kinds.pop() if len(kinds) == 1 else ""
    return Gpu(", ".join(used["name"] for used in found), n_free, is_shared, kind)


@contextmanager
def log_lines() -> Iterator[list[str]]:
    """llama.cpp's log, for as long as this lasts; afterwards it is silent."""
    lines: list[str] = []
    cpp.set_log_callback(lambda _level, text: lines.append(text.strip()))
    try:
        yield lines
    finally:
        cpp.disable_logging()  # a Python callback left in place is called while the interpreter ends, and crashes it


def load(path: Path, settings: EngineSettings) -> tuple[Any, Any]:
    """The model and its context."""
    with log_lines() as lines:
        try:
            cpp.ggml_backend_load_all()
            model = cpp.LlamaModel(str(path), model_params(settings))
            return model, cpp.LlamaContext(model, context_params(model, settings))
        except (ValueError, RuntimeError, MemoryError, OSError) as error:
            last = " | ".join([line for line in lines if len(line) > 1][-_LOAD_ERRORS_KEPT:])
            raise ModelBroken(f"llama.cpp does not load {path.name}: {error} ({last})") from error


def model_params(settings: EngineSettings) -> Any:
    params = cpp.LlamaModelParams()
    params.n_gpu_layers = _ALL_LAYERS if on_gpu(settings) else 0
    return params


def on_gpu(settings: EngineSettings) -> bool:
    return settings.use_gpu and any(device["type"] in _GPU_KINDS for device in cpp.ggml_backend_dev_info())


def n_threads(settings: EngineSettings) -> int:
    n: int = settings.n_threads or physical_cores()
    return n


def clock(settings: EngineSettings) -> Callable[[], float]:
    """What a pass costs: the calling thread's CPU time where nobody else computes; several spin while they wait."""
    return time.thread_time if n_threads(settings) == 1 and not on_gpu(settings) else time.perf_counter


def is_fused(model: Any, settings: EngineSettings) -> bool:
    """Whether attention runs without all its scores in memory. On a processor llama.cpp's code for that is faster for
    chunks of 64 tokens and more, and several times slower for few: a cold prompt of 32k takes 19 s instead of 27, but
    then each token 13 ms instead of 2.4. Keys and answers are few tokens each, and many; a restart reads from disk."""
    n_bytes = model.n_head * settings.chunk * max(settings.n_cells, settings.n_ctx) * _SCORE_BYTES
    return on_gpu(settings) or n_bytes > settings.scores_bytes


def state_format(model: Any, settings: EngineSettings) -> str:
    """Values lie in another order where attention is not fused."""
    order = "fused" if is_fused(model, settings) else "by column"
    return f"cyllama {cyllama.__version__} {'f32' if settings.exact else 'f16'} {order}"


def context_params(model: Any, settings: EngineSettings) -> Any:
    params = cpp.LlamaContextParams()
    params.flash_attn_type = _FUSED_AUTO if is_fused(model, settings) else _NOT_FUSED
    params.n_ctx = max(settings.n_cells, settings.n_ctx)
    params.n_batch = params.n_ubatch = settings.chunk
    params.n_seq_max = settings.max_sequences + 1  # and the spare one
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = n_threads(settings)
    params.type_k = params.type_v = _GGML_F32 if settings.exact else _GGML_F16
    return params


def sampler(sampling: Sampling) -> Any:
    chain = cpp.LlamaSampler(cpp.LlamaSamplerChainParams())
    if sampling.temperature <= 0:
        chain.add_greedy()
        return chain
    if sampling.top_k > 0:
        chain.add_top_k(sampling.top_k)
    if sampling.top_p < 1:
        chain.add_top_p(sampling.top_p, 1)
    if sampling.min_p > 0:
        chain.add_min_p(sampling.min_p, 1)
    chain.add_temp(max(sampling.temperature, MIN_TEMPERATURE))
    chain.add_dist(sampling.seed % _RANDOM_SEED)
    return chain
