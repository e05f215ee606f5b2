"""Our types <-> lsprotocol's, both directions, nothing else. Decides nothing, holds no state.

Positions are in the negotiated encoding only here and on the wire.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lsprotocol import types as t
from pygls.uris import to_fs_path

from qwen_lsp.errors import BadPosition, EditConflict, NotDone, StaleDocument, UnknownDocument
from qwen_lsp.features.actions import Action
from qwen_lsp.features.refactor.values import MAX_INSTRUCTION_CHARS
from qwen_lsp.features.wishes import Problem
from qwen_lsp.lsp.capabilities import ACCEPTED, APPLY_ACTION, EXPLAIN, Client
from qwen_lsp.text.document import Change, Document
from qwen_lsp.text.edits import Create, EditSet, FileEdit
from qwen_lsp.text.fences import fenced
from qwen_lsp.text.lines import Encoding

LABEL_CHARS = 60  # what fits in a completion menu
ANNOTATION = "qwen"  # the one that all edits of an answer carry
_WORD_BEFORE = re.compile(r"\w*\Z")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`text` would replace `start` to `end` of `document`, in which the cursor stands at `offset`.

    `others`: ids and texts of more of them, for the same range.
    """

    id: str
    document: Document
    offset: int
    text: str
    start: int
    end: int
    others: tuple[tuple[str, str], ...] = ()


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


@lru_cache(1024)  # a key asks some times for the same one
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
    """The best one first; each one's command tells us that it was accepted."""
    where = span(suggestion.document, suggestion.start, suggestion.end, client.encoding)
    items = [
        t.InlineCompletionItem(
            insert_text=_new_text(text, client),
            range=where,
            command=t.Command(title="Accepted", command=ACCEPTED, arguments=[name]),
        )
        for name, text in ((suggestion.id, suggestion.text), *suggestion.others)
    ]
    return t.InlineCompletionList(items=items)


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
        documentation=_shown(text, document.language_id, client),
        sort_text="~~~~",  # after every name that other servers offer
        filter_text=text.partition("\n")[0].rstrip("\r"),
        insert_text_format=t.InsertTextFormat.PlainText,
        insert_text_mode=t.InsertTextMode.AsIs if client.inserts_as_is else None,
        text_edit=t.TextEdit(span(document, start, suggestion.end, client.encoding), text),
        command=t.Command(title="Accepted", command=ACCEPTED, arguments=[suggestion.id]),
    )


def _shown(text: str, language_id: str, client: Client) -> t.MarkupContent | str:
    if client.renders_markdown:
        return t.MarkupContent(t.MarkupKind.Markdown, fenced(text, language_id))
    return text


def code_action(
    action: Action, client: Client, document: Document, diagnostics: Sequence[t.Diagnostic] = ()
) -> t.CodeAction | t.Command:
    """An action to resolve later, or one that runs our command, or the bare command.

    `diagnostics`: all of the request; a quick fix names its own, so that editors show it beside that.
    """
    run = t.Command(title=action.title, command=APPLY_ACTION, arguments=[action_data(action)])
    if action.explains:
        (line, column), (last, end) = (
            document.lines.position(place, client.encoding) for place in (action.start, action.end)
        )
        where = {"start": {"line": line, "character": column}, "end": {"line": last, "character": end}}
        run = t.Command(title=action.title, command=EXPLAIN, arguments=[{"uri": action.uri, "range": where}])
    if not client.literals:
        return run
    # What an instruction comes to is checked, and applied by us: a finding is told and confirmed before.
    resolves = client.resolves and not action.instruction and not action.explains
    return t.CodeAction(
        title=action.title,
        kind=action.kind or None,
        diagnostics=[diagnostics[action.problem]] if action.problem is not None and diagnostics else None,
        disabled=t.CodeActionDisabled(action.disabled) if action.disabled is not None else None,
        data=action_data(action) if resolves else None,
        command=None if resolves or action.disabled is not None else run,
    )


def action_data(action: Action) -> dict[str, Any]:
    """What the client keeps for us and gives back when the action is chosen."""
    names = ("kind", "title", "id", "uri", "version", "start", "end")
    data = {name: getattr(action, name) for name in names}
    asked = {"instruction": action.instruction, "across": action.across, "cut": action.cut}
    return {**data, **asked} if action.instruction else data


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
    action = Action(kind, title, name, uri, version, start, end, None, *_asked(data))
    document = documents.get(action.uri)
    if document is None:
        raise UnknownDocument("the file of this action is not open any more")
    if document.version != action.version:
        raise StaleDocument("the file changed since the action was offered")
    if not 0 <= action.start <= action.end <= len(document.text):
        raise BadPosition("the action's range lies outside the file")
    if action.cut is not None and not 0 <= action.cut[0] <= action.cut[1] <= len(document.text):
        raise BadPosition("the action's comment lies outside the file")
    return action


