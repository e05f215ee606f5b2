"""textDocument/inlineCompletion. No item: its reason is in the status. Null: a newer request has taken its place.

Neovim shows what it showed before when the answer is null, and clears it when there is no item.
"""

from dataclasses import replace

from lsprotocol import types as t

from qwen_lsp.lsp import convert
from qwen_lsp.lsp.convert import Suggestion
from qwen_lsp.lsp.flight import Superseded
from qwen_lsp.lsp.handlers.suggest import suggest
from qwen_lsp.lsp.session import Session
from qwen_lsp.text.lines import Encoding

FEATURE = "inline"


async def inline_completion(session: Session, params: t.InlineCompletionParams) -> t.InlineCompletionList | None:
    """The text that could stand at the cursor."""
    automatic = params.context.trigger_kind == t.InlineCompletionTriggerKind.Automatic
    suggestion = await suggest(session, FEATURE, params, automatic=automatic)
    if isinstance(suggestion, Superseded):
        return None
    selected = params.context.selected_completion_info
    if suggestion is not None and selected is not None:
        suggestion = _with_selected(suggestion, selected, session.client.encoding)
        if suggestion is None:
            session.status.nothing(FEATURE, params.text_document.uri, "it differs from the menu's item", shown=False)
    if suggestion is None:
        return t.InlineCompletionList(items=[])
    return convert.inline_list(suggestion, session.client)


def _with_selected(suggestion: Suggestion, selected: t.SelectedCompletionInfo, encoding: Encoding) -> Suggestion | None:
    """The suggestion over the range of the item that is selected in the menu, if it goes on from that item."""
    document = suggestion.document
    start = convert.offset(document, selected.range.start, encoding)
    end = convert.offset(document, selected.range.end, encoding)
    if start > suggestion.start or end > max(suggestion.end, suggestion.offset):
        return None
    text = document.text[start : suggestion.start] + suggestion.text
    return replace(suggestion, start=start, text=text, others=()) if text.startswith(selected.text) else None
