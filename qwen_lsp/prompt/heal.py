"""Token healing: where the cursor stands inside a token, ask from the last certain border before it.

A cursor inside a token is off the model's path. So the prompt ends where the tokenizer surely cuts whatever is
typed next, and of the answer only what continues the typed letters is kept. The border moves only when a piece is
finished, so typing within a word sends the same prompt again and finishing it appends to that prompt.

Pure. Does not know the tokenizer itself, only how Qwen's pre-tokenizer splits a line.
"""

import re
from dataclasses import dataclass

# Longer pieces (a row of dashes, deep indentation) are sent as they are: the model would have to repeat them.
TYPED_LIMIT = 32
HEAL_TOKENS = 8  # of an answer: the letters that the model repeats before it says something new

# Qwen's pre-tokenizer within one line. A token never crosses a border between two pieces, and where the last piece
# starts does not depend on what follows it.
_LETTERS = r"[^\W\d_]+"
_SIGN = r"(?:[^\s\w]|_)"
_PIECE = re.compile(
    rf"'(?:[stmd]|re|ve|ll)|(?:[^\w\r\n]|_)?{_LETTERS}|\d| ?{_SIGN}+|\s+(?!\S)|\s+|.", re.DOTALL | re.IGNORECASE
)


def border(line: str) -> int:
    """How much of `line`, the text from the start of the cursor's line to the cursor, is surely cut off there."""
    starts = _starts(line)
    while starts:
        start = starts.pop()
        # White space is cut by what follows it: alone, it may be one piece where it is two in the line.
        if _starts(line[:start]) == starts:
            break
    else:
        start = 0
    finished = line[-1:].isdecimal()  # a digit is a token of its own
    return len(line) if finished or len(line) - start > TYPED_LIMIT else start


def _starts(line: str) -> list[int]:
    return [piece.start() for piece in _PIECE.finditer(line)]


@dataclass(frozen=True, slots=True)
class Resumed:
    """An answer held against the typed letters: `waiting` for more of it, `refused`, or `text` after them."""

    kind: str
    text: str = ""


WAITING, REFUSED, RESUMED = "waiting", "refused", "resumed"


def resume(answer: str, typed: str) -> Resumed:
    """Take from `answer`, which may still grow, what continues `typed`."""
    if answer.startswith(typed):
        return Resumed(RESUMED, answer[len(typed) :])
    return Resumed(WAITING if typed.startswith(answer) else REFUSED)
