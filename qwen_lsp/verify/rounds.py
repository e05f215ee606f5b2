"""The checks of a workspace for several rounds of edits: one copy, one baseline. Knows no model."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from qwen_lsp.errors import NotDone
from qwen_lsp.settings import Settings
from qwen_lsp.verify.check import copy_of, verify_in
from qwen_lsp.verify.choose import known
from qwen_lsp.verify.shadow import Shadow
from qwen_lsp.verify.trust import is_trusted
from qwen_lsp.verify.verdict import Baseline, Changes, Check, Verdict

type Verify = Callable[[Mapping[str, str | None]], Awaitable[Verdict]]


@asynccontextmanager
async def checking(
    root: Path,
    settings: Settings,
    buffers: Changes,
    tell: Callable[[str], None],
    checks: tuple[Check, ...] | None = None,
) -> AsyncIterator[Verify]:
    """`checks`: those that a person named for this; None: those of the workspace. The copy is made when needed."""
    async with AsyncExitStack() as stack:
        shadow: Shadow | None = None
        base: Baseline | None = None

        async def verify(texts: Mapping[str, str | None]) -> Verdict:
            nonlocal shadow, base
            if not is_trusted(root):
                return Verdict(reason=f"commands run only in folders that you trust: `qwen-lsp trust {root}`")
            wanted = known(root, settings) if checks is None else checks
            if not wanted:
                return Verdict(reason="no check is known for this project: name one in refactor.checks")
            try:
                if shadow is None:
                    tell("copying the workspace")
                    shadow = await stack.enter_async_context(copy_of(root, buffers))
                verdict = await verify_in(shadow, texts, wanted, base, tell=tell)
            except NotDone as error:
                return Verdict(reason=error.message)
            base = verdict.base
            return verdict

        yield verify
