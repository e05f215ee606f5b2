"""Memory of machines and containers, from what the kernel's files say. The files are as they look there."""

from pathlib import Path

from inference.hardware import machine
from inference.memory import GIB, Machine

MEMINFO = """MemTotal:       24684084 kB
MemFree:        20031140 kB
MemAvailable:   23302652 kB
Buffers:           51800 kB
HugePages_Total:       0
"""
TOTAL, AVAILABLE = 24_684_084 * 1024, 23_302_652 * 1024


def tree(root: Path, **files: str) -> Path:
    """Files below a root; `__` in a name is a slash."""
    for name, text in ({"proc__meminfo": MEMINFO} | files).items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_limits(tmp_path: Path) -> None:
    root = tree(tmp_path, proc__self__cgroup="0::/user.slice/session-2.scope\n")
    assert machine(root) == Machine(TOTAL, AVAILABLE)


def test_a_container_with_version_2(tmp_path: Path) -> None:
    """Docker with `--memory 2g`: the container sees its own group as the root."""
    files = {
        "proc__self__cgroup": "0::/\n",
        "sys__fs__cgroup__memory.max": "2147483648\n",
        "sys__fs__cgroup__memory.current": "734003200\n",
        "sys__fs__cgroup__memory.stat": "anon 104857600\nfile 524288000\ninactive_file 524288000\nactive_file 0\n",
    }
    assert machine(tree(tmp_path, **files)) == Machine(2 * GIB, 2 * GIB - 734_003_200 + 524_288_000)


def test_the_tightest_of_the_groups_above_counts(tmp_path: Path) -> None:
    files = {
        "proc__self__cgroup": "0::/user.slice/app.slice/editor.scope\n",
        "sys__fs__cgroup__user.slice__memory.max": "8589934592\n",
        "sys__fs__cgroup__user.slice__memory.current": "6442450944\n",
        "sys__fs__cgroup__user.slice__app.slice__memory.max": "max\n",
        "sys__fs__cgroup__user.slice__app.slice__memory.current": "1073741824\n",
        "sys__fs__cgroup__user.slice__app.slice__editor.scope__memory.max": "17179869184\n",
        "sys__fs__cgroup__user.slice__app.slice__editor.scope__memory.current": "1073741824\n",
    }
    assert machine(tree(tmp_path, **files)) == Machine(8 * GIB, 2 * GIB)


def test_a_container_with_version_1(tmp_path: Path) -> None:
    """Without a namespace: our path lies below the mount. The outer group has the number that means no limit."""
    files = {
        "proc__self__cgroup": "9:name=systemd:/\n4:memory:/box/9f9baa5d\n3:cpuset:/\n0::/\n",
        "sys__fs__cgroup__memory__memory.limit_in_bytes": "9223372036854771712\n",
        "sys__fs__cgroup__memory__memory.usage_in_bytes": "900000000\n",
        "sys__fs__cgroup__memory__box__9f9baa5d__memory.limit_in_bytes": "1073741824\n",
        "sys__fs__cgroup__memory__box__9f9baa5d__memory.usage_in_bytes": "805306368\n",
        "sys__fs__cgroup__memory__box__9f9baa5d__memory.stat": "inactive_file 1\ntotal_inactive_file 268435456\n",
    }
    assert machine(tree(tmp_path, **files)) == Machine(GIB, GIB // 2)


def test_a_path_that_can_not_be_seen_from_the_inside(tmp_path: Path) -> None:
    files = {
        "proc__self__cgroup": "0::/../../other.scope\n",
        "sys__fs__cgroup__memory.max": "1073741824\n",
        "sys__fs__cgroup__memory.current": "2147483648\n",
    }
    assert machine(tree(tmp_path, **files)) == Machine(GIB, 0)


def test_a_system_without_proc(tmp_path: Path) -> None:
    """As on macOS. What is free, nobody says there."""
    found = machine(tmp_path)
    assert found.total_bytes > 64 << 20
    assert found.available_bytes is None


def test_this_machine() -> None:
    found = machine()
    assert found.total_bytes > 256 << 20
    assert found.available_bytes is None or 0 < found.available_bytes <= found.total_bytes
