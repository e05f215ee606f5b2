"""workspace/executeCommand: a table of ours. Arguments come from outside and are checked here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from lsprotocol import types as t

from qwen_lsp.errors import BadPosition, NotDone
from qwen_lsp.lsp.capabilities import (
    ACCEPTED,
    APPLY_ACTION,
    CANCEL,
    CONTEXT,
    EXPLAIN,
    PAUSE,
    REFACTOR,
    STATS,
    TRUST,
    WHY,
)
from qwen_lsp.lsp.handlers.actions import apply_action
from qwen_lsp.lsp.handlers.asked import explain, refactor
from qwen_lsp.lsp.handlers.context import context
from qwen_lsp.lsp.session import Session
from qwen_lsp.verify.trust import is_trusted, trust

SHOWN_REASONS = 3  # what a message box can hold


async def execute_command(session: Session, params: t.ExecuteCommandParams) -> object:
    """Run one of our commands."""
    command = _COMMANDS.get(params.command)
    if command is None:
        raise BadPosition("there is no such command here")
    return await command(session, params.arguments or ())


async def why(session: Session, arguments: Sequence[object]) -> list[dict[str, object]]:
    """What became of the last requests, newest first; the reasons also as a message, for editors that drop a
    command's result."""
    answers = session.status.why()
    reasons = [f"{answer['feature']}: {answer['reason']}" for answer in answers if answer["reason"]]
    if not session.client.takes_markdown:
        session.editor.show("info", "; ".join(reasons[:SHOWN_REASONS]) or "no request was left without an answer")
    return answers


async def accepted(session: Session, arguments: Sequence[object]) -> None:
    """The user took a suggestion, or so many of its first units of UTF-16."""
    name, length, *_ = (*arguments, None, None)
    if isinstance(name, str) and (length is None or (isinstance(length, int) and length > 0)):
        session.suggestions.accepted(name, length)


async def pause(session: Session, arguments: Sequence[object]) -> dict[str, bool]:
    """No suggestions until the command comes again; or as `paused` says."""
    wanted = arguments[0].get("paused") if arguments and isinstance(arguments[0], Mapping) else None
    session.pause(wanted if isinstance(wanted, bool) else not session.suggestions.paused)
    return {"paused": session.suggestions.paused}


async def cancel(session: Session, arguments: Sequence[object]) -> dict[str, int]:
    """End every change that is being made: not every editor can cancel a request, or a progress display."""
    stops = list(session.cancels.values())
    for stop in stops:
        stop()
    session.editor.show("info", "cancelled" if stops else "nothing runs that could be cancelled")
    return {"cancelled": len(stops)}


async def stats(session: Session, arguments: Sequence[object]) -> dict[str, object]:
    """Counts and percentiles of all windows so far."""
    return session.suggestions.stats().summary()


async def trusted(session: Session, arguments: Sequence[object]) -> dict[str, object]:
    """The user's answer: may the project's own checks run in the workspace's folders? Without one, whether they may."""
    wanted = arguments[0].get("trusted") if arguments and isinstance(arguments[0], Mapping) else None
    roots = session.snapshot().roots
    try:
        for root in roots if isinstance(wanted, bool) else ():
            await asyncio.to_thread(trust, root, bool(wanted))
        answers = [await asyncio.to_thread(is_trusted, root) for root in roots]
    except OSError as error:
        raise NotDone(f"the list of trusted folders can not be written: {error.strerror}") from error
    return {"trusted": bool(answers) and all(answers), "roots": [str(root) for root in roots]}


_COMMANDS: Mapping[str, Callable[[Session, Sequence[object]], Awaitable[object]]] = {
    WHY: why,
    ACCEPTED: accepted,
    APPLY_ACTION: apply_action,
    PAUSE: pause,
    STATS: stats,
    CONTEXT: context,
    TRUST: trusted,
    REFACTOR: refactor,
    EXPLAIN: explain,
    CANCEL: cancel,
}
