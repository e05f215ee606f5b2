"""What the client said it can do, as a few facts, and what we then say that we can do.

Knows no session. A fact is read once at `initialize`; nothing else looks into the client's capabilities.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lsprotocol import types as t

from qwen_lsp.text.lines import Encoding

ACTION_KINDS = (
    t.CodeActionKind.QuickFix,
    t.CodeActionKind.RefactorRewrite,
    t.CodeActionKind.RefactorExtract,
    t.CodeActionKind.Source,
)
WHY, ACCEPTED, APPLY_ACTION = "qwen.why", "qwen.accepted", "qwen.applyAction"
PAUSE, STATS, CONTEXT, TRUST = "qwen.pause", "qwen.stats", "qwen.context", "qwen.trust"
REFACTOR, EXPLAIN, CANCEL = "qwen.refactor", "qwen.explain", "qwen.cancel"
COMMANDS = (WHY, ACCEPTED, APPLY_ACTION, PAUSE, STATS, CONTEXT, TRUST, REFACTOR, EXPLAIN, CANCEL)


@dataclass(frozen=True, slots=True)
class Client:
    """What matters to us about the editor."""

    encoding: Encoding = "utf-16"
    inline: bool = False  # shows inline completions
    literals: bool = False  # takes CodeAction objects, not only commands
    resolves: bool = False  # asks for an action's edit only when it is chosen
    disabled: bool = False  # shows why an action can not be chosen
    document_changes: bool = False  # takes edits with versions
    annotates: bool = False  # shows why an edit is made, and asks where it says so
    resources: frozenset[str] = frozenset()  # of create, rename, delete, those that an edit may hold
    is_neovim: bool = False  # which doubles the last line end of what is put into a new file
    opens_files: bool = False  # can be asked to show one
    takes_markdown: bool = False  # shows a command's result itself
    knows_refactorings: bool = False  # treats an edit that says it is one as its own: VS Code saves its files
    normalizes_line_ends: bool = False  # LF becomes what the file has
    applies_edits: bool = False
    progress: bool = False
    configuration: bool = False  # answers workspace/configuration
    watches_files: bool = False  # can be asked to tell what changes on the disk
    refreshes: bool = False  # asks again when we say that a late suggestion is ready
    renders_markdown: bool = False  # beside a completion item
    inserts_as_is: bool = False  # can be told not to indent a completion again


def client_of(capabilities: t.ClientCapabilities, name: str = "") -> Client:
    """The facts in a client's capabilities and its name; whatever is missing is "no"."""
    edit = _at(capabilities, "workspace.workspace_edit")
    resolvable = _at(capabilities, "text_document.code_action.resolve_support.properties") or ()
    modes = _at(capabilities, "text_document.completion.completion_item.insert_text_mode_support.value_set") or ()
    documented = _at(capabilities, "text_document.completion.completion_item.documentation_format") or ()
    formats = {str(getattr(kind, "value", kind)) for kind in documented}
    return Client(
        encoding=choose_encoding(_at(capabilities, "general.position_encodings") or ()),
        inline=_at(capabilities, "text_document.inline_completion") is not None,
        literals=_at(capabilities, "text_document.code_action.code_action_literal_support") is not None,
        resolves="edit" in resolvable and bool(_at(capabilities, "text_document.code_action.data_support")),
        disabled=bool(_at(capabilities, "text_document.code_action.disabled_support")),
        # Neovim takes documentChanges without saying so, as it does `resourceOperations`, which need them.
        document_changes=bool(_at(edit, "document_changes") or _at(edit, "resource_operations")),
        annotates=_at(edit, "change_annotation_support") is not None,
        resources=frozenset(str(getattr(kind, "value", kind)) for kind in _at(edit, "resource_operations") or ()),
        is_neovim=name.lower() in ("neovim", "nvim"),
        opens_files=bool(_at(capabilities, "window.show_document.support")),
        takes_markdown=_at(capabilities, "experimental.qwen.markdown") is True,
        knows_refactorings=bool(_at(edit, "metadata_support")),
        normalizes_line_ends=bool(_at(edit, "normalizes_line_endings")),
        applies_edits=bool(_at(capabilities, "workspace.apply_edit")),
        progress=bool(_at(capabilities, "window.work_done_progress")),
        configuration=bool(_at(capabilities, "workspace.configuration")),
        watches_files=bool(_at(capabilities, "workspace.did_change_watched_files.dynamic_registration")),
        refreshes=_at(capabilities, "experimental.qwen.refresh") is True,
        # Helix renders it without saying so.
        renders_markdown="markdown" in formats or name.lower() == "helix",
        inserts_as_is=t.InsertTextMode.AsIs in modes,
    )


def choose_encoding(offered: Iterable[str]) -> Encoding:
    """UTF-8 where offered, else UTF-16, which every client without a say in it uses."""
    names = [str(getattr(name, "value", name)) for name in offered]
    if "utf-8" in names:
        return "utf-8"
    if "utf-32" in names and "utf-16" not in names:
        return "utf-32"
    return "utf-16"


def server_capabilities(client: Client) -> t.ServerCapabilities:
    """What we offer this client, no more. Inline completion costs nothing to those who never ask for it."""
    return t.ServerCapabilities(
        position_encoding=t.PositionEncodingKind(client.encoding),
        text_document_sync=t.TextDocumentSyncOptions(
            open_close=True,
            change=t.TextDocumentSyncKind.Incremental,
            save=t.SaveOptions(include_text=False),
        ),
        inline_completion_provider=t.InlineCompletionOptions(),
        completion_provider=None if client.inline else t.CompletionOptions(resolve_provider=False),
        code_action_provider=(
            t.CodeActionOptions(code_action_kinds=ACTION_KINDS, resolve_provider=client.resolves)
            if client.literals
            else True  # the options may only be sent to clients that take literals
        ),
        execute_command_provider=t.ExecuteCommandOptions(commands=COMMANDS),
        workspace=t.WorkspaceOptions(
            workspace_folders=t.WorkspaceFoldersServerCapabilities(supported=True, change_notifications=True)
        ),
    )


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if value is None:
            return None
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value