def _asked(data: Mapping[Any, Any]) -> tuple[str, bool, tuple[int, int] | None]:
    """What an action asks for in words; nothing where it does not."""
    instruction, cut = data.get("instruction") or "", data.get("cut")
    if not isinstance(instruction, str) or len(instruction) > MAX_INSTRUCTION_CHARS:
        raise BadPosition("the action's instruction is no text, or too long")
    if cut is None:
        return instruction, bool(data.get("across")), None
    if not (isinstance(cut, list | tuple) and len(cut) == 2 and all(isinstance(each, int) for each in cut)):
        raise BadPosition("the action carries no data of ours")
    return instruction, bool(data.get("across")), (cut[0], cut[1])


def problems(document: Document, diagnostics: Iterable[t.Diagnostic], encoding: Encoding) -> tuple[Problem, ...]:
    """Diagnostics of any server's, in offsets."""
    found = []
    for each in diagnostics:
        start = offset(document, each.range.start, encoding)
        message = each.message if isinstance(each.message, str) else each.message.value
        found.append(Problem(start, max(start, offset(document, each.range.end, encoding)), message))
    return tuple(found)


def wanted(kind: str, only: Iterable[str] | None) -> bool:
    """Whether a kind is one of `only` or below one of them."""
    if only is None:
        return True
    names = [str(getattr(name, "value", name)) for name in only]
    return any(name == "" or kind == name or kind.startswith(name + ".") for name in names)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Why an edit is made, for editors that show it. confirm: a person shall say yes first."""

    label: str
    description: str = ""
    confirm: bool = False


def workspace_edit(
    edits: EditSet, documents: Mapping[str, Document], client: Client, why: Annotation | None = None
) -> t.WorkspaceEdit:
    """The edits with their versions where the client takes them. Raises StaleDocument when one does not fit.

    `documents` has every edited file; those that are not open have the text of the disk, and version 0.
    """
    check_fit(edits, documents)
    _check_takes(edits, client)
    mark = ANNOTATION if why is not None and client.annotates and client.document_changes else None
    by_uri = {
        uri: [_text_edit(documents[uri], edit, client.encoding) for edit in edits.of(uri)] for uri in edits.versions
    }
    if not client.document_changes:
        return t.WorkspaceEdit(changes=by_uri)
    changed: list[t.TextDocumentEdit | t.CreateFile | t.RenameFile | t.DeleteFile] = [
        t.TextDocumentEdit(
            t.OptionalVersionedTextDocumentIdentifier(uri, version), [_marked(edit, mark) for edit in by_uri[uri]]
        )
        for uri, version in edits.versions.items()
    ]
    changed += [t.RenameFile(rename.old, rename.new, annotation_id=mark) for rename in edits.renames]
    for create in edits.creates:
        changed += [t.CreateFile(create.uri, annotation_id=mark), _filled(create, client, mark)]
    changed += [t.DeleteFile(uri, annotation_id=mark) for uri in edits.deletes]
    if mark is None or why is None:
        return t.WorkspaceEdit(document_changes=changed)
    note = t.ChangeAnnotation(why.label, needs_confirmation=why.confirm, description=why.description or None)
    return t.WorkspaceEdit(document_changes=changed, change_annotations={mark: note})


def _text_edit(document: Document, edit: FileEdit, encoding: Encoding) -> t.TextEdit:
    return t.TextEdit(span(document, edit.start, edit.end, encoding), edit.new_text)


def _marked(edit: t.TextEdit, mark: str | None) -> t.TextEdit | t.AnnotatedTextEdit:
    return edit if mark is None else t.AnnotatedTextEdit(mark, edit.range, edit.new_text)


def _filled(create: Create, client: Client, mark: str | None) -> t.TextDocumentEdit:
    """A new file's text. Neovim's empty buffer has a line already: what ends with a line end takes its place."""
    end = t.Position(1, 0) if client.is_neovim and create.text.endswith("\n") else t.Position(0, 0)
    edit = _marked(t.TextEdit(t.Range(t.Position(0, 0), end), create.text), mark)
    return t.TextDocumentEdit(t.OptionalVersionedTextDocumentIdentifier(create.uri, None), [edit])


def _check_takes(edits: EditSet, client: Client) -> None:
    """Raise unless the client can make, rename and delete what the edits do."""
    needed = {"create": edits.creates, "rename": edits.renames, "delete": edits.deletes}
    for kind, files in needed.items():
        if files and not (client.document_changes and kind in client.resources):
            raise NotDone(f"this editor can not {kind} files for a language server")


def check_fit(edits: EditSet, documents: Mapping[str, Document]) -> None:
    """Raise unless every edited file is there in the version that the edits count in, and is long enough."""
    for uri, version in edits.versions.items():
        document = documents.get(uri)
        if document is None:
            raise UnknownDocument("an edited file is not open")
        if version is not None and document.version != version:
            raise StaleDocument("a file changed while the edit was made")
        if edits.of(uri)[-1].end > len(document.text):
            raise EditConflict("an edit lies outside its file")
