"""A scripted engine: it says what a test tells it to, and remembers what it was asked."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Document, opened
from qwen_lsp.text.snapshot import Snapshot


class FakeEngine:
    """Answers with the next of `answers`, a few characters at a time; `unread` is what nobody waited for."""

    def __init__(self, *answers: str, piece: int = 3) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.unread: list[str] = []
        self.state = EngineState("ready", model="fake")
        self._piece = piece

    async def start(self) -> None:
        """It is always there."""

    def on_state(self, callback: Callable[[EngineState], None]) -> None:
        callback(self.state)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        self.asked.append(request)
        answer = self.answers.pop(0)
        left = answer
        try:
            while left:
                piece, left = left[: self._piece], left[self._piece :]
                yield Piece(piece, 1.0)
            yield Usage(100, 90, len(answer), 10 + len(answer), 2.0)
        finally:
            self.unread.append(left)


def snapshot_of(text: str, *, language: str = "python", path: str = "/work/shop/a.py", **options: object) -> Snapshot:
    """One open file in the workspace /work/shop."""
    document: Document = opened(f"file://{path}", language, 1, text)
    return Snapshot({document.uri: document}, (document.uri,), (Path("/work/shop"),), Settings(**options))  # type: ignore[arg-type]
