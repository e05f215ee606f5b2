"""Where lines begin: code-point offset <-> (line, column in UTF-8, UTF-16 or UTF-32 units).

The only place that knows line ends (LF, CRLF and CR; form feed, NEL and U+2028 are text) and code units. It
knows no document, version or protocol. Lone surrogates count as one unit of UTF-16 and three of UTF-8.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Self

Encoding = Literal["utf-8", "utf-16", "utf-32"]

_LINE_END = re.compile(r"\r\n?|\n")


def line_starts(text: str) -> list[int]:
    """The offset of each line's first character; a text that ends in a line end has an empty last line."""
    if "\r" in text:
        return [0, *(match.end() for match in _LINE_END.finditer(text))]
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    starts.pop()  # the last line has no line end that the sum could count
    return starts


def line_end(text: str) -> str:
    """How lines end in this file, judged by the first one."""
    newline = text.find("\n")
    if newline > 0 and text[newline - 1] == "\r":
        return "\r\n"
    return "\r" if newline < 0 and "\r" in text else "\n"


def units(text: str, encoding: Encoding) -> int:
    """How many code units `text` has."""
    if encoding == "utf-32" or text.isascii():
        return len(text)
    if encoding == "utf-8":
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def code_points(text: str, column: int, encoding: Encoding) -> int:
    """How many characters of `text` end at or before unit `column`; inside a character is its start."""
    head = text[:column]  # a character has at least one unit, so no more are needed
    if encoding == "utf-32" or head.isascii():
        return len(head)
    if encoding == "utf-8":
        octets = head.encode("utf-8", "surrogatepass")
        while column < len(octets) and octets[column] & 0xC0 == 0x80:
            column -= 1
        return len(octets[:column].decode("utf-8", "surrogatepass"))
    pairs = head.encode("utf-16-le", "surrogatepass")
    if 0 < column < len(pairs) // 2 and _is_high(pairs, column - 1) and _is_low(pairs, column):
        column -= 1
    return len(pairs[: 2 * column].decode("utf-16-le", "surrogatepass"))


def _is_high(pairs: bytes, unit: int) -> bool:
    return 0xD8 <= pairs[2 * unit + 1] < 0xDC


def _is_low(pairs: bytes, unit: int) -> bool:
    return 0xDC <= pairs[2 * unit + 1] < 0xE0


@dataclass(frozen=True, slots=True, repr=False)
class LineTable:
    """A text and where its lines begin. `starts` is shared between copies: nobody changes it."""

    text: str
    starts: list[int]

    @classmethod
    def of(cls, text: str) -> Self:
        """The table of a whole text."""
        return cls(text, line_starts(text))

    def spliced(self, start: int, end: int, new_text: str) -> "LineTable":
        """The table after `text[start:end]` became `new_text`; only the lines at the seam are read again."""
        text = "".join((self.text[:start], new_text, self.text[end:]))
        delta = len(new_text) - (end - start)
        # The line of the character before `start`: a CR there may join or leave an LF at the seam.
        first = self.line_at(max(start - 1, 0))
        after = bisect_right(self.starts, end)
        low = self.starts[first]
        starts = self.starts[:first]
        if after == len(self.starts):
            starts += [low + at for at in line_starts(text[low:])]
            return LineTable(text, starts)
        high = self.starts[after] + delta
        fresh = [low + at for at in line_starts(text[low:high])]
        starts += fresh[:-1]  # the last one is `high`, which the rest begins with
        rest = self.starts[after:]
        starts += rest if delta == 0 else map(delta.__add__, rest)
        return LineTable(text, starts)

    @property
    def count(self) -> int:
        """How many lines there are, at least one."""
        return len(self.starts)

    def line_at(self, offset: int) -> int:
        """The line that holds the character at `offset`; the last line at and after the end."""
        return bisect_right(self.starts, offset) - 1

    def end_of(self, line: int) -> int:
        """The offset after the line's last character, before its line end."""
        if line + 1 >= len(self.starts):
            return len(self.text)
        end = self.starts[line + 1] - 1
        if self.text[end] == "\n" and end > self.starts[line] and self.text[end - 1] == "\r":
            end -= 1
        return end

    def line(self, line: int) -> str:
        """The line's text without its line end."""
        return self.text[self.starts[line] : self.end_of(line)]

    def position(self, offset: int, encoding: Encoding) -> tuple[int, int]:
        """(line, column) of `offset`. Outside the text is its nearest end; between CR and LF is before CR."""
        offset = min(max(offset, 0), len(self.text))
        line = self.line_at(offset)
        offset = min(offset, self.end_of(line))
        start = self.starts[line]
        if self.text.isascii():
            return line, offset - start
        return line, units(self.text[start:offset], encoding)

    def offset(self, line: int, column: int, encoding: Encoding) -> int:
        """The offset of (line, column). Past a line's end is its end, past the last line the end of the text."""
        if line >= len(self.starts):
            return len(self.text)
        if line < 0 or column <= 0:
            return self.starts[max(line, 0)]
        start, end = self.starts[line], self.end_of(line)
        if self.text.isascii():
            return min(start + column, end)
        return start + code_points(self.text[start : min(end, start + column)], column, encoding)
