"""From a cursor to the text that could stand there. No LSP, no HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.engine.http import Priority
from qwen_lsp.features.fill import Nothing, Task, fill, unheard
from qwen_lsp.post.completion import kind_at
from qwen_lsp.post.syntax import LastParsed, around, inside
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot

__all__ = ["TYPING", "Completion", "Manner", "Nothing", "Usage", "complete"]


@dataclass(frozen=True, slots=True)
class Completion:
    """`text` replaces the document's `start` to `end`, both offsets. `others` would, too; None: nobody wanted any."""

    text: str
    start: int
    end: int
    usage: Usage
    others: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How a completion is asked for.

    `latest_of`: a newer request of the window that says the same ends this one. `heard` is told how the suggestion
    begins, as often as the model says more of it. `n_others`: how many more suggestions are wanted, for people who ask.
    """

    priority: Priority = "typing"
    latest_of: str = ""
    heard: Callable[[str], None] = unheard
    n_others: int = 0


TYPING = Manner()
LINE_TOKENS = 40  # a longer line is rare, and one that does not end is common


async def complete(
    snapshot: Snapshot,
    cursor: Cursor,
    engine: Engine,
    ledger: Ledger | None = None,
    manner: Manner = TYPING,
    last: LastParsed | None = None,
) -> Completion | Nothing:
    """What the model would type at the cursor, or why nothing is shown. Raises EngineError.

    `ledger`: turned to the cursor; without one the prompt is made anew from the snapshot. `last`: of the key before.
    """
    settings = snapshot.settings
    if not settings.completion_enabled:
        return Nothing("completion is switched off in the settings")
    document, offset = cursor.document, cursor.offset
    last = last or LastParsed()
    hole = cache(partial(around, document.language_id, document.text, offset, offset, last))
    shown_in = {"code": True, "comment": settings.completion_comments, "string": settings.completion_strings}
    if not all(shown_in.values()) and not shown_in[where := inside(hole())]:
        return Nothing(f"suggestions in {where}s are switched off (completion.{where}s)")
    kind = kind_at(document.language_id, cursor.prefix, cursor.suffix)
    most = settings.completion_max_tokens
    task = Task(
        document,
        offset,
        offset,
        min(most, LINE_TOKENS) if kind == "line" else most,
        manner.priority,
        latest_of=manner.latest_of,
        heard=manner.heard,
        kind=kind,
        hole=hole,
        n_others=manner.n_others,
    )
    filled = await fill(snapshot, task, engine, ledger)
    if isinstance(filled, Nothing):
        return filled
    others = filled.others if manner.n_others else None
    return Completion(filled.text, cursor.offset, cursor.offset, filled.usage, others)
