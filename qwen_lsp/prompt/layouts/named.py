"""Layouts by their names, whatever their family: one question and one base for each. Pure."""

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.prompt.layouts import begun, fim
from qwen_lsp.prompt.layouts.begun import BEGUN
from qwen_lsp.prompt.layouts.fim import LAYOUTS, Hole, Question
from qwen_lsp.prompt.segments import Prompt


def question(name: str, hole: Hole, *, heal: bool = True, stop: tuple[str, ...] = ()) -> Question:
    """What is asked at a hole in the layout of this name."""
    if name in BEGUN:
        return begun.question(BEGUN[name], hole, heal=heal, stop=stop)
    return fim.question(LAYOUTS[name], hole, heal=heal, stop=stop)


def base_prompt(name: str, repository: str, files: tuple[ContextFile, ...], log: tuple[str, ...] = ()) -> Prompt:
    """What every such question begins with, to be read ahead."""
    return begun.base_prompt(files, log) if name in BEGUN else fim.base_prompt(repository, files, log)
