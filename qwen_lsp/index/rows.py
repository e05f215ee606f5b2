"""What the store keeps of one file, as bytes and back. Never its text.

The outline is for reading, `terms` for the full-text table: each of its terms is a word or one whole name, so that the
names of operators, headings and keys are found too, and capitals are told from small letters. Rows travel as columns of
numbers and of texts: a tenth of the time that JSON takes. They are not compressed: that would save a fifth of the
indexed text's size, and cost a tenth of its parse.
"""

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, chain, islice, pairwise
from typing import cast, get_args
from zlib import crc32

from qwen_lsp.index.matches import Kind
from qwen_lsp.index.paragraphs import Paragraph
from qwen_lsp.index.symbols import EXTRACTOR_VERSION, Definition, FileSymbols, Import
from qwen_lsp.index.words import MAX_WORD_CHARS, apart

KEY_BYTES = 16
WIDTHS = "BHI"  # of the numbers in a row: one, two or four bytes each, on all our platforms
HEAD = struct.Struct("=IcI")  # the checksum of what follows, the numbers' width, how many there are
NOTHING = 0  # in place of a number, which is one more then
N_HEAD = 5  # numbers at the head of an outline
N_DEFINITION, N_IMPORT, N_PARAGRAPH = 6, 2, 2  # numbers of each

SEPARATOR = "\n"
# SQLite's tokenizer folds A-Z and nothing else, so capitals travel as control characters, which no name has.
_CONTROLS = [code for code in range(1, 32) if chr(code) not in "\t\n\r"]
_CAPITALS = dict(zip(range(ord("A"), ord("Z") + 1), _CONTROLS, strict=False))
_CAPITAL_BYTES = bytes(_CAPITALS.get(code, code) for code in range(0x100))
_BREAKS = {0: " ", ord(SEPARATOR): " "}  # a heading or a key may have them
DEFINES, IMPORTS = "=", ">"  # before a term: the file defines this name, imports this module

_KINDS: tuple[Kind, ...] = get_args(Kind)
_KIND_NUMBERS: Mapping[Kind, int] = {kind: number for number, kind in enumerate(_KINDS)}


@dataclass(frozen=True, slots=True)
class Packed:
    """One file's symbols on their way to the store."""

    language: str
    n_definitions: int
    outline: bytes
    terms: str


def content_key(source: bytes, language: str) -> bytes:
    """The name of what extraction makes of these bytes: the same for the same file in another branch or work tree."""
    digest = blake2b(f"{EXTRACTOR_VERSION} {language}\n".encode(), digest_size=KEY_BYTES)
    digest.update(source)
    return digest.digest()


def pack(symbols: FileSymbols, data: bytes) -> Packed:
    """`data`: the text that they are of, as it may be shown."""
    return Packed(symbols.language, len(symbols.definitions), _packed_outline(symbols), terms(symbols, data))


def unpack_outline(data: bytes) -> FileSymbols:
    """Raises ValueError where the bytes are not what was packed."""
    numbers, text = _halves(data)
    n_definitions, n_imports, n_imported, n_paragraphs, has_errors = numbers[:N_HEAD]
    counts = [n_definitions] * N_DEFINITION + [n_imports] * N_IMPORT + [n_paragraphs] * N_PARAGRAPH
    at = list(accumulate(counts, initial=N_HEAD))
    columns = [numbers[start:end] for start, end in pairwise(at)]
    kinds, name_starts, starts, ends, bodies, parents = columns[:N_DEFINITION]
    lengths = numbers[at[-1] :]
    if len(lengths) != 1 + 3 * n_definitions + n_imports + n_imported + n_paragraphs:
        raise ValueError("not an outline")
    texts = _cut(text.decode("utf-8", "surrogatepass"), lengths)
    language = next(texts)
    names, containers, signatures = (list(islice(texts, n_definitions)) for _ in range(3))
    rows = zip(
        names,
        (_KINDS[kind] for kind in kinds),
        containers,
        name_starts,
        starts,
        ends,
        _or_none(bodies),
        signatures,
        _or_none(parents),
        strict=True,
    )
    modules = list(islice(texts, n_imports))
    import_starts, n_names, paragraph_starts, paragraph_ends = columns[N_DEFINITION:]
    imports = tuple(
        Import(module, tuple(islice(texts, n)), start)
        for module, start, n in zip(modules, import_starts, n_names, strict=True)
    )
    paragraphs = tuple(map(Paragraph, paragraph_starts, paragraph_ends, texts))
    return FileSymbols(language, tuple(map(Definition._make, rows)), imports, bool(has_errors), paragraphs)


