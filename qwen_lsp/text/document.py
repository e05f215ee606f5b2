"""One open text at one version, and how the next version comes from it.

Knows no protocol type and no file, and no prompt: but what a prompt may hold of a text is worked out here, once for
each version. Offsets count code points. A lone surrogate, which JSON can carry but no tokenizer can read, becomes
U+FFFD when it comes in: both have one unit of UTF-16 and three of UTF-8, so every position stays where the editor has
it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from qwen_lsp.text.lines import Encoding, LineTable
from qwen_lsp.text.secrets import masked, masked_since

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_EMPTY = LineTable.of("")


@dataclass(frozen=True, slots=True)
class Document:
    """One text. The text is left out of `repr`, so that no log can hold it.

    `barred`: why it may not be shown to a model, as far as its place tells; judged by whoever opened it.
    """

    uri: str
    language_id: str
    version: int
    text: str = field(repr=False)
    lines: LineTable = field(default=_EMPTY, repr=False, compare=False)  # built from `text` where not given
    barred: str = ""
    # What `masked` can start from: an earlier text and what it was masked to. Given up once it has been used.
    _earlier: tuple[str, str] | None = field(default=None, repr=False, compare=False)
    _masked: str | None = field(default=None, init=False, repr=False, compare=False)
    _shown: str | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.lines.text is not self.text:
            object.__setattr__(self, "lines", LineTable.of(self.text))

    @property
    def masked(self) -> str:
        """The text without its credentials; offsets and line ends are the text's own. Found once per version."""
        found = self._masked
        if found is None:
            earlier = self._earlier  # once: another thread may have used it up meanwhile
            found = masked(self.text) if earlier is None else masked_since(self.text, *earlier)
            object.__setattr__(self, "_masked", found)
            object.__setattr__(self, "_earlier", None)
        return found

    @property
    def shown(self) -> str:
        """The text as a model reads it: without credentials, lines ended by LF."""
        found = self._shown
        if found is None:
            found = self.masked
            if "\r" in found:  # looked for first: at each key, and replacing what is not there takes ten times as long
                found = found.replace("\r\n", "\n").replace("\r", "\n")
            object.__setattr__(self, "_shown", found)
        return found


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a document."""

    document: Document
    offset: int

    @property
    def prefix(self) -> str:
        """All text before the cursor."""
        return self.document.text[: self.offset]

    @property
    def suffix(self) -> str:
        """All text after the cursor."""
        return self.document.text[self.offset :]


@dataclass(frozen=True, slots=True)
class Change:
    """Between `start` and `end`, both (line, column), `text` now stands; without them it is the whole text."""

    text: str = field(repr=False)
    start: tuple[int, int] | None = None
    end: tuple[int, int] | None = None


def clean(text: str) -> str:
    """`text` with lone surrogates replaced."""
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)


def opened(uri: str, language_id: str, version: int, text: str) -> Document:
    """The document as the editor opened it."""
    return Document(uri, language_id, version, clean(text))


def changed(document: Document, changes: Iterable[Change], version: int, encoding: Encoding) -> Document:
    """The document after `changes`, each of which counts in the text that the one before it left."""
    lines = document.lines
    for change in changes:
        text = clean(change.text)
        if change.start is None or change.end is None:
            lines = LineTable.of(text)
            continue
        start = lines.offset(*change.start, encoding)
        end = lines.offset(*change.end, encoding)
        lines = lines.spliced(min(start, end), max(start, end), text)
    earlier = document._earlier if document._masked is None else (document.text, document._masked)
    return Document(document.uri, document.language_id, version, lines.text, lines, document.barred, earlier)
