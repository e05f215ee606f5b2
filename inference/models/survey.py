"""Look at this machine once, and report. The GPU is asked of the engine that would use it; without one, of nobody.

Decides nothing. What can not be found out is a note, never an exception.
"""

import os
import platform
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from inference.hardware import machine
from inference.memory import MIB, Gpu
from inference.models.catalogue import EMBEDDED_GGUF
from inference.power import power, said
from inference.report import Report

_ENGINES = {"mlx": "mlx_lm", "llama": "cyllama"}


def survey(models: Path) -> Report:
    """`models` is the folder that models are put into; it need not be there yet."""
    engines = tuple(name for name, package in _ENGINES.items() if find_spec(package) is not None)
    is_mac = sys.platform == "darwin" and platform.machine() == "arm64"
    gpu, notes = _gpu("mlx" if is_mac else "llama", engines)
    found = machine()
    return Report(
        system=sys.platform,
        arch=platform.machine(),
        total_bytes=found.total_bytes,
        available_bytes=found.available_bytes,
        is_unified=is_mac or (gpu is not None and gpu.is_shared),
        wired_limit_bytes=wired_limit() if is_mac else None,
        gpu=gpu,
        n_cores=os.cpu_count() or 1,
        power=power(),
        free_disk_bytes=free_disk(models),
        engines=engines,
        notes=notes,
    )


def free_disk(folder: Path) -> int:
    """Where the folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def wired_limit() -> int | None:
    """What `sudo sysctl iogpu.wired_limit_mb=N` set; 0 is macOS's own default."""
    text = said("sysctl", "-n", "iogpu.wired_limit_mb").strip()
    return int(text) * MIB if text.isdecimal() else None


def _gpu(engine: str, engines: tuple[str, ...]) -> tuple[Gpu | None, tuple[str, ...]]:
    if engine not in engines:
        return None, (f"the package of the {engine} engine is not installed: GPUs can not be seen",)
    try:
        if engine == "mlx":
            from inference.backends import mlx_load

            return mlx_load.gpu(), ()
        from inference.backends import llama_load

        return llama_load.gpu(EMBEDDED_GGUF), ()
    except Exception as error:  # a driver may fail in any way, and the report must be made all the same
        return None, (f"the {engine} engine could not look for GPUs: {type(error).__name__}",)
