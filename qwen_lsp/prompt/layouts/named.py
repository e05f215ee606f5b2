"""Layouts by their names, whatever their family: one question for each. Pure."""

from qwen_lsp.prompt.layouts import begun, fim
from qwen_lsp.prompt.layouts.begun import BEGUN
from qwen_lsp.prompt.layouts.fim import LAYOUTS, Hole, Question


def question(name: str, hole: Hole, *, heal: bool = True, stop: tuple[str, ...] = ()) -> Question:
    """What is asked at a hole in the layout of this name."""
    if name in BEGUN:
        return begun.question(BEGUN[name], hole, heal=heal, stop=stop)
    return fim.question(LAYOUTS[name], hole, heal=heal, stop=stop)
