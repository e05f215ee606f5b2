"""From an answer, which may still grow, to the text that is inserted at the cursor.

How much is shown is decided by what stands around the cursor: one line, or lines up to the end of a block. What the
text behind the cursor already says is left out. Lines end by LF here. Does not know syntax trees (syntax.py) or models.
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["line", "statement", "block"]

LOOP_TIMES, LOOP_CHARS = 3, 24  # so often the same in a row, so long together: a model that goes round in circles
MOST_PERIOD = 120
MAX_BLOCK_LINES = 16  # more is not read before it is accepted or rejected
INDENT_TAB = 4  # only compared with itself

# What no person types: the end of a character that was cut, terminal controls, a control token spelled out.
_CONTROL = re.compile(
    r"<\|(?:endoftext|im_start|im_end|fim_[a-z]+|repo_name|file_sep)\|>|[\x00-\x08\x0b-\x1f\x7f\ufffd]"
)
_OPENS_BLOCK = re.compile(r"(?:[:{(\[]|=>|->|\b(?:do|then|else))\s*$")
_GOES_ON = re.compile(r"\s*(?:[)\]}]|(?:else|elif|except|finally|catch|end)\b)")
_PYTHON_BLOCK = re.compile(
    r"\s*(?:async|class|def|if|elif|else|for|while|try|except|finally|with|match|case)\b|.*\blambda\b"
)
_BEGINS = re.compile(r"\s*(?:#|//|/\*|\*|@|--)")  # a comment or a decorator: the statement is still to come
_MAY_GO_ON = ("else", "elif", "except", "finally", "catch", "end")
_FENCE = re.compile(r"\s*```[\w.+-]*[ \t]*\n")
_CLOSERS = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Place:
    """What stands around the hole: its line before and behind it, the nearest lines that are not blank."""

    line: str
    rest: str
    above: str
    below: str
    max_lines: int = MAX_BLOCK_LINES
    kind: Kind = "block"

    @property
    def block(self) -> bool:
        """Several lines may be inserted here; else one."""
        return self.kind != "line"


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The text to insert, or an empty one and why."""

    text: str
    reason: str = ""


def kind_at(language_id: str, before: str, after: str) -> Kind:
    """How much is wanted in a hole in code: a line, one statement, or lines to the end of a block."""
    line, (rest, _, below) = before.rpartition("\n")[2], after.partition("\n")
    follows = next((each for each in below[:2000].split("\n") if each.strip()), "")
    if rest.strip():
        return "line"
    if not line.strip():
        goes_on = follows and _indent(follows) >= _indent(line) and not _GOES_ON.match(follows)
        return "statement" if goes_on else "block"
    if not _OPENS_BLOCK.search(line) or (follows and _indent(follows) > _indent(line)):
        return "line"  # or what it opens is there already
    if language_id == "python" and line.rstrip().endswith(":") and not _PYTHON_BLOCK.match(line):
        return "line"
    return "block"


def unfenced(answer: str) -> str:
    """The code of an answer that is put in a Markdown block, which may still grow; any other answer as it is."""
    begun = _FENCE.match(answer)
    if begun is None:
        return "" if answer.lstrip().startswith("```") and "\n" not in answer.strip() else answer
    return answer[begun.end() :].partition("\n```")[0]


def place(before: str, after: str, max_lines: int = MAX_BLOCK_LINES, kind: Kind | None = None) -> Place:
    """Look at the text around a hole."""
    above, _, line = before.rpartition("\n")
    rest, _, below = after.partition("\n")
    lines_above = [each for each in above[-2000:].split("\n") if each.strip()]
    lines_below = [each for each in below[:2000].split("\n") if each.strip()]
    opens = not rest.strip() and (not line.strip() or bool(_OPENS_BLOCK.search(line)))
    kind = kind or ("block" if opens else "line")
    return Place(line, rest, (lines_above or [""])[-1], (lines_below or [""])[0], max_lines, kind)


def enough(place: Place, answer: str) -> bool:
    """Nothing that the model may still say would be shown: stop reading."""
    if _CONTROL.search(answer) or _looped(answer) is not None:
        return True
    if not place.block:
        return "\n" in answer
    lines = answer.split("\n")
    return _block_end(place, lines, complete=False) < len(lines)


