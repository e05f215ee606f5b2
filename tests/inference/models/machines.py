"""Reports of typical machines, as `python -m inference hardware --json` would give them. Written by hand from what
makers publish; none was recorded on the machine itself."""

from inference.memory import Gpu
from inference.power import Power
from inference.report import Report

GB, GIB = 10**9, 2**30


def mac(gib: int) -> Report:
    """Apple Silicon: GPUs may wire two thirds of up to 36 GiB, three quarters of more."""
    wired = gib * GIB * 2 // 3 if gib <= 36 else gib * GIB * 3 // 4
    gpu = Gpu("Apple M5", wired, is_shared=True, kind="metal")
    return Report("darwin", "arm64", gib * GIB, None, True, 0, gpu, 12, Power("mains", 100), 400 * GB, ("mlx",))


def pc(ram_gib: int, vram_gib: int = 0, kind: str = "cuda", disk: int = 400 * GB) -> Report:
    gpu = Gpu(f"GPU of {vram_gib} GB", vram_gib * GIB - GIB // 2, is_shared=False, kind=kind) if vram_gib else None
    power = Power("mains")
    return Report("linux", "x86_64", ram_gib * GIB, None, False, None, gpu, 16, power, disk, ("llama",))


MACHINES = {
    **{f"Mac {gib} GB": mac(gib) for gib in (8, 16, 24, 32, 48, 64, 128)},
    "PC 32 GB, 8 GB CUDA": pc(32, 8),
    "PC 32 GB, 12 GB Vulkan": pc(32, 12, "vulkan"),
    "PC 64 GB, 16 GB ROCm": pc(64, 16, "rocm"),
    "PC 64 GB, 24 GB CUDA": pc(64, 24),
    "PC 8 GB": pc(8),
    "PC 16 GB": pc(16),
    "PC 32 GB": pc(32),
    "PC 64 GB": pc(64),
    "PC 64 GB, disk full": pc(64, disk=3 * GB),
    "Pi 2 GB": pc(2),
}
