"""How much memory this machine, or the container we run in, has. Knows no engine: GPUs are theirs to ask.

Linux: /proc/meminfo, and the memory limits of our control group and those above it, versions 1 and 2, as the kernel's
"cgroup-v2.rst" and "cgroup-v1/memory.rst" describe them. Elsewhere: what sysconf says.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from inference.memory import Machine

_CGROUP_2 = ("memory.max", "memory.current", "inactive_file")
_CGROUP_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def machine(root: Path = Path("/")) -> Machine:
    """The machine without its GPU. `root` is where /proc and /sys are."""
    meminfo = _table(root / "proc/meminfo")
    total, available = meminfo.get("MemTotal:"), meminfo.get("MemAvailable:")
    if total is None:
        return Machine(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    total, available = total * 1024, None if available is None else available * 1024
    for limit, left in _limits(root):
        total = min(total, limit)
        available = left if available is None else min(available, left)
    return Machine(total, available)


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """Of each control group that holds us: its limit, and what is left of it; file pages that can go count as left."""
    for folder, (limit_name, usage_name, cached_name) in _groups(root):
        limit, used = _number(folder / limit_name), _number(folder / usage_name)
        if limit is not None and used is not None:
            cached = _table(folder / "memory.stat").get(cached_name, 0)
            yield limit, max(0, limit - used + cached)


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Our control groups and those above, as far as they can be seen from in here."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, names = root / "sys/fs/cgroup", _CGROUP_2
        elif "memory" in controllers.split(","):
            top, names = root / "sys/fs/cgroup/memory", _CGROUP_1
        else:
            continue
        own = top.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
        while own != top:
            yield own, names
            own = own.parent
        yield top, names


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    rows = (line.split() for line in _read(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdecimal()}


def _number(path: Path) -> int | None:
    """None where there is none, or no limit ("max")."""
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