def finish(place: Place, answer: str) -> Trimmed:
    """The part of a whole answer that is worth inserting."""
    leak = _CONTROL.search(answer)
    answer = answer[: leak.start()] if leak else answer
    lines = answer[: _looped(answer)].split("\n")
    kept = lines[: _block_end(place, lines, complete=True)] if place.block else lines[:1]
    text = "\n".join(kept)
    if place.rest.strip():
        text = _not_said_again(text, place)
    text = text.rstrip()
    if not text:
        return Trimmed("", "the model has nothing to add here")
    first = (place.line + text.split("\n", 1)[0]).strip()
    if place.rest.strip() or not re.search(r"\w", first):
        return Trimmed(text)
    if first == place.below.strip():
        return Trimmed("", "the suggestion repeats the line below")
    if first == place.above.strip() and "\n" not in text:
        return Trimmed("", "the suggestion repeats the line above")
    return Trimmed(text)


def _looped(answer: str) -> int | None:
    """Where an answer begins to say its end again and again; None where it does not."""
    for period in range(1, min(MOST_PERIOD, len(answer) // LOOP_TIMES) + 1):
        part = answer[-period:]
        times = max(LOOP_TIMES, -(-LOOP_CHARS // period))
        if len(answer) >= times * period and answer.endswith(part * times) and part.strip("-=*#_ \t"):
            start = len(answer) - times * period
            while start and answer[start - 1] == answer[start - 1 + period]:
                start -= 1
            return start + period
    return None


def _indent(line: str) -> int:
    wide = line.expandtabs(INDENT_TAB)
    return len(wide) - len(wide.lstrip())


def _block_end(place: Place, lines: list[str], *, complete: bool) -> int:
    """How many lines belong to the block. Of an answer that still grows the last line may be cut anywhere."""
    opened = bool(place.line.strip())
    floor = _indent(place.line) + opened
    after_blank, was_deeper = False, False
    for number, line in enumerate(lines[1:], 1):
        growing = not complete and number == len(lines) - 1
        if number >= place.max_lines:
            return number
        if not line.strip():
            if place.kind == "statement" and not growing and not was_deeper and _is_whole(lines[:number]):
                return number
            after_blank = True
            continue
        if not growing and place.below and line.rstrip() == place.below.rstrip():
            return number
        depth = _indent(line)
        closes = bool(_GOES_ON.match(line))
        if depth < floor:
            last_of_block = opened and depth == floor - 1 and line.lstrip()[0] in _CLOSERS
            return number + 1 if last_of_block else number
        may_go_on = closes or (growing and any(word.startswith(line.strip()) for word in _MAY_GO_ON))
        if place.kind == "statement" and depth == floor and not may_go_on and _is_whole(lines[:number]):
            return number
        new_paragraph = depth == floor and not opened and (after_blank or (was_deeper and floor == 0))
        if new_paragraph and not closes and not growing:
            return number
        after_blank, was_deeper = False, was_deeper or depth > floor
    return len(lines)


def _is_whole(lines: list[str]) -> bool:
    """Whether a statement has begun in these lines and may end with them."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return bool(last) and not _BEGINS.match(last) and not last.rstrip().endswith(("\\", ","))


def _not_said_again(text: str, place: Place) -> str:
    """Leave out what stands behind the cursor: the end of a string, closing brackets, or the same words."""
    quote = place.rest.lstrip()[:1]
    if quote in ("'", '"', "`") and place.line.count(quote) % 2 == 1:
        end = re.search(rf"(?<!\\){quote}", text)
        return text[: end.start()] if end else text
    shorter = _before_closers(text, place.rest)
    return shorter if shorter != text else _without_overlap(text, place.rest)


def _before_closers(text: str, rest: str) -> str:
    """Leave out as many closing brackets as already stand behind the cursor."""
    behind = re.match(r"[)\]}]*", rest.lstrip())
    n_behind = len(behind[0]) if behind else 0
    depth: list[str] = []
    unmatched: list[int] = []
    for offset, char in enumerate(text):
        if char in _CLOSERS.values():
            depth.append(char)
        elif char in _CLOSERS:
            if depth and depth[-1] == _CLOSERS[char]:
                depth.pop()
            elif not depth:
                unmatched.append(offset)
    if not n_behind or not unmatched:
        return text
    return text[: unmatched[max(len(unmatched) - n_behind, 0)]]


def _without_overlap(text: str, rest: str) -> str:
    """Cut the end of `text` that the start of `rest` repeats, never within a word."""
    text = text.rstrip()
    for behind in (rest.rstrip(), rest.strip()):
        for size in range(min(len(text), len(behind)), 0, -1):
            if text.endswith(behind[:size]) and not (_in_word(behind, size) or _in_word(text, len(text) - size)):
                return text[:-size]
    return text


def _in_word(text: str, offset: int) -> bool:
    return 0 < offset < len(text) and (text[offset - 1] + text[offset]).replace("_", "a").isalnum()
