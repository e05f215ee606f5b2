"""Symbols of open buffers: `python -m qwen_lsp.index.live`. One frame in, one frame out, until stdin ends.

A process of its own, because the parser keeps the interpreter to itself; beside the indexer's, because a buffer must
not wait for a scan. Judges a buffer as the scan judges files: what does not count has no symbols. The trees of the last
buffers are kept, so that a change parses what it touched. Knows no editor.
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qwen_lsp.index import frames
from qwen_lsp.index.buffers import Trees
from qwen_lsp.index.judge import Told, why_buffer
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.repository import settings
from qwen_lsp.index.rules import data_rule
from qwen_lsp.index.scan import opened
from qwen_lsp.index.symbols import BufferSymbols, of_buffer

NICENESS = 5  # a later key needs what this finds; the next one must not wait for a core


@dataclass(frozen=True, slots=True)
class Buffer:
    """The text of the file `path` below `root`, as its editor has it."""

    root: Path
    path: str
    text: str = field(repr=False)


@dataclass(slots=True)
class Live:
    """What is kept from one buffer to the next: trees, and what git said of each root."""

    trees: Trees = field(default_factory=Trees)
    told: dict[Path, Told] = field(default_factory=dict)

    def symbols_of(self, buffer: Buffer) -> BufferSymbols | None:
        """What the buffer holds; None if the file does not count."""
        source = buffer.text.encode("utf-8", "replace")
        told = self.told.get(buffer.root) or self.told.setdefault(buffer.root, settings(buffer.root))
        top = opened(buffer.root, told)
        if data_rule(buffer.path) or why_buffer(top, buffer.path.split("/"), source):
            return None
        language = language_of(buffer.path, buffer.text.split("\n", 1)[0])
        return of_buffer(source, language, partial(self.trees.parse, (buffer.root, buffer.path)))


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the window, which closes our stdin
    if sys.platform != "win32":
        os.nice(NICENESS)
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    live = Live()
    with suppress(EOFError, BrokenPipeError):
        while True:
            buffer = frames.read(sys.stdin.buffer)
            frames.write(stdout, live.symbols_of(buffer) if isinstance(buffer, Buffer) else None)
    return 0


if __name__ == "__main__":
    from qwen_lsp.index.live import main as begin  # see indexer.py

    sys.exit(begin())
