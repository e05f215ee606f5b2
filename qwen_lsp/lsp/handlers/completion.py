"""textDocument/completion, for clients without inline completion: at most one item, never in the way of others'."""

from lsprotocol import types as t

from qwen_lsp.lsp import convert
from qwen_lsp.lsp.flight import Superseded
from qwen_lsp.lsp.handlers.suggest import suggest
from qwen_lsp.lsp.session import Session

FEATURE = "completion"


async def completion(session: Session, params: t.CompletionParams) -> t.CompletionList:
    """The suggestion as an item of the menu."""
    found = await suggest(session, FEATURE, params, automatic=False)
    return convert.completion_list(None if isinstance(found, Superseded) else found, session.client)
