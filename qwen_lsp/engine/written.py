"""Prompts as text, for servers that take no token ids; and what that costs the user's text. Pure.

Such a server looks for control tokens in whatever it is sent. So one that stands in a file is broken by a character
without width behind its `<`, and what the answer repeats of that is made whole again. The law, which a test holds for
all texts: the control tokens that can be read out of what is sent are those that a layout put there, in its order.
"""

import re
from collections.abc import Container
from itertools import groupby

from qwen_lsp.prompt.segments import Control, Prompt, Segment, Text, Turn
from qwen_lsp.text.secrets import masked

BREAK = "\u200b"  # ZERO WIDTH SPACE: no tokenizer merges it into a control token, and code has none

# Whatever begins like this may be a control token of some model; the names are those without bars.
_NAMES = (
    r"/?(?:think|tool_call|tool_response|tools|s|unk|pad|mask|bos|eos|cls|sep|endoftext|fim_\w+|repo_name|file_sep"
    r"|filename|gh_stars|issue_\w+|jupyter_\w+|commit_\w+|empty_output|reponame|start_of_\w+|end_of_\w+|unused\d+"
    r"|PRE|SUF|MID|EOT|reserved_\w+)>"
)
CONTROL = re.compile(rf"<(?=[|\uff5c]|{_NAMES})")  # U+FF5C: DeepSeek's
CHAT_ORDER = (
    "Continue the text below exactly where it ends: it is the last file, up to the cursor. "
    "Answer with what follows and nothing else, no explanation and no code fence."
)


def harmless(text: str) -> str:
    """`text` with every control token in it broken."""
    return CONTROL.sub("<" + BREAK, text)


def whole(text: str) -> str:
    """What the model said, with what `harmless` broke as it was."""
    return text.replace("<" + BREAK, "<")


def written(prompt: Prompt, known: Container[str]) -> str:
    """The prompt in one text. Control tokens that the model does not know become a line end."""
    return _joined(prompt.segments, known)


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as a chat, for a server with a template of its own; one that is no chat is asked for in words."""
    if prompt.turns:
        return [{"role": turn.role, "content": _joined(turn.parts, ())} for turn in prompt.turns]
    return [{"role": "user", "content": f"{CHAT_ORDER}\n\n{_joined(prompt.segments, ())}"}]


def begins_the_answer(turns: tuple[Turn, ...]) -> bool:
    """Whether the last turn is the answer's own beginning."""
    return bool(turns) and turns[-1].role == "assistant"


def _joined(segments: tuple[Segment, ...], known: Container[str]) -> str:
    """The one door of such prompts: no credential goes through it, and no control token but a layout's.

    Texts that follow one another are joined first: two halves of a control token make a whole one.
    """
    pieces: list[str] = []
    for is_text, group in groupby(segments, lambda segment: isinstance(segment, Text)):
        if is_text:
            text = "".join(segment.text for segment in group if isinstance(segment, Text))
            pieces.append(harmless(masked(text)))
        else:
            names = [segment.token for segment in group if isinstance(segment, Control)]
            pieces += [name if name in known else "\n" for name in names]
    return "".join(pieces)


class Unbroken:
    """`whole`, for an answer that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What can be said now: a last `<` waits for what follows it."""
        text = whole(self._held + piece)
        self._held = "<" if text.endswith("<") else ""
        return text.removesuffix("<") if self._held else text

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held
