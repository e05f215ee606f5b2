"""What a piece of code does, in words. No edit, no LSP."""

from qwen_lsp.context.rank import excluded, shown_path
from qwen_lsp.engine.client import Engine, Request
from qwen_lsp.errors import NotDone
from qwen_lsp.features.refactor.ask import ask
from qwen_lsp.features.refactor.wording import explain_turns
from qwen_lsp.prompt.layouts.chat import chat
from qwen_lsp.text.document import Document
from qwen_lsp.text.fences import inert
from qwen_lsp.text.snapshot import Snapshot

MAX_TOKENS = 700
MAX_CHARS = 24_000  # of the file; around the place that is meant


async def explain(snapshot: Snapshot, document: Document, start: int, end: int, engine: Engine) -> str:
    """Markdown. Raises NotDone with the reason, or EngineError."""
    reason = excluded(document)
    if reason is not None:
        raise NotDone(reason)
    shown = document.masked
    first = max(0, min(start, len(shown)) - MAX_CHARS // 2)
    text, selected = shown[first : first + MAX_CHARS], shown[start:end] or _line(shown, start)
    if not selected.strip():
        raise NotDone("there is nothing here to explain: select some lines")
    turns = explain_turns(shown_path(document.uri, snapshot.roots), text, selected, document.language_id)
    said = await ask(engine, Request(chat(turns), MAX_TOKENS, "action"))
    if not said.text.strip():
        raise NotDone("the model has nothing to say about it")
    return inert(said.text.strip()) + "\n"


def _line(text: str, offset: int) -> str:
    end = text.find("\n", offset)
    return text[text.rfind("\n", 0, offset) + 1 : end if end >= 0 else len(text)]
