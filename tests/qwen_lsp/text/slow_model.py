"""The oracle of `text/lines.py`: what the LSP specification says, one character after the other. Slow and plain."""

import re

from qwen_lsp.text.lines import Encoding

CODECS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
UNIT = {"utf-8": 1, "utf-16": 2, "utf-32": 4}


def split(text: str) -> list[tuple[str, str]]:
    """(content, line end) of each line; the last one has no line end."""
    parts = re.split(r"(\r\n|\r|\n)", text)
    return list(zip(parts[0::2], [*parts[1::2], ""], strict=True))


class SlowBuffer:
    """A client's buffer that counts columns in `encoding`."""

    def __init__(self, text: str, encoding: Encoding) -> None:
        self.text = text
        self.encoding = encoding

    def _units(self, character: str) -> int:
        return len(character.encode(CODECS[self.encoding])) // UNIT[self.encoding]

    def positions(self) -> list[tuple[int, int, int]]:
        """(offset, line, column) of each place between two characters where an editor's caret can stand."""
        found = []
        offset = 0
        for number, (content, end) in enumerate(split(self.text)):
            column = 0
            found.append((offset, number, column))
            for n, character in enumerate(content, 1):
                column += self._units(character)
                found.append((offset + n, number, column))
            offset += len(content) + len(end)
        return found

    def change(self, start: tuple[int, int], end: tuple[int, int], new_text: str) -> None:
        """Replace between two positions that `positions` gave."""
        where = {(line, column): offset for offset, line, column in self.positions()}
        self.text = self.text[: where[start]] + new_text + self.text[where[end] :]
