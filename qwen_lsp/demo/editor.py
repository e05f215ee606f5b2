"""A scripted editor: opens, types, asks and applies, over stdio, as a real one does. Knows no story."""

import asyncio
import os
import sys
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from qwen_lsp import __version__
from qwen_lsp.text.document import Change, Document, changed, opened
from qwen_lsp.text.lines import Encoding

ANSWER_S = 60.0  # a slow machine with a cold model; far beyond what a person waits


class EditorError(Exception):
    """The server did not do what an editor relies on."""


@dataclass(slots=True)
class Editor:
    """One window. `encoding` and `ghost_text` are what this editor supports."""

    root: Path
    encoding: Encoding
    ghost_text: bool
    engine: str
    documents: dict[str, Document] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    _client: LanguageClient = field(init=False)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> t.InitializeResult:
        """Start the server and shake hands."""
        self._client = LanguageClient("qwen-lsp demo", __version__)
        self._listen()
        await self._client.start_io(sys.executable, "-P", "-m", "qwen_lsp", env=dict(os.environ))
        # A folder that is gone in a minute is not worth an index in the user's cache.
        options: dict[str, object] = {"index": {"enabled": False}}
        if self.engine != "auto":
            options["engine"] = self.engine
        result = await self._wait(
            self._client.initialize_async(
                t.InitializeParams(
                    capabilities=self._capabilities(),
                    process_id=os.getpid(),
                    client_info=t.ClientInfo("qwen-lsp demo", __version__),
                    initialization_options=options,
                    workspace_folders=[t.WorkspaceFolder(self.root.as_uri(), self.root.name)],
                )
            )
        )
        self._client.initialized(t.InitializedParams())
        return result

    def _capabilities(self) -> t.ClientCapabilities:
        text_document = t.TextDocumentClientCapabilities(
            code_action=t.CodeActionClientCapabilities(
                code_action_literal_support=t.ClientCodeActionLiteralOptions(
                    code_action_kind=t.ClientCodeActionKindOptions(["refactor.rewrite"])
                ),
                data_support=True,
                disabled_support=True,
                resolve_support=t.ClientCodeActionResolveOptions(["edit"]),
            ),
            completion=t.CompletionClientCapabilities(),
        )
        if self.ghost_text:
            text_document.inline_completion = t.InlineCompletionClientCapabilities()
        edit = t.WorkspaceEditClientCapabilities(document_changes=True)
        return t.ClientCapabilities(
            general=t.GeneralClientCapabilities(position_encodings=[t.PositionEncodingKind(self.encoding)]),
            text_document=text_document,
            window=t.WindowClientCapabilities(work_done_progress=True),
            workspace=t.WorkspaceClientCapabilities(workspace_edit=edit, workspace_folders=True),
        )

    def _listen(self) -> None:
        def message(params: t.ShowMessageParams) -> None:
            self.messages.append(params.message)

        def create(params: t.WorkDoneProgressCreateParams) -> None:
            return None

        def progress(params: t.ProgressParams) -> None:
            said = isinstance(params.value, dict) and (params.value.get("message") or params.value.get("title"))
            if said:
                self.progress.append(said)

        def status(params: Any) -> None:
            self.status = {key: getattr(params, key, None) for key in ("state", "detail", "model", "reason")}
            if self.status["state"] in ("ready", "failed"):
                self._ready.set()
            else:
                self._ready.clear()

        for method, handler in [
            (t.WINDOW_SHOW_MESSAGE, message),
            (t.WINDOW_WORK_DONE_PROGRESS_CREATE, create),
            (t.PROGRESS, progress),
            ("qwen/status", status),
        ]:
            self._client.feature(method)(handler)

    async def ready(self) -> None:
        """Wait until the server says that its engine answers."""
        await self._wait(self._ready.wait())
        if self.status["state"] == "failed":
            raise EditorError(f"the engine did not start: {self.status['detail']}")

    def open(self, path: str, language_id: str, text: str) -> str:
        """Open a file of the workspace; returns its URI."""
        uri = (self.root / path).as_uri()
        self.documents[uri] = opened(uri, language_id, 1, text)
        item = t.TextDocumentItem(uri, language_id, 1, text)
        self._client.text_document_did_open(t.DidOpenTextDocumentParams(item))
        return uri

    def replace(self, uri: str, start: int, end: int, text: str) -> None:
        """Put `text` in the place of the characters from `start` to `end`."""
        before = self.documents[uri]
        first, last = before.lines.position(start, self.encoding), before.lines.position(end, self.encoding)
        version = before.version + 1
        self.documents[uri] = changed(before, [Change(text, first, last)], version, self.encoding)
        self._client.text_document_did_change(
            t.DidChangeTextDocumentParams(
                t.VersionedTextDocumentIdentifier(version, uri),
                [t.TextDocumentContentChangePartial(t.Range(t.Position(*first), t.Position(*last)), text)],
            )
        )

    async def inline(self, uri: str, offset: int) -> list[t.InlineCompletionItem]:
        """What would be shown as ghost text."""
        answer = await self._wait(
            self._client.text_document_inline_completion_async(
                t.InlineCompletionParams(
                    t.InlineCompletionContext(t.InlineCompletionTriggerKind.Automatic),
                    t.TextDocumentIdentifier(uri),
                    self._position(uri, offset),
                )
            )
        )
        return list(answer.items if isinstance(answer, t.InlineCompletionList) else answer or [])

    async def completion(self, uri: str, offset: int) -> list[t.CompletionItem]:
        """What would stand in the completion menu."""
        answer = await self._wait(
            self._client.text_document_completion_async(
                t.CompletionParams(t.TextDocumentIdentifier(uri), self._position(uri, offset))
            )
        )
        return list(answer.items if isinstance(answer, t.CompletionList) else answer or [])

    async def actions(self, uri: str, start: int, end: int) -> list[t.CodeAction]:
        """The code actions for a range that can be carried out."""
        where = t.Range(self._position(uri, start), self._position(uri, end))
        answer = await self._wait(
            self._client.text_document_code_action_async(
                t.CodeActionParams(t.TextDocumentIdentifier(uri), where, t.CodeActionContext([]))
            )
        )
        return [action for action in answer or [] if isinstance(action, t.CodeAction) and action.disabled is None]

    async def resolve(self, action: t.CodeAction) -> t.CodeAction:
        """The action with its edit; without one where the server has none to give."""
        try:
            return await self._wait(self._client.code_action_resolve_async(action))
        except JsonRpcException as error:
            if error.code != t.LSPErrorCodes.RequestFailed.value:
                raise EditorError(f"{action.title}: {error.message}") from error
            return action

    async def command(self, name: str, *arguments: Any) -> Any:
        """Run one of the server's commands."""
        params = t.ExecuteCommandParams(name, arguments=list(arguments))
        return await self._wait(self._client.workspace_execute_command_async(params))

    def apply(self, edit: t.WorkspaceEdit) -> list[str]:
        """Apply a workspace edit to the open buffers, whole or not at all; returns the new texts."""
        changes = [change for change in edit.document_changes or [] if isinstance(change, t.TextDocumentEdit)]
        for change in changes:
            identifier = change.text_document
            if self.documents[identifier.uri].version != identifier.version:
                raise EditorError(f"an edit for version {identifier.version} of {identifier.uri} came too late")
        for change in changes:
            for one in sorted(change.edits, key=lambda e: (e.range.start.line, e.range.start.character), reverse=True):
                if isinstance(one, t.SnippetTextEdit):
                    raise EditorError("a snippet, which this editor did not ask for")
                self.replace_range(change.text_document.uri, one.range, one.new_text)
        return [edit.new_text for change in changes for edit in change.edits if isinstance(edit, t.TextEdit)]

    def replace_range(self, uri: str, where: t.Range, text: str) -> None:
        """Put `text` in the place of a range of the protocol's."""
        lines = self.documents[uri].lines
        start, end = (lines.offset(p.line, p.character, self.encoding) for p in (where.start, where.end))
        self.replace(uri, start, end, text)

    async def stop(self) -> None:
        """Shut the server down as an editor does on exit."""
        await self._wait(self._client.shutdown_async(None))
        self._client.exit(None)
        await self._client.stop()  # type: ignore[no-untyped-call]

    def _position(self, uri: str, offset: int) -> t.Position:
        return t.Position(*self.documents[uri].lines.position(offset, self.encoding))

    async def _wait[T](self, answer: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError:
            raise EditorError(f"no answer within {ANSWER_S:.0f} s") from None
