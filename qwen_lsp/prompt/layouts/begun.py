"""Infilling in a chat, for models that were not trained to fill in the middle: the answer is begun, thinking off.

The user's turn shows the other files, what changed in them and what stands behind the cursor; the answer begins with
what stands before it, so that the model simply goes on, and typing appends. Pure; does not know which model is loaded.
"""

from dataclasses import dataclass

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.prompt.heal import border
from qwen_lsp.prompt.layouts.chat import chat, turn
from qwen_lsp.prompt.layouts.fim import LOG_NAME, Hole, Question
from qwen_lsp.prompt.ledger import Entry
from qwen_lsp.prompt.segments import Text

FENCE = "```"
SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
HOLE_MARK = "[HOLE]"


@dataclass(frozen=True, slots=True)
class Begun:
    """`asks` stands behind what is shown, `begins` before the text at the cursor; `{path}` is the file's name."""

    name: str
    asks: str
    begins: str
    stop: tuple[str, ...]


CHAT = Begun(
    "chat",
    "These lines stand behind the cursor in {path}. Write the lines before them, code only.\n",
    FENCE + "\n",
    ("\n" + FENCE,),
)
SEARCH_REPLACE = Begun(
    "search-replace",
    f"These lines stand behind {HOLE_MARK} in {{path}}. Replace {HOLE_MARK} with the code that belongs there, "
    "in one search-and-replace block.\n",
    f"{SEARCH}\n{HOLE_MARK}\n{DIVIDER}\n",
    ("\n" + REPLACE,),
)
BEGUN = {layout.name: layout for layout in (CHAT, SEARCH_REPLACE)}


def question(layout: Begun, hole: Hole, *, heal: bool = True, stop: tuple[str, ...] = ()) -> Question:
    """Render `hole`. The same hole gives the same prompt; a key changes nothing before the line of the cursor."""
    line_start = hole.before.rfind("\n") + 1
    line = hole.before[line_start:]
    cut = border(line) if heal else len(line)
    shown = [*_shown(hole.files, hole.log), layout.asks.format(path=hole.path), hole.after]
    begun = [Text(part) for part in (layout.begins, hole.before[:line_start], line[:cut]) if part]
    return Question(chat([turn("user", *shown)], begun, (*stop, *layout.stop)), line[cut:])


def _shown(files: tuple[ContextFile, ...], log: tuple[Entry, ...]) -> list[str]:
    texts = [_file(file) for file in files]
    is_patch = False
    for entry in log:
        if isinstance(entry, ContextFile):
            texts.append(_file(entry))
            is_patch = False
        elif entry:
            texts += [entry] if is_patch else [f"{LOG_NAME}\n", entry]
            is_patch = True
    return texts


def _file(file: ContextFile) -> str:
    return f"{file.path}\n{FENCE}\n{file.text.rstrip()}\n{FENCE}\n"
