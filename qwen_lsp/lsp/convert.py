"""Our types <-> lsprotocol's, both directions, nothing else. Decides nothing, holds no state.

Positions are in the negotiated encoding only here and on the wire.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsprotocol import types as t
from pygls.uris import to_fs_path

from qwen_lsp.errors import BadPosition, EditConflict, StaleDocument, UnknownDocument
from qwen_lsp.features.actions import Action
from qwen_lsp.lsp.capabilities import ACCEPTED, APPLY_ACTION, Client
from qwen_lsp.text.document import Change, Document
from qwen_lsp.text.edits import EditSet
from qwen_lsp.text.lines import Encoding

LABEL_CHARS = 60  # what fits in a completion menu
_WORD_BEFORE = re.compile(r"\w*\Z")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`text` would replace `start` to `end` of `document`, in which the cursor stands at `offset`."""

    id: str
    document: Document
    offset: int
    text: str
    start: int
    end: int


def offset(document: Document, position: t.Position, encoding: Encoding) -> int:
    """A position as an offset, clamped to the text."""
    return document.lines.offset(position.line, position.character, encoding)


def span(document: Document, start: int, end: int, encoding: Encoding) -> t.Range:
    """Two offsets as a range."""
    return t.Range(
        t.Position(*document.lines.position(start, encoding)), t.Position(*document.lines.position(end, encoding))
    )


def change(event: t.TextDocumentContentChangeEvent) -> Change:
    """One content change."""
    if isinstance(event, t.TextDocumentContentChangeWholeDocument):
        return Change(event.text)
    start, end = event.range.start, event.range.end
    return Change(event.text, (start.line, start.character), (end.line, end.character))


def path_of(uri: str) -> Path | None:
    """The path of a `file:` URI; None for everything else."""
    if not uri.startswith("file:"):
        return None
    path = to_fs_path(uri)
    return Path(path) if path else None


def roots(params: t.InitializeParams) -> tuple[Path, ...]:
    """The workspace folders, or the one root of older clients."""
    uris = [folder.uri for folder in params.workspace_folders or ()]
    if not uris and params.root_uri:
        uris = [params.root_uri]
    found = [path for uri in uris if (path := path_of(uri)) is not None]
    if not found and not uris and params.root_path:
        found = [Path(params.root_path)]
    return tuple(dict.fromkeys(found))


def inline_list(suggestion: Suggestion, client: Client) -> t.InlineCompletionList:
    """The one item; its command tells us that it was accepted."""
    item = t.InlineCompletionItem(
        insert_text=_new_text(suggestion.text, client),
        range=span(suggestion.document, suggestion.start, suggestion.end, client.encoding),
        command=t.Command(title="Accepted", command=ACCEPTED, arguments=[suggestion.id]),
    )
    return t.InlineCompletionList(items=[item])


def _new_text(text: str, client: Client) -> str:
    """With the file's line ends, or with LF for a client that turns it into them: Neovim would insert the CR."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if client.normalizes_line_ends else text


def completion_list(suggestion: Suggestion | None, client: Client) -> t.CompletionList:
    """A menu with at most one item, below everyone else's."""
    items = [] if suggestion is None else [_completion_item(suggestion, client)]
    return t.CompletionList(is_incomplete=True, items=items)


def _completion_item(suggestion: Suggestion, client: Client) -> t.CompletionItem:
    """The edit begins at the word before the cursor: what is typed there is what clients filter with."""
    document = suggestion.document
    line_start = document.lines.starts[document.lines.line_at(suggestion.offset)]
    word = _WORD_BEFORE.search(document.text, line_start, suggestion.offset)
    start = min(suggestion.start, word.start() if word else suggestion.offset)
    text = _new_text(document.text[start : suggestion.start] + suggestion.text, client)
    first, _, rest = text.strip().partition("\n")
    label = first.rstrip()
    return t.CompletionItem(
        label=label[:LABEL_CHARS] + ("…" if rest or len(label) > LABEL_CHARS else ""),
        kind=t.CompletionItemKind.Text,
        detail="qwen-lsp",
        documentation=t.MarkupContent(t.MarkupKind.Markdown, fenced(text, document.language_id)),
        sort_text="~~~~",  # after every name that other servers offer
        filter_text=text.partition("\n")[0].rstrip("\r"),
        insert_text_format=t.InsertTextFormat.PlainText,
        insert_text_mode=t.InsertTextMode.AsIs if client.inserts_as_is else None,
        text_edit=t.TextEdit(span(document, start, suggestion.end, client.encoding), text),
        command=t.Command(title="Accepted", command=ACCEPTED, arguments=[suggestion.id]),
    )


