"""From a cursor to the text that could stand there. No LSP, no HTTP."""

from dataclasses import dataclass

from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.features.fill import Nothing, Task, fill
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot

__all__ = ["Completion", "Nothing", "Usage", "complete"]


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` replaces the document's `start` to `end`, both offsets."""

    text: str
    start: int
    end: int
    usage: Usage


async def complete(
    snapshot: Snapshot, cursor: Cursor, engine: Engine, ledger: Ledger | None = None, latest_of: str = ""
) -> Completion | Nothing:
    """What the model would type at the cursor, or why nothing is shown. Raises EngineError.

    `ledger`: turned to the cursor; without one the prompt is made anew from the snapshot. `latest_of`: a newer request
    of the window that says the same ends this one.
    """
    settings = snapshot.settings
    if not settings.completion_enabled:
        return Nothing("completion is switched off in the settings")
    task = Task(cursor.document, cursor.offset, cursor.offset, settings.completion_max_tokens, latest_of=latest_of)
    filled = await fill(snapshot, task, engine, ledger)
    if isinstance(filled, Nothing):
        return filled
    return Completion(filled.text, cursor.offset, cursor.offset, filled.usage)
