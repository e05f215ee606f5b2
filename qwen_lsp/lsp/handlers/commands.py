"""workspace/executeCommand: a table of ours. Arguments come from outside and are checked here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from lsprotocol import types as t

from qwen_lsp.errors import BadPosition
from qwen_lsp.lsp.capabilities import ACCEPTED, APPLY_ACTION, WHY
from qwen_lsp.lsp.handlers.actions import apply_action
from qwen_lsp.lsp.session import Session

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
    session.editor.show("info", "; ".join(reasons[:SHOWN_REASONS]) or "no request was left without an answer")
    return answers


async def accepted(session: Session, arguments: Sequence[object]) -> None:
    """The user took a suggestion."""
    if arguments and isinstance(arguments[0], str):
        session.status.accepted(arguments[0])


_COMMANDS: Mapping[str, Callable[[Session, Sequence[object]], Awaitable[object]]] = {
    WHY: why,
    ACCEPTED: accepted,
    APPLY_ACTION: apply_action,
}
