"""Which files the demo opens and where it types: choices on texts, the same each time. No server, no editor."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.index.languages import language_of

SMALL_BYTES, LARGE_BYTES = 200, 200_000  # a source file that a person would open
COPY_FILES, COPY_BYTES = 5_000, 200_000_000  # beyond that the rest of the folder stays out of the copy
SKIPPED = {".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", "target", "build", "dist"}
TYPED = 4  # characters that are typed where the line was cut

_WORTH_TYPING = re.compile(r"\s*(?:\w[\w.\[\]]* [-+*/]?= .{6,60}|return .{6,60}|(?:if|while|for) .{6,60})")
_STUB = re.compile(r"\s*(?:pass|\.\.\.|raise NotImplementedError(?:\(.*\))?|todo!\(\);?|// TODO.*)\s*")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that the story may open. `path` is relative to the workspace."""

    path: str
    language_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Hole:
    """A line that is cut at `column` and typed again: `typed` by hand, `rest` is what the author wrote after it."""

    line: int
    column: int
    typed: str
    rest: str


def copy_folder(folder: Path, target: Path) -> tuple[int, int]:
    """Copy a folder's regular files; returns how many were copied and how many were left out.

    Links, devices and what can not be read are left out: the story never needs them.
    """
    copied = left_out = n_bytes = 0
    for path in _walk(folder):
        try:
            size = path.stat().st_size
            if copied >= COPY_FILES or n_bytes + size > COPY_BYTES:
                left_out += 1
                continue
            goal = target / path.relative_to(folder)
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, goal)
            copied, n_bytes = copied + 1, n_bytes + size
        except OSError:
            left_out += 1
    return copied, left_out


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            path = Path(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def sources(folder: Path) -> list[Source]:
    """Files that the story can be played in, those with the most places to type first."""
    found = []
    for path in _walk(folder):
        language = language_of(path)
        # A row without identifiers is data or markup: nobody completes code there.
        if language is None or not language.identifiers or not SMALL_BYTES <= path.stat().st_size <= LARGE_BYTES:
            continue
        try:
            # Editors show the file's own line ends, so they are not translated here.
            text = path.read_bytes().decode()
            name = path.relative_to(folder).as_posix().encode().decode()
        except (OSError, UnicodeError):
            continue
        if hole(text) is not None:
            found.append(Source(name, language.name, text))
    return sorted(found, key=lambda source: (-min(len(_holes(source.text)), 8), source.path))


def hole(text: str) -> Hole | None:
    """The place to type: in the middle of the file, where there is something to go by."""
    holes = _holes(text)
    return holes[len(holes) // 2] if holes else None


def stub_line(text: str) -> int | None:
    """The first line that is only a placeholder."""
    return next((n for n, line in enumerate(text.split("\n")) if _STUB.fullmatch(line)), None)


def _holes(text: str) -> list[Hole]:
    holes = []
    for number, line in enumerate(text.split("\n")):
        line = line.rstrip("\r")
        if line.isascii() and _WORTH_TYPING.fullmatch(line):
            column = len(line) - len(line.lstrip()) + (len(line.strip()) + 1) // 2
            while column < len(line) and (line[column - 1].isalnum() or line[column - 1] == "_"):
                column += 1  # cut behind a word, as people pause
            rest = line[column:]
            if len(rest) > TYPED:
                holes.append(Hole(number, column, rest[:TYPED], rest[TYPED:]))
    return holes
