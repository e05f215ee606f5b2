"""The window that `qwen-lsp eval` types into, with a server of this checkout and a home of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from qwen_lsp.eval import window
from qwen_lsp.eval.window import Key
from scripts.benches.inference_servers import ROOT

__all__ = ["Key", "Window"]


class Window(window.Window):
    """Its server's errors go where the bench's go."""

    def start_in(self, home: Path, options: Mapping[str, Any], errors: int | IO[Any] | None = None) -> None:
        self.start({"QWEN_LSP_HOME": str(home), "PYTHONPATH": str(ROOT)}, options, errors)
