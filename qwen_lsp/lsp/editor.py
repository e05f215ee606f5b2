"""What we say to the editor unasked: messages, progress, edits to apply, questions about settings.

The only sender of notifications and requests. Decides nothing.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Literal

from lsprotocol import types as t
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from qwen_lsp.engine.client import Usage

STATUS, REFRESH = "qwen/status", "qwen/refresh"
SECTION = "qwen"
Level = Literal["error", "warning", "info"]
_LEVELS: Mapping[Level, t.MessageType] = {
    "error": t.MessageType.Error,
    "warning": t.MessageType.Warning,
    "info": t.MessageType.Info,
}


class Editor:
    """The other end of the connection."""

    def __init__(self, server: LanguageServer) -> None:
        self._server = server
        self.tracing = False  # the client wants `$/logTrace`

    def trace(self, what: str, usage: Usage, paused_ms: float = 0.0) -> None:
        """One answered request, in counts and milliseconds. `paused_ms`: waited for another key, on purpose."""
        if self.tracing:
            verbose = json.dumps(asdict(usage) | {"paused_ms": round(paused_ms, 3)})
            self._server.log_trace(t.LogTraceParams(message=what, verbose=verbose))

    def status(self, params: Mapping[str, Any]) -> None:
        """Our own notification; editors that do not know it ignore it."""
        self._server.protocol.notify(STATUS, dict(params))

    def refresh(self, uri: str) -> None:
        """A suggestion for the document is ready after the editor stopped waiting: it may ask again."""
        self._server.protocol.notify(REFRESH, {"uri": uri})

    def show(self, level: Level, message: str) -> None:
        """A message that the user sees."""
        self._server.window_show_message(t.ShowMessageParams(type=_LEVELS[level], message=_signed(message)))

    async def create_progress(self, token: str) -> bool:
        """Ask for a progress display; False where the editor refuses."""
        try:
            await self._server.window_work_done_progress_create_async(t.WorkDoneProgressCreateParams(token=token))
        except JsonRpcException:
            return False
        return True

    def begin_progress(self, token: str, detail: str, *, cancellable: bool = False) -> None:
        """Show a created progress."""
        self._progress(
            token, t.WorkDoneProgressBegin(title="qwen-lsp", message=_unsigned(detail), cancellable=cancellable)
        )

    def report_progress(self, token: str, detail: str) -> None:
        """Another line of it."""
        self._progress(token, t.WorkDoneProgressReport(message=detail))

    def end_progress(self, token: str, detail: str) -> None:
        """The last line of it."""
        self._progress(token, t.WorkDoneProgressEnd(message=detail))

    def _progress(
        self, token: str, value: t.WorkDoneProgressBegin | t.WorkDoneProgressReport | t.WorkDoneProgressEnd
    ) -> None:
        self._server.progress(t.ProgressParams(token=token, value=value))

    async def ask(self, question: str, answers: tuple[str, ...]) -> str | None:
        """A question with buttons: the one that was pressed, None where there was no answer."""
        items = [t.MessageActionItem(title) for title in answers]
        params = t.ShowMessageRequestParams(t.MessageType.Info, _signed(question), items)
        try:
            answer = await self._server.window_show_message_request_async(params)
        except JsonRpcException:
            return None
        return answer.title if answer is not None else None

    async def open_file(self, uri: str) -> bool:
        """Have the editor show a file; False where it did not."""
        try:
            shown = await self._server.window_show_document_async(t.ShowDocumentParams(uri))
        except JsonRpcException:
            return False
        return bool(shown.success)

    async def apply(
        self, label: str, edit: t.WorkspaceEdit, metadata: t.WorkspaceEditMetadata | None = None
    ) -> str | None:
        """Have the editor apply an edit: None when it says that it did, else its reason."""
        params = t.ApplyWorkspaceEditParams(edit=edit, label=label, metadata=metadata)
        try:
            result = await self._server.workspace_apply_edit_async(params)
        except JsonRpcException as error:
            return error.message
        if result is None or result.applied:
            return None
        return result.failure_reason or "the editor did not say why"

    async def watch_files(self) -> None:
        """Ask to be told what changes on the disk; an editor that refuses leaves that to our own watching."""
        options = t.DidChangeWatchedFilesRegistrationOptions(watchers=[t.FileSystemWatcher(glob_pattern="**/*")])
        what = t.Registration("qwen/files", t.WORKSPACE_DID_CHANGE_WATCHED_FILES, options)
        with suppress(JsonRpcException):
            await self._server.client_register_capability_async(t.RegistrationParams([what]))

    async def configuration(self, folders: Sequence[str] = ()) -> Sequence[object]:
        """The editor's settings for us: the window's, then those in each folder of these URIs. None: it has none."""
        items = [t.ConfigurationItem(section=SECTION)]
        items += [t.ConfigurationItem(scope_uri=uri, section=SECTION) for uri in folders]
        try:
            answer = await self._server.workspace_configuration_async(t.ConfigurationParams(items=items))
        except JsonRpcException:
            return [None]
        return answer or [None]


def _signed(message: str) -> str:
    """With our name, once: a message about an action begins with its title, which has it, too."""
    return f"qwen-lsp: {_unsigned(message)}"


def _unsigned(message: str) -> str:
    return message.removeprefix("Qwen: ")
