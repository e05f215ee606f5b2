"""The window that `qwen-lsp eval` types into, with a server of this checkout and a home of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from qwen_lsp.eval import window
from qwen_lsp.eval.window import Key
from scripts.benches.inference_servers import ROOT, cpu_s

__all__ = ["Key", "Window"]


@dataclass  # without slots, so that super() finds its class
class Window(window.Window):
    """Its server's errors go where the bench's go. `cpu_ms`: what each key cost its process, edit and answer.

    `begun_s`: when each was asked, by the clock that all processes of a machine share.
    """

    cpu_ms: list[float] = field(default_factory=list)
    begun_s: list[float] = field(default_factory=list)
    _before_s: float = 0.0  # the process's time when the last edit was sent

    def start_in(self, home: Path, options: Mapping[str, Any], errors: int | IO[Any] | None = None) -> None:
        self.start({"QWEN_LSP_HOME": str(home), "PYTHONPATH": str(ROOT)}, options, errors)

    def edit(self, path: str, start: int, end: int, text: str) -> None:
        self._before_s = self._cpu_s()
        super().edit(path, start, end, text)

    def complete(self, path: str, cursor: int) -> Key:
        self.begun_s.append(time.monotonic())
        key = super().complete(path, cursor)
        self.cpu_ms.append((self._cpu_s() - self._before_s) * 1000)
        return key

    def _cpu_s(self) -> float:
        return cpu_s(psutil.Process(self._process.pid))
