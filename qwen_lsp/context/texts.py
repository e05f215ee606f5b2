"""The text of a file that the index names, from an open buffer or the disk. The only reading in this folder.

Jailed: no link on the way is followed, and the rules for what may be shown are asked again, since the file may be
another one than the index has seen. Whether a symbol is still where the index says, its reader checks by its name.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from qwen_lsp.index.rules import file_rule
from qwen_lsp.index.scan import read
from qwen_lsp.text.secrets import masked


def reader(root: Path, buffers: Mapping[str, str]) -> Callable[[str], str | None]:
    """A function from a path below `root` to its text, None where there is none to show. `buffers`: texts by path.

    Without credentials, and otherwise as it is. What was read once is kept: make a new reader for each request.
    """
    top = os.path.realpath(root)
    place = os.fsencode(top) + b"/"
    kept: dict[str, str | None] = {}

    def text_of(path: str) -> str | None:
        if path not in kept:
            text = buffers[path] if path in buffers else _text(top, place, path)
            kept[path] = None if text is None else masked(text)
        return kept[path]

    return text_of


def _text(top: str, place: bytes, path: str) -> str | None:
    full = os.path.normpath(os.path.join(top, path))  # noqa: PTH118  (pathlib has no lexical normpath)
    if not full.startswith(top.rstrip("/") + os.sep) or os.path.realpath(full) != full:
        return None
    if file_rule(path.rsplit("/", 1)[-1]) is not None:
        return None
    found = read(place, path)
    return found[0].decode() if isinstance(found, tuple) else None
