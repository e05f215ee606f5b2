"""Which files an import may mean: guesses from its spelling, for all languages alike. Asks which paths are known.

Build systems and search paths are not read: a module is looked for from the importing file's folder upwards, so what
lies outside of the repository, or is renamed by a configuration, is not found.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import PurePosixPath

# What may stand behind a module's name, by the suffix of the file that imports it.
_SCRIPT = (".ts", ".tsx", ".js", ".jsx", ".d.ts", "/index.ts", "/index.tsx", "/index.js")
_ENDINGS: dict[str, tuple[str, ...]] = {
    ".py": (".py", "/__init__.py", ".pyi"),
    ".rs": (".rs", "/mod.rs", "/lib.rs"),
    ".rb": (".rb",),
    ".php": (".php",),
    ".java": (".java",),
    ".kt": (".kt", ".java"),
    ".scala": (".scala", ".java"),
    ".lua": (".lua", "/init.lua"),
    **dict.fromkeys((".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts"), _SCRIPT),
}
_SOURCE_FOLDERS = ("", "src/", "lib/")
_SEPARATORS = re.compile(r"::|[./\\]")
_HERE = {"crate", "self", "super", "@"}
_HAS_SUFFIX = re.compile(r"[\w./+-]+\.(h|hh|hpp|hxx|inc|c|cc|cpp|rb|php)")
MOST_FOLDERS = 6  # looked in from the importing file's upwards


def resolved(module: str, path: str, known: Callable[[Sequence[str]], Collection[str]]) -> str | None:
    """The file that `module` means when the file `path` imports it. `known`: which of some paths there are."""
    guesses = list(_guesses(module, path))
    found = known(guesses)
    return next((guess for guess in guesses if guess in found), None)


def parts_of(module: str) -> tuple[str, ...]:
    """The module's name in pieces, without dots that only lead upwards."""
    stem = re.sub(r"\.(h|hh|hpp|hxx|js|ts|mjs|py|rb|php|lua)$", "", module)
    return tuple(part for part in _SEPARATORS.split(stem) if part and part not in _HERE)


def _guesses(module: str, path: str) -> Iterator[str]:
    file = PurePosixPath(path)
    folder = file.parent.parts
    endings = _ENDINGS.get(file.suffix, ())
    if module.startswith("."):
        yield from _relative(module, folder, endings, counts_dots=file.suffix in (".py", ".pyi"))
        return
    names = parts_of(module)
    if (not endings or file.suffix in (".rb", ".php")) and _HAS_SUFFIX.fullmatch(module):
        tails, endings = [tuple(module.split("/"))], ("",)
    else:
        tails = [names, names[:-1]]  # the last part may be what the file defines
    for depth in range(len(folder), max(len(folder) - MOST_FOLDERS, -1), -1):
        base = "".join(f"{part}/" for part in folder[:depth])
        for source in _SOURCE_FOLDERS:
            for tail in tails:
                for ending in endings if tail else ():
                    yield f"{base}{source}{'/'.join(tail)}{ending}"


def _relative(module: str, folder: tuple[str, ...], endings: tuple[str, ...], *, counts_dots: bool) -> Iterator[str]:
    up = len(module) - len(module.lstrip(".")) - 1 if counts_dots else module.count("../")
    if up > len(folder):
        return
    base, names = folder[: len(folder) - up], parts_of(module)
    for ending in endings:
        yield "/".join((*base, *names)) + ending


def affinity(path: str, parts: tuple[str, ...]) -> float:
    """How much of a module's name stands in a path, 0 to 1: a package exports what one of its files defines."""
    if not parts:
        return 0.0
    stems = {part.partition(".")[0] for part in path.split("/")}
    return sum(part in stems for part in parts) / len(parts)
