"""Recorded edits: windows of 200 lines that differ between two neighbouring releases of a package, before and after.

The wheels are fetched with pip into a cache folder and checked against `inference_packages.txt`; nothing of them is
run or installed. Knows no tokens.
"""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

WINDOW_LINES = 200
PACKAGES = Path(__file__).with_name("inference_packages.txt")


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines of a file in the older release, and what the newer one has in their place."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Release:
    name: str
    version: str
    sha256: str


def releases(text: str) -> list[tuple[Release, Release]]:
    """Pairs, older first, from the lines of `inference_packages.txt`."""
    found = [Release(*line.split()) for line in text.splitlines() if line and not line.startswith("#")]
    pairs = list(zip(found[::2], found[1::2], strict=True))
    for old, new in pairs:
        if old.name != new.name:
            raise ValueError(f"{old.name} stands where the newer release of {new.name} is expected")
    return pairs


def recorded(cache: Path) -> list[Window]:
    """All windows of all packages, in the order of the list."""
    cache.mkdir(parents=True, exist_ok=True)
    found: list[Window] = []
    for old, new in releases(PACKAGES.read_text("utf-8")):
        before, after = _sources(_wheel(old, cache)), _sources(_wheel(new, cache))
        for path in sorted(before.keys() & after.keys()):
            found += windows(f"{old.name} {old.version}: {path}", before[path], after[path])
    return [window for window in found if window.new]  # where all was deleted, there is no answer to draw


def windows(name: str, old: str, new: str, n_lines: int = WINDOW_LINES) -> list[Window]:
    """The windows of `old` in which something changed. Text inserted at a border belongs to the window before it."""
    if old == new or not old:
        return []
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    borders = [*range(0, len(a), n_lines), len(a)]
    places = _places(borders, a, b)
    found = []
    for (first, last), (start, end) in zip(pairwise(borders), pairwise(places), strict=True):
        before, after = "".join(a[first:last]), "".join(b[start:end])
        if before != after:
            found.append(Window(f"{name}:{first + 1}", before, after))
    return found


def _places(borders: Sequence[int], a: Sequence[str], b: Sequence[str]) -> list[int]:
    """Where each border of `a` lies in `b`; one inside a change lies behind it."""
    places = []
    blocks = SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    for border in borders[1:-1]:
        kind, first, _, start, end = next(block for block in blocks if block[1] <= border < block[2])
        places.append(start + border - first if kind == "equal" else end)
    return [0, *places, len(b)]


def _wheel(release: Release, cache: Path) -> Path:
    """The release's wheel, fetched where the cache has none."""
    found = _with_hash(release, cache)
    if found is None:
        wanted = f"{release.name}=={release.version}"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(cache), wanted], capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{wanted} can not be fetched: {done.stderr.decode(errors='replace')}")
        found = _with_hash(release, cache)
    if found is None:
        raise RuntimeError(f"{release.name}=={release.version} is not what {PACKAGES.name} was written with")
    return found


def _with_hash(release: Release, cache: Path) -> Path | None:
    for path in sorted(cache.glob(f"{release.name}-{release.version}-*.whl")):
        if hashlib.sha256(path.read_bytes()).hexdigest() == release.sha256:
            return path
    return None


def _sources(wheel: Path) -> dict[str, str]:
    return dict(_python_files(wheel))


def _python_files(wheel: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                yield name, archive.read(name).decode("utf-8")
