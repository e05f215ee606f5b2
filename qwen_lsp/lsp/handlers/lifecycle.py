"""initialize, initialized, shutdown and the workspace's folders. Touches no document."""

import logging

from lsprotocol import types as t

from qwen_lsp import __version__
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.capabilities import client_of, server_capabilities
from qwen_lsp.lsp.handlers.configuration import pull
from qwen_lsp.lsp.session import Session

NAME = "qwen-lsp"

log = logging.getLogger(__name__)


def initialize(session: Session, params: t.InitializeParams) -> t.InitializeResult:
    """Learn what the client can do, read the settings and what is ignored, answer what we can do."""
    session.client = client_of(params.capabilities, params.client_info.name if params.client_info else "")
    for progress in (session.status.progress, session.status.index_progress):
        progress.wanted = session.client.progress
    session.editor.tracing = params.trace not in (None, t.TraceValue.Off)
    session.set_roots(convert.roots(params), params.initialization_options)
    client = params.client_info.name if params.client_info else "unnamed client"
    session.judge_at_once()
    log.info("client %s, %s, %d roots", client, session.client.encoding, len(session.snapshot().roots))
    return t.InitializeResult(
        capabilities=server_capabilities(session.client), server_info=t.ServerInfo(NAME, __version__)
    )


async def initialized(session: Session, params: t.InitializedParams) -> None:
    """From here on we may talk: load the model, read the folders, ask for settings."""
    session.start_engine()
    session.start_index()
    session.spawn(session.suggestions.keep())
    session.spawn(session.status.publish(lambda: session.snapshot().roots))
    if session.client.watches_files and session.snapshot().roots:
        session.spawn(session.editor.watch_files())
    await pull(session)


async def shutdown(session: Session, params: object) -> None:
    """The client wants no more answers."""
    await session.close()


def cancel_progress(session: Session, params: t.WorkDoneProgressCancelParams) -> None:
    """The cancel button of a display."""
    cancel = session.cancels.get(str(params.token))
    if cancel is not None:
        cancel()


def set_trace(session: Session, params: t.SetTraceParams) -> None:
    """Whether the client wants `$/logTrace` lines."""
    session.editor.tracing = params.value != t.TraceValue.Off


def did_change_workspace_folders(session: Session, params: t.DidChangeWorkspaceFoldersParams) -> None:
    """Folders came and went."""
    gone = {convert.path_of(folder.uri) for folder in params.event.removed}
    came = [convert.path_of(folder.uri) for folder in params.event.added]
    roots = [root for root in session.snapshot().roots if root not in gone]
    roots += [root for root in came if root is not None and root not in roots]
    session.set_roots(tuple(roots))
    session.spawn(pull(session))
    session.spawn(session.judge())
