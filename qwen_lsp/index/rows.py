"""What the store keeps of one file, as bytes and back. Never its text: words are kept once each, with a count.

An `Outline` is for reading, `Words` for counting, `terms` for the full-text table: each of its terms is one whole name,
so that the names of operators, headings and keys are found too, and capitals are told from small letters.
"""

import json
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from qwen_lsp.index.symbols import EXTRACTOR_VERSION, Definition, FileSymbols, Import

MAX_NAME_CHARS = 128  # what is longer is data: nobody types it
COMPRESSION = 1  # a third of the size for a twentieth of a parse; more does not pay
KEY_BYTES = 16
COUNT_BYTES = 4  # an array's "I" on all our platforms

type Words = Mapping[str, int]  # each word of a file, and how often it stands there

SEPARATOR = "\n"
# SQLite's tokenizer folds A-Z and nothing else, so capitals travel as control characters, which no name has.
_CONTROLS = [code for code in range(1, 32) if chr(code) not in "\t\n\r"]
_CAPITALS = dict(zip(range(ord("A"), ord("Z") + 1), _CONTROLS, strict=False))
_BREAKS = {0: " ", ord(SEPARATOR): " "}  # a heading or a key may have them
DEFINES, IMPORTS = "=", ">"  # before a term: the file defines this name, imports this module


@dataclass(frozen=True, slots=True)
class Outline:
    """What one file defines and imports."""

    language: str
    definitions: tuple[Definition, ...]
    imports: tuple[Import, ...]
    has_errors: bool


@dataclass(frozen=True, slots=True)
class Packed:
    """One file's symbols on their way to the store."""

    language: str
    n_definitions: int
    outline: bytes
    words: bytes
    terms: str


def content_key(source: bytes, language: str) -> bytes:
    """The name of what extraction makes of these bytes: the same for the same file in another branch or work tree."""
    digest = blake2b(f"{EXTRACTOR_VERSION} {language}\n".encode(), digest_size=KEY_BYTES)
    digest.update(source)
    return digest.digest()


def outline_of(symbols: FileSymbols) -> Outline:
    return Outline(symbols.language, symbols.definitions, symbols.imports, symbols.has_errors)


def words_of(symbols: FileSymbols) -> Words:
    counts = Counter(symbols.words)
    if max(map(len, counts), default=0) <= MAX_NAME_CHARS:
        return counts
    return {word: count for word, count in counts.items() if len(word) <= MAX_NAME_CHARS}


def pack(symbols: FileSymbols) -> Packed:
    outline, words = outline_of(symbols), words_of(symbols)
    rows = [outline.language, outline.has_errors, outline.definitions, outline.imports]
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return Packed(
        outline.language,
        len(outline.definitions),
        zlib.compress(text.encode(), COMPRESSION),
        zlib.compress(_packed_words(words), COMPRESSION),
        terms(outline, words),
    )


def unpack_outline(data: bytes) -> Outline:
    language, has_errors, definitions, imports = json.loads(zlib.decompress(data))
    return Outline(
        language,
        tuple(map(Definition._make, definitions)),
        tuple(Import(module, tuple(names), start) for module, names, start in imports),
        has_errors,
    )


def unpack_words(data: bytes) -> Words:
    counts, names = _halves(data)
    return dict(zip(names.decode().split(SEPARATOR)[1:-1], counts, strict=True))


def count_of(data: bytes, word: str) -> int:
    """How often one word stands in the file, without unpacking the others: a name may be in hundreds of files."""
    counts, names = _halves(data)
    at = names.find(f"{SEPARATOR}{word}{SEPARATOR}".encode(errors="replace"))
    return 0 if at < 0 else counts[names.count(SEPARATOR.encode(), 0, at)]


def terms(outline: Outline, words: Words) -> str:
    """What the full-text table gets: the same text puts a file in and takes it out."""
    defined = {definition.name for definition in outline.definitions if len(definition.name) <= MAX_NAME_CHARS}
    imported = {each.module for each in outline.imports if len(each.module) <= MAX_NAME_CHARS}
    named = [*sorted(defined.difference(words)), *(DEFINES + name for name in sorted(defined))]
    named += [IMPORTS + module for module in sorted(imported)]
    if any(SEPARATOR in name or "\0" in name for name in named):
        named = [name.translate(_BREAKS) for name in named]
    return SEPARATOR.join((*words, *named)).translate(_CAPITALS)


def query(name: str) -> str:
    """What finds the files with the term `name`, in the full-text table's own language."""
    return '"' + name.translate(_BREAKS).translate(_CAPITALS).replace('"', '""') + '"'


def tokenizer() -> str:
    """The tokenizer's description, inside single quotes: everything but the separator belongs to a term."""
    ours = "".join(chr(code) for code in range(1, 128) if chr(code) != SEPARATOR and not chr(code).isalnum())
    return f"ascii tokenchars '{ours.replace("'", "''")}'".replace("'", "''")


def _packed_words(words: Words) -> bytes:
    """Four bytes how many, four for each count, then the words, a separator before, between and behind them."""
    counts = array("I", words.values())
    names = SEPARATOR.join(("", *words, ""))
    return len(counts).to_bytes(COUNT_BYTES, sys.byteorder) + counts.tobytes() + names.encode()


def _halves(data: bytes) -> tuple[Sequence[int], bytes]:
    plain = zlib.decompress(data)
    end = COUNT_BYTES * (1 + int.from_bytes(plain[:COUNT_BYTES], sys.byteorder))
    return array("I", plain[COUNT_BYTES:end]), plain[end:]
