"""The text of a file that the index names, from an open buffer or the disk. The only reading in this folder.

Jailed: no link on the way is followed, and the rules for what may be shown are asked again, since the file may be
another one than the index has seen. Whether a symbol is still where the index says, its reader checks by its name.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from qwen_lsp.index.reading import read
from qwen_lsp.index.rules import file_rule
from qwen_lsp.text.secrets import masked

KEPT_CHARS = 2_000_000  # the files that a place asks for are a dozen


type Masked = dict[str, tuple[str, str]]  # path -> a text as it was read last, and without credentials


def go_on() -> None:
    """For callers who wait for nobody."""


def reader(
    root: Path, buffers: Mapping[str, str], known: Masked | None = None, pause: Callable[[], None] = go_on
) -> Callable[[str], str | None]:
    """A function from a path below `root` to its text, None where there is none to show. `buffers`: texts by path.

    Without credentials, and otherwise as it is. What was read once is kept: make a new reader for each request. With
    `known`, kept by the caller, a text that is still the same need not be searched for credentials again.
    """
    top = os.path.realpath(root)
    place = os.fsencode(top) + b"/"
    kept: dict[str, str | None] = {}

    def text_of(path: str) -> str | None:
        if path not in kept:
            pause()
            text = buffers[path] if path in buffers else _text(top, place, path)
            kept[path] = None if text is None else _masked(path, text, {} if known is None else known)
        return kept[path]

    return text_of


def _masked(path: str, text: str, known: Masked) -> str:
    before = known.pop(path, None)
    if before is None or before[0] != text:
        before = text, masked(text)
    known[path] = before
    while len(known) > 1 and sum(len(text) for text, _ in known.values()) > KEPT_CHARS:
        del known[next(iter(known))]
    return before[1]


def _text(top: str, place: bytes, path: str) -> str | None:
    full = os.path.normpath(os.path.join(top, path))  # noqa: PTH118  (pathlib has no lexical normpath)
    if not full.startswith(top.rstrip("/") + os.sep) or os.path.realpath(full) != full:
        return None
    if file_rule(path.rsplit("/", 1)[-1]) is not None:
        return None
    found = read(place, path)
    return found[0].decode() if isinstance(found, tuple) else None