def fenced(text: str, language_id: str) -> str:
    """A Markdown code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = language_id if re.fullmatch(r"[\w.+-]{1,40}", language_id) else ""
    return f"{fence}{language}\n{text}\n{fence}"


def code_action(action: Action, client: Client) -> t.CodeAction | t.Command:
    """An action to resolve later, or one that runs our command, or the bare command."""
    run = t.Command(title=action.title, command=APPLY_ACTION, arguments=[action_data(action)])
    if not client.literals:
        return run
    return t.CodeAction(
        title=action.title,
        kind=action.kind,
        disabled=t.CodeActionDisabled(action.disabled) if action.disabled is not None else None,
        data=action_data(action) if client.resolves else None,
        command=None if client.resolves or action.disabled is not None else run,
    )


def action_data(action: Action) -> dict[str, Any]:
    """What the client keeps for us and gives back when the action is chosen."""
    return {name: getattr(action, name) for name in ("kind", "title", "id", "uri", "version", "start", "end")}


def action_of(data: object, documents: Mapping[str, Document]) -> Action:
    """The action that `data` describes, if its document still is as it was. Raises a QwenError with the reason."""
    if not isinstance(data, Mapping):
        raise BadPosition("the action carries no data of ours")
    kind, title, name, uri = (data.get(key) for key in ("kind", "title", "id", "uri"))
    version, start, end = (data.get(key) for key in ("version", "start", "end"))
    if not (isinstance(kind, str) and isinstance(title, str) and isinstance(name, str) and isinstance(uri, str)):
        raise BadPosition("the action carries no data of ours")
    if not (isinstance(version, int) and isinstance(start, int) and isinstance(end, int)):
        raise BadPosition("the action carries no data of ours")
    action = Action(kind, title, name, uri, version, start, end)
    document = documents.get(action.uri)
    if document is None:
        raise UnknownDocument("the file of this action is not open any more")
    if document.version != action.version:
        raise StaleDocument("the file changed since the action was offered")
    if not 0 <= action.start <= action.end <= len(document.text):
        raise BadPosition("the action's range lies outside the file")
    return action


def wanted(kind: str, only: Iterable[str] | None) -> bool:
    """Whether a kind is one of `only` or below one of them."""
    if only is None:
        return True
    names = [str(getattr(name, "value", name)) for name in only]
    return any(name == "" or kind == name or kind.startswith(name + ".") for name in names)


def workspace_edit(edits: EditSet, documents: Mapping[str, Document], client: Client) -> t.WorkspaceEdit:
    """The edits with their versions where the client takes them. Raises StaleDocument when one does not fit."""
    check_fit(edits, documents)
    by_uri = {
        uri: [
            t.TextEdit(span(documents[uri], edit.start, edit.end, client.encoding), edit.new_text)
            for edit in edits.of(uri)
        ]
        for uri in edits.versions
    }
    if not client.document_changes:
        return t.WorkspaceEdit(changes=by_uri)
    return t.WorkspaceEdit(
        document_changes=[
            t.TextDocumentEdit(t.OptionalVersionedTextDocumentIdentifier(uri, version), by_uri[uri])
            for uri, version in edits.versions.items()
        ]
    )


def check_fit(edits: EditSet, documents: Mapping[str, Document]) -> None:
    """Raise unless every edited file is open in the version that the edits count in, and is long enough."""
    for uri, version in edits.versions.items():
        document = documents.get(uri)
        if document is None:
            raise UnknownDocument("an edited file is not open")
        if document.version != version:
            raise StaleDocument("a file changed while the edit was made")
        if edits.of(uri)[-1].end > len(document.text):
            raise EditConflict("an edit lies outside its file")
