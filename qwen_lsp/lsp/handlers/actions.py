"""textDocument/codeAction and codeAction/resolve, and the command that does both for clients without resolve.

Offering asks no model; carrying out does, on the snapshot of the moment, and its edit names versions.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lsprotocol import types as t

from qwen_lsp.engine.client import Usage
from qwen_lsp.errors import BadPosition, NotDone, QwenError
from qwen_lsp.features.actions import Action
from qwen_lsp.features.complete import Nothing
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.refactoring import Made, asked_by, deliver, make, workspace_of
from qwen_lsp.lsp.session import Session
from qwen_lsp.text.document import Document
from qwen_lsp.text.edits import EditSet
from qwen_lsp.text.snapshot import Snapshot

FEATURE = "action"
OTHERWISE = "the buffers are not as the edit leaves them"
# Neovim waits 150 ms before it reports a change; a loaded machine takes longer.
SETTLE_S = 2.0
# Emacs stands still until the command is answered, and reports nothing before.
QUIET_S, LATE_S = 0.5, 5.0

log = logging.getLogger(__name__)


def code_action(session: Session, params: t.CodeActionParams) -> Sequence[t.CodeAction | t.Command] | None:
    """What could be done here, of the kinds that the client asks for."""
    snapshot, uri = session.snapshot(), params.text_document.uri
    document = snapshot.documents.get(uri)
    if document is None:
        session.status.nothing(FEATURE, uri, "the editor has not opened this file with us")
        return None
    start = convert.offset(document, params.range.start, session.client.encoding)
    end = convert.offset(document, params.range.end, session.client.encoding)
    problems = convert.problems(document, params.context.diagnostics, session.client.encoding)
    actions = session.features.offer(snapshot, uri, min(start, end), max(start, end), problems)
    return [
        convert.code_action(_listed(action, params.context.only), session.client, document, params.context.diagnostics)
        for action in actions
        if convert.wanted(action.kind, params.context.only)
        and (action.disabled is None or (session.client.literals and session.client.disabled))
    ]


def _listed(action: Action, only: Sequence[object] | None) -> Action:
    """Editors keep `source` out of the menu at the cursor: it is for a whole file. There it has no kind."""
    return replace(action, kind="") if only is None and action.kind == "source" else action


async def resolve(session: Session, params: t.CodeAction) -> t.CodeAction:
    """The chosen action with its edit. An action that is not ours to resolve comes back as it is."""
    if params.data is None and params.command is not None:  # Helix asks for these, too
        return params
    snapshot = session.snapshot()
    action = _action(session, params.data, snapshot)
    edits = await _edits(session, snapshot, action)
    params.edit = convert.workspace_edit(edits, session.snapshot().documents, session.client)
    return params


async def apply_action(session: Session, arguments: Sequence[object]) -> dict[str, object]:
    """Carry an action out and have the client apply it; afterwards the buffers say whether it did."""
    if not session.client.applies_edits:
        raise NotDone("this editor applies no edits from a language server")
    if not arguments:
        raise BadPosition("the command needs an action")
    snapshot = session.snapshot()
    action = _action(session, arguments[0], snapshot)
    if action.instruction:
        return await deliver(session, await _made(session, action, snapshot))
    edits = await _edits(session, snapshot, action)
    now = session.snapshot().documents
    edit = convert.workspace_edit(edits, now, session.client)
    expected = {uri: edits.apply(uri, now[uri].text) for uri in edits.versions}
    refusal = await session.editor.apply(action.title, edit)
    if refusal is not None:
        return _ended(session, action, refusal)

    def is_done(documents: Mapping[str, Document]) -> bool:
        return all(uri in documents and documents[uri].text == expected[uri] for uri in expected)

    if await session.until(is_done, QUIET_S):
        return {"applied": True}
    if all(session.document(uri) == now[uri] for uri in expected):
        session.spawn(_look_later(session, action, is_done))
        return {"applied": True}
    return {"applied": True} if await session.until(is_done, SETTLE_S) else _ended(session, action, OTHERWISE)


async def _look_later(session: Session, action: Action, is_done: Callable[[Mapping[str, Document]], bool]) -> None:
    """The editor says that it is done and nothing else: it is believed for a while."""
    if not await session.until(is_done, LATE_S):
        _ended(session, action, OTHERWISE)


def _ended(session: Session, action: Action, reason: str) -> dict[str, object]:
    session.status.nothing(FEATURE, action.uri, reason)
    session.editor.show("warning", f"{action.title}: {reason}")
    return {"applied": False, "reason": reason}


def _action(session: Session, data: object, snapshot: Snapshot) -> Action:
    """The chosen action; why there is none is shown, since VS Code drops a stale request's error."""
    try:
        return convert.action_of(data, snapshot.documents)
    except QwenError as error:
        session.editor.show("warning", error.message)
        raise


async def _made(session: Session, action: Action, snapshot: Snapshot) -> Made:
    """What an action's instruction comes to."""
    document = snapshot.documents[action.uri]
    place = await workspace_of(session, document)
    return await make(session, action.title, asked_by(action, place, document), place)


async def _edits(session: Session, snapshot: Snapshot, action: Action) -> EditSet:
    """The action's edits. Every way to have none is a QwenError, and its reason goes into the status."""
    usage: Usage | None = None
    try:
        found = await session.features.carry_out(snapshot.at(convert.path_of(action.uri)), action, session.engine)
        usage = found.usage
        if isinstance(found, Nothing):
            raise NotDone(found.reason)
        convert.check_fit(found.edits, session.snapshot().documents)
    except QwenError as error:
        session.status.nothing(FEATURE, action.uri, error.message, usage)
        # Somebody chose this and waits for it, and not every editor shows a request's error.
        session.editor.show("warning", f"{action.title}: {error.message}")
        raise
    session.status.done(FEATURE, action.uri, found.usage)
    return found.edits
