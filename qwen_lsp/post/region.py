"""The part of a file that a change at one place can break: the function or class around it. By indentation; pure.

A parser needs 30 ms for a half-typed file of 3,000 lines, and none for one function. Where the lines do not tell, the
region is the whole file. Knows no syntax tree.
"""

import re
from dataclasses import dataclass

SMALL_CHARS = 6_000  # parsed in half a millisecond: not worth cutting
_HEADER = re.compile(
    r"(?:(?:export|default|pub(?:\([a-z]+\))?|async|static|public|private|final|abstract|unsafe|const)\s+)*"
    r"(?:def|class|func|function|fn|impl|struct|enum|interface|trait|namespace|module)\b"
    r"|[\w.$]+ = (?:async )?(?:function\b|\()"
)
_DEF = re.compile(r"[ \t]*(?:async\s+)?(?:def|class)\b")
_DECORATOR = re.compile(r"[ \t]*(?:@|#\[)")  # belongs to what follows
_LONG_QUOTES = ('"""', "'''", "`")  # strings that may go on over lines, however deep those stand
_INSIDE = re.compile(
    r"[ \t]*(?:[)\]{}]|(?:else|elif|except|finally|catch|end|case|default)\b)"
    r"|(?!try\b)[A-Za-z_]\w*:\s*$"  # a label
)

_TOP = re.compile(rf"^(?:{_HEADER.pattern}).*$", re.MULTILINE)
_TOP_LINE = re.compile(rf"^(?!{_INSIDE.pattern})\S", re.MULTILINE)
_DIRECTIVE = re.compile(r"^#(?!\[)", re.MULTILINE)  # of a preprocessor, which may end elsewhere


@dataclass(frozen=True, slots=True)
class Region:
    """`text[start:end]` is a whole thing, `indent` deep."""

    start: int
    end: int
    indent: str = ""


def region(language_id: str, text: str, start: int, end: int) -> Region:
    """What stands around `start` to `end`."""
    whole = Region(0, len(text))
    if len(text) <= SMALL_CHARS:
        return whole
    header = _header(language_id, text, start)
    if header is None:
        return _between(language_id, text, start, end) or whole
    first, indent = header
    last = _end(text, end, len(indent.expandtabs()))
    return whole if _is_cut(text[first:last]) else Region(first, last, indent)


def _is_cut(part: str) -> bool:
    """Whether a string or a comment over several lines seems to go on beyond."""
    return part.count("/*") != part.count("*/") or any(part.count(quotes) % 2 for quotes in _LONG_QUOTES)


def _between(language_id: str, text: str, start: int, end: int) -> Region | None:
    """At the top level: from the thing before, or behind a long one to the end of the next; None where that cuts it."""
    line = text.rfind("\n", 0, start) + 1
    before = [*_TOP.finditer(text, 0, line)][-1:]
    first = before[0].start() if before else 0
    if before and line - first > SMALL_CHARS:
        begins = _TOP_LINE.search(text, before[0].end(), line)
        first = begins.start() if begins is not None else line
    last = _end(text, _end(text, end, 0), 0)
    is_directed = language_id != "python" and _DIRECTIVE.search(text, first, last)
    return None if is_directed or _is_cut(text[first:last]) or _is_cut(text[first:line]) else Region(first, last)


def _header(language_id: str, text: str, at: int) -> tuple[int, str] | None:
    """The line that the place belongs to: in Python the nearest def or class, elsewhere the outermost line."""
    pattern, line_start = (_DEF if language_id == "python" else _HEADER), text.rfind("\n", 0, at) + 1
    depth = _depth(text[line_start:at])
    if depth is None:
        depth = _depth(_line(text, line_start)) or 0
    depth = depth or 1  # between two things: from the one before on
    while line_start > 0:
        line_start = text.rfind("\n", 0, line_start - 1) + 1
        line = _line(text, line_start)
        found = _depth(line)
        if found is None or found >= depth or _INSIDE.match(line):
            continue
        depth = found
        if pattern.match(line) and (language_id == "python" or depth == 0):
            return line_start, line[: len(line) - len(line.lstrip())]
        if depth == 0:
            return None
    return None


def _end(text: str, at: int, depth: int) -> int:
    """Where the next line begins that stands no deeper, closes nothing that was opened and has no decorator before."""
    decorated = _is_decorated(text, at, depth)
    newline = text.find("\n", at)
    while newline >= 0:
        line = _line(text, newline + 1)
        if _begins(line, depth):
            if not decorated:
                return newline + 1
            decorated = bool(_DECORATOR.match(line))
        newline = text.find("\n", newline + 1)
    return len(text)


def _is_decorated(text: str, at: int, depth: int) -> bool:
    """Whether the last thing that begins before `at` is a decorator, so that the next one belongs to it."""
    line_start = text.rfind("\n", 0, at) + 1
    while line_start > 0 and not _begins(_line(text, line_start), depth):
        line_start = text.rfind("\n", 0, line_start - 1) + 1
    return bool(_DECORATOR.match(_line(text, line_start)))


def _begins(line: str, depth: int) -> bool:
    """Whether something begins there that stands no deeper. What stands less deep closes nothing that was opened."""
    found = _depth(line)
    return found is not None and (found < depth or (found == depth and not _INSIDE.match(line)))


def _line(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : end if end >= 0 else len(text)]


def _depth(line: str) -> int | None:
    """None for a blank line."""
    code = line.lstrip()
    return len(line[: len(line) - len(code)].expandtabs()) if code.strip() else None
