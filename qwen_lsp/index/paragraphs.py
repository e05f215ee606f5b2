"""A text that no grammar reads, cut where people leave lines blank: pieces that can be shown whole. Pure.

Knows no language: prose, SQL, a Makefile and a protocol's description are all blocks of lines.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from qwen_lsp.text.lines import line_starts

MOST_CHARS = 800  # some 250 tokens: what is longer seldom finds room beside code
LEAST_CHARS = 200  # shorter ones are gathered: a title, the entries of a list
FIRST_CHARS = 100

_NOT_BLANK = re.compile(r"\S")

type Span = tuple[int, int]


class Paragraph(NamedTuple):
    """Some lines, in code points. `first`: how they begin, by which a reader sees whether they are still there."""

    start: int
    end: int
    first: str


def paragraphs_of(text: str) -> tuple[Paragraph, ...]:
    """In the order of the text, without blank lines around them; each is whole, or a part of one that is too long."""
    lines = list(_lines(text))
    spans = _gathered(_bounded(text, _blocks(lines)))
    return tuple(_paragraph(text, start, end) for start, end in spans)


def _lines(text: str) -> Iterator[Span]:
    """Each line without white space around it; a blank one is empty."""
    for start, end in pairwise((*line_starts(text), len(text))):
        line = text[start:end]
        at = start + len(line) - len(line.lstrip())
        yield at, max(at, start + len(line.rstrip()))


def _blocks(lines: list[Span]) -> Iterator[Span]:
    """Runs of lines that are not blank."""
    begun = stop = -1
    for start, end in lines:
        if start < end:
            begun, stop = (begun, end) if begun >= 0 else (start, end)
        elif begun >= 0:
            yield begun, stop
            begun = -1
    if begun >= 0:
        yield begun, stop


def _gathered(blocks: Iterator[Span]) -> Iterator[Span]:
    """Short ones together with what follows, as long as both fit."""
    open_: Span | None = None
    for start, end in blocks:
        if open_ is not None and open_[1] - open_[0] < LEAST_CHARS and end - open_[0] <= MOST_CHARS:
            open_ = open_[0], end
            continue
        if open_ is not None:
            yield open_
        open_ = start, end
    if open_ is not None:
        yield open_


def _bounded(text: str, spans: Iterator[Span]) -> Iterator[Span]:
    """Cut at the last end of a line that fits, else at the last white space, else anywhere."""
    for start, end in spans:
        while end - start > MOST_CHARS:
            head = text[start : start + MOST_CHARS + 1]
            cut = max(head.rfind("\n"), head.rfind("\r"))
            cut = cut if cut > 0 else max(head.rfind(" "), head.rfind("\t"))
            cut = cut if cut > 0 else MOST_CHARS
            yield start, start + len(head[:cut].rstrip())
            rest = _NOT_BLANK.search(text, start + cut, end)
            assert rest is not None  # a span ends in something
            start = rest.start()
        yield start, end


def _paragraph(text: str, start: int, end: int) -> Paragraph:
    head = text[start : min(end, start + FIRST_CHARS)]
    line = head.split("\n", 1)[0].split("\r", 1)[0]
    return Paragraph(start, end, line.rstrip())
