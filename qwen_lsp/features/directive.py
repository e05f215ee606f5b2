"""The comment that asks: `# qwen: split this class`, in any language's comment syntax. Pure.

So an editor with no input box can ask for anything. The comment is one line of its own, and goes with the edit.
"""

import re
from dataclasses import dataclass
from functools import cache

from qwen_lsp.index.languages import language_named

MAX_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Directive:
    """What is asked, and where its line is, with the line end."""

    instruction: str
    start: int
    end: int


def directive_at(language_id: str, text: str, start: int, end: int) -> Directive | None:
    """The first one on a line that the range touches."""
    pattern = _pattern(language_id)
    if pattern is None:
        return None
    first = text.rfind("\n", 0, start) + 1
    while first <= end and first < len(text):
        last = text.find("\n", first)
        last = len(text) if last < 0 else last + 1
        found = pattern.fullmatch(text[first:last].rstrip("\r\n"))
        if found is not None and last - first <= MAX_CHARS:
            return Directive(found["said"].strip(), first, last)
        first = last
    return None


@cache
def _pattern(language_id: str) -> re.Pattern[str] | None:
    language = language_named(language_id)
    if language is None:
        return None
    ways = []
    if language.line_comment:
        ways.append((rf"(?:{re.escape(language.line_comment)})+", ""))
    if language.block_comment is not None:
        begin, close = language.block_comment
        ways.append((re.escape(begin), re.escape(close)))
    # The same name in two branches is not allowed, so each way is a pattern around one group.
    heads = "|".join(head for head, _ in ways)
    tails = "|".join(dict.fromkeys(tail for _, tail in ways if tail))
    if not heads:
        return None
    return re.compile(rf"\s*(?:{heads})[ \t]*qwen:(?P<said>.*?\S.*?)[ \t]*(?:{tails})?[ \t]*", re.IGNORECASE)