def terms(symbols: FileSymbols, data: bytes) -> str:
    """What the full-text table gets: the words of the text, and names as wholes."""
    defined = dict.fromkeys(each.name for each in symbols.definitions if len(each.name) <= MAX_WORD_CHARS)
    imported = dict.fromkeys(each.module for each in symbols.imports if len(each.module) <= MAX_WORD_CHARS)
    named = [name for name in defined if not (name.isascii() and name.isidentifier())]  # the others are words
    named += [DEFINES + name for name in defined]
    named += [IMPORTS + module for module in imported]
    text = SEPARATOR.join(named)
    if "\0" in text or text.count(SEPARATOR) >= len(named) > 0:
        text = SEPARATOR.join(name.translate(_BREAKS) for name in named)
    whole = apart(data) + SEPARATOR.encode() + text.encode("utf-8", "replace")
    return whole.translate(_CAPITAL_BYTES).decode()


def query(name: str) -> str:
    """What finds the files with the term `name`, in the full-text table's own language."""
    return '"' + name.translate(_BREAKS).translate(_CAPITALS).replace('"', '""') + '"'


def tokenizer() -> str:
    """The tokenizer's description, inside single quotes: everything but the separator belongs to a term."""
    ours = "".join(chr(code) for code in range(1, 128) if chr(code) != SEPARATOR and not chr(code).isalnum())
    return f"ascii tokenchars '{ours.replace("'", "''")}'".replace("'", "''")


def _packed_outline(outline: FileSymbols) -> bytes:
    columns = tuple(zip(*outline.definitions, strict=True)) or ((),) * len(Definition._fields)
    names, kinds, containers, name_starts, starts, ends, bodies, signatures, parents = columns
    modules, imported, import_starts = tuple(zip(*outline.imports, strict=True)) or ((), (), ())
    imported_names = list(chain.from_iterable(cast(Iterable[tuple[str, ...]], imported)))
    paragraph_starts, paragraph_ends, firsts = tuple(zip(*outline.paragraphs, strict=True)) or ((), (), ())
    texts = [outline.language, *names, *containers, *signatures, *modules, *imported_names, *firsts]
    numbers = [len(names), len(modules), len(imported_names), len(firsts), int(outline.has_errors)]
    numbers.extend(map(_KIND_NUMBERS.__getitem__, kinds))
    for column in (name_starts, starts, ends):
        numbers.extend(column)
    for column in (bodies, parents):
        numbers.extend([NOTHING if number is None else number + 1 for number in column])
    numbers.extend(import_starts)
    numbers.extend(map(len, cast(Iterable[tuple[str, ...]], imported)))
    numbers.extend(paragraph_starts)
    numbers.extend(paragraph_ends)
    numbers.extend(map(len, texts))
    return _joined(numbers, "".join(texts))


def _joined(numbers: Sequence[int], text: str) -> bytes:
    """A head, the numbers, the text."""
    largest = max(numbers, default=0)
    width = WIDTHS[(largest > 0xFF) + (largest > 0xFFFF)]
    body = array(width, numbers).tobytes() + text.encode("utf-8", "surrogatepass")
    return HEAD.pack(crc32(body), width.encode(), len(numbers)) + body


def _halves(data: bytes) -> tuple[Sequence[int], bytes]:
    try:
        checksum, width, n_numbers = HEAD.unpack_from(data)
    except struct.error as error:
        raise ValueError("not a row") from error
    if crc32(data[HEAD.size :]) != checksum:
        raise ValueError("not what was packed")
    numbers = array(width.decode())
    end = HEAD.size + n_numbers * numbers.itemsize
    numbers.frombytes(data[HEAD.size : end])
    return numbers, data[end:]


def _cut(text: str, lengths: Iterable[int]) -> Iterator[str]:
    return (text[start:end] for start, end in pairwise(accumulate(lengths, initial=0)))


def _or_none(numbers: Iterable[int]) -> Iterator[int | None]:
    return (None if number == NOTHING else number - 1 for number in numbers)
