"""Does the loaded model fill holes in the layout that the settings name? One small question, after all else there is.

A model that lacks the layout's control tokens refuses it; one that was trained to chat may talk, or answer in Markdown.
Then the other layouts are tried. How good a model is this does not tell: `qwen-lsp eval` does. No LSP, no HTTP.
"""

import re
from contextlib import aclosing
from dataclasses import dataclass

from qwen_lsp.engine.client import Engine, Piece, Request
from qwen_lsp.errors import EngineRefused
from qwen_lsp.prompt.layouts.fim import Hole
from qwen_lsp.prompt.layouts.named import question
from qwen_lsp.settings import LAYOUTS, Layout

HOLE = Hole("sums.py", "def add(a, b):\n    return", "\n\n\nprint(add(1, 2))\n")
ANSWER_TOKENS = 12
_TALK = re.compile(r"```|\*\*|^\s*(?:Sure|Here|Certainly|To |The |This |I |You )")


@dataclass(frozen=True, slots=True)
class Trial:
    """`layout`: one that works, or the one that was wanted where none does. `problem`: for a person; empty: none."""

    layout: Layout
    failed: frozenset[Layout] = frozenset()
    problem: str = ""


async def tried(engine: Engine, wanted: Layout) -> Trial:
    """Ask in the layout that is wanted, and in others only where that fails. Raises EngineError but for a refusal."""
    failed: dict[Layout, str] = {}
    for layout in sorted(LAYOUTS, key=lambda each: each != wanted):
        reason = await _trouble(engine, layout)
        if not reason and not failed:
            return Trial(wanted)
        if not reason:
            instead = f'so completion.layout is "{layout}" here'
            return Trial(layout, frozenset(failed), f'layout "{wanted}": {failed[wanted]}, {instead}')
        failed[layout] = reason
    return Trial(wanted, frozenset(), f"the model fills no holes in any layout ({failed[wanted]}): expect little of it")


async def _trouble(engine: Engine, layout: Layout) -> str:
    """What is wrong with this model in this layout; empty if nothing is."""
    asked = question(layout, HOLE, heal=False, stop=("\n",))
    answer = ""
    try:
        async with aclosing(engine.generate(Request(asked.prompt, ANSWER_TOKENS, "warm-up"))) as items:
            async for item in items:
                answer += item.text if isinstance(item, Piece) else ""
    except EngineRefused as error:
        return error.message
    return "the model answers with talk or Markdown" if talks(answer) else ""


def talks(answer: str) -> bool:
    """Whether what should be code is Markdown, or is addressed to a person."""
    return _TALK.search(answer) is not None
