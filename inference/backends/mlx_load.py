"""Importing mlx and mlx-lm, loading a model's weights, and what Metal offers. Knows no sequences and no tokens.

Nothing is imported before a model is loaded or a GPU asked for. Metal: not measured.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from inference.backends.base import EngineSettings
from inference.errors import EngineUnavailable, ModelBroken
from inference.memory import Gpu


def _has_metal() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def import_engine() -> tuple[Any, Any]:
    """mlx and mlx-lm's loader. mlx-lm lowers the limit of open files for the whole process, and fails where it can
    not: it is kept from trying, because a lowered hard limit can not be raised again without privilege."""
    if not _has_metal():
        os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # else g++ runs for seconds per kernel
    try:
        import resource
    except ImportError as error:
        raise EngineUnavailable("MLX does not run on this system") from error
    set_limit = resource.setrlimit
    resource.setrlimit = lambda *_: None
    try:
        import mlx.core as mx
        from mlx_lm.utils import load_model

        from inference.backends import mlx_attention, mlx_scan

        mlx_attention.install()  # what several sequences in one pass have instead falls back on it
        from inference.backends import mlx_together
    finally:
        resource.setrlimit = set_limit
    mlx_scan.install()
    mlx_together.install()
    return mx, load_model


def gpu() -> Gpu | None:
    """What Metal lets a process use; None where there is no Metal."""
    mx, _ = import_engine()
    if not mx.metal.is_available():
        return None
    device = mx.device_info()
    return Gpu(device["device_name"], device["max_recommended_working_set_size"], is_shared=True, kind="metal")


def load(mx: Any, load_model: Any, path: Path, settings: EngineSettings) -> tuple[Any, dict[str, Any]]:
    """The model, its weights in memory. Off Metal in fp32: half precision mixtures fail or are imprecise there."""
    mx.set_cache_limit(settings.work_bytes)  # else MLX keeps freed buffers without a bound
    if mx.metal.is_available():
        most: int = mx.device_info()["max_recommended_working_set_size"]
        mx.set_wired_limit(min(settings.wired_bytes or most, most))
    try:
        with _patient_threads():
            model, config = load_model(path, lazy=True)
            if not mx.metal.is_available():
                model.set_dtype(mx.float32)
            mx.eval(model.parameters())
        if not mx.metal.is_available():
            _store_by_column(mx, model)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ModelBroken(f"mlx-lm does not load {path.name}: {type(error).__name__}: {error}") from error
    unknown = {type(cache).__name__ for cache in model.make_cache()} - {"ArraysCache", "KVCache"}
    if unknown:
        raise ModelBroken(f"the model keeps its state in {', '.join(sorted(unknown))}, which is not supported")
    return model, config


def clock(mx: Any) -> Callable[[], float]:
    """What a pass costs: on processors MLX computes on two threads of this process, ours and its own."""
    return time.process_time if mx.default_device() == mx.cpu else time.perf_counter


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Threads that this one makes inside do not take the processor from whoever wakes them.

    MLX's processor builds have a thread for a stream's operations. Woken for each, it displaced ours, did it and slept
    again: in spells, 600 to 800 switches of threads a token instead of 25 to 35.
    """
    usual = None
    if sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # of this thread, and of those that it makes
            usual = os.SCHED_OTHER
    try:
        yield
    finally:
        if usual is not None:
            os.sched_setscheduler(0, usual, os.sched_param(0))


def _store_by_column(mx: Any, model: Any) -> None:
    """The BLAS of MLX's processor builds takes twice as long on `x @ weight.T` where the rows of `weight` lie in order,
    so its columns do. Doubles prefill there, and halves the logits of a draft where they come of the embeddings."""
    from mlx.nn import Embedding, Linear
    from mlx_lm.models.switch_layers import SwitchLinear

    is_tied = model.language_model.args.tie_word_embeddings
    for module in model.modules():
        if isinstance(module, Linear | SwitchLinear) or (is_tied and isinstance(module, Embedding)):
            by_column = mx.contiguous(module.weight.swapaxes(-1, -2))
            mx.eval(by_column)
            module.weight = by_column.swapaxes(-1, -2)
