"""Indentation as the file has it: what a model writes with spaces becomes tabs in a file with tabs, and back. Pure."""

from collections import Counter
from itertools import pairwise

LOOKED_AT_CHARS = 20_000
WIDTHS = (2, 3, 4, 8)
USUAL_WIDTH = 4


def unit_of(text: str) -> str:
    """One level of a file's indentation: a tab, or so many spaces; empty where the file does not tell."""
    lines = text[:LOOKED_AT_CHARS].split("\n")
    n_tabs, n_spaces = (sum(line[:1] == sign for line in lines) for sign in "\t ")
    if n_tabs + n_spaces == 0:
        return ""
    if n_tabs > n_spaces:
        return "\t"
    depths = [_white(line) for line in lines if line.strip()]
    steps = Counter(
        len(two) - len(one) for one, two in pairwise(depths) if "\t" not in one + two and len(two) - len(one) in WIDTHS
    )
    width = max(WIDTHS, key=lambda width: (steps[width], -width)) if steps else USUAL_WIDTH
    return " " * width


def restyled(answer: str, unit: str) -> str:
    """The lines of `answer` after the first with indentation made of `unit`. What aligns, and is no level, stays."""
    if not unit or "\n" not in answer:
        return answer
    first, *rest = answer.split("\n")
    if unit == "\t":
        width = _width(rest)
        return "\n".join([first, *(_with_tabs(line, width) for line in rest)])
    return "\n".join([first, *(_white(line).replace("\t", unit) + line[len(_white(line)) :] for line in rest)])


def _with_tabs(line: str, width: int) -> str:
    white = _white(line)
    if " " not in white or white.lstrip("\t").strip(" "):
        return line
    n_tabs, n_spaces = white.count("\t"), white.count(" ")
    if n_tabs and n_spaces < width:
        return line  # aligned behind tabs
    return "\t" * (n_tabs + n_spaces // width) + " " * (n_spaces % width) + line[len(white) :]


def _width(lines: list[str]) -> int:
    """How many spaces the lines have for one level."""
    depths = [len(_white(line)) for line in lines if line.startswith(" ") and line.strip()]
    return next((width for width in (4, 2, 3) if depths and all(depth % width == 0 for depth in depths)), USUAL_WIDTH)


def _white(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]
