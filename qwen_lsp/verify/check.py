"""verify(): the edits in a copy, the project's checks in it, and what they say now that they did not say before.

Knows no editor, no model and no rounds; whoever has them makes one `Shadow` for all rounds, so that builds go on where
they were, or calls `verify` and gets a copy for one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from qwen_lsp.errors import NotDone
from qwen_lsp.verify.command import run
from qwen_lsp.verify.compare import Moved, alignments, new_findings
from qwen_lsp.verify.sandbox import Guard, guard
from qwen_lsp.verify.shadow import Shadow, shadowed
from qwen_lsp.verify.trust import is_trusted
from qwen_lsp.verify.verdict import NO_CHANGES, Baseline, Changes, Check, Finding, Limits, Outcome, Verdict

LIMITS = Limits()
SAID_CHARACTERS = 1_500  # of output that was not understood: the end of it tells most


def _silent(text: str) -> None:
    """Nobody wants to know."""


async def verify(
    root: Path,
    edits: Changes,
    checks: Sequence[Check],
    base: Baseline | None = None,
    limits: Limits = LIMITS,
    *,
    buffers: Changes = NO_CHANGES,
    tell: Callable[[str], None] = _silent,
) -> Verdict:
    """What `edits` do to what `checks` say. `buffers` are unsaved texts that belong to the workspace as it is.

    Without a `base` the checks run before the edits as well. `tell` hears what is done, for a progress bar.
    """
    try:
        tell("copying the workspace")
        async with copy_of(root, buffers, limits) as shadow:
            return await verify_in(shadow, edits, checks, base, limits, tell=tell)
    except NotDone as error:
        return Verdict(reason=error.message)


@asynccontextmanager
async def copy_of(root: Path, buffers: Changes = NO_CHANGES, limits: Limits = LIMITS) -> AsyncIterator[Shadow]:
    """A copy of the workspace for several rounds. Raises NotDone where none may or can be made."""
    if not await asyncio.to_thread(is_trusted, root):
        raise NotDone(f"commands run only in folders that you trust: `qwen-lsp trust {root}`")
    stack = ExitStack()
    making = asyncio.ensure_future(asyncio.to_thread(stack.enter_context, shadowed(root, buffers, limits)))
    try:
        yield await asyncio.shield(making)
    finally:
        # A cancel must not leave a copy behind that a thread is still making.
        await asyncio.shield(_closed(making, stack))


async def _closed(making: "asyncio.Future[Shadow]", stack: ExitStack) -> None:
    with suppress(NotDone, OSError):
        await making
    await asyncio.to_thread(stack.close)


async def verify_in(
    shadow: Shadow,
    edits: Changes,
    checks: Sequence[Check],
    base: Baseline | None = None,
    limits: Limits = LIMITS,
    *,
    tell: Callable[[str], None] = _silent,
) -> Verdict:
    """As `verify`, in a copy that is there. Raises NotDone where the edits can not be put into it."""
    sandbox = await asyncio.to_thread(guard)
    if base is None:
        await asyncio.to_thread(shadow.apply, NO_CHANGES)
        base = Baseline(await _outcomes(shadow, checks, sandbox, limits, "before the edits: {}", tell))
    files = alignments(shadow.texts(edits), edits)
    await asyncio.to_thread(shadow.apply, edits)
    outcomes = await _outcomes(shadow, checks, sandbox, limits, "checking: {}", tell)
    new = tuple(finding for outcome in outcomes for finding in _new(outcome, base.of(outcome.check), files))
    return Verdict(new, outcomes, base, sandbox.told)


async def _outcomes(
    shadow: Shadow,
    checks: Sequence[Check],
    sandbox: Guard,
    limits: Limits,
    text: str,
    tell: Callable[[str], None],
) -> tuple[Outcome, ...]:
    """One after the other: two test suites at once would disturb each other."""
    outcomes = []
    for check in checks:
        tell(text.format(check.title))
        outcomes.append(await run(check, shadow, sandbox, limits))
    return tuple(outcomes)


def _new(now: Outcome, before: Outcome | None, files: Mapping[str, Moved]) -> tuple[Finding, ...]:
    """What this check did not say before. A check that passed and does no longer has at least one finding."""
    if now.passed and before is not None and before.passed and now.findings == before.findings:
        return ()
    known = before.findings if before is not None else ()
    could_run = before is None or before.ended == "exit"
    new = new_findings(known, now.findings, files) if could_run else ()
    if new or now.passed or (before is not None and not before.passed):
        return new
    said = now.tail[-SAID_CHARACTERS:].strip()
    ended = f"exit status {now.code}" if now.ended == "exit" else f"ended by a limit: {now.ended}, {now.detail}"
    message = f"{now.check.title} passed before the edits, and now: {ended}. {said}".strip()
    return (Finding("", 0, 0, "error", message, check=now.check.title),)
