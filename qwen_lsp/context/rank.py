"""What matters at this cursor, best first, no ties: open documents by their last edit, symbols by their evidence.

Does not know budgets, prompts or the disk.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from qwen_lsp.context.candidates import Reason, Symbol
from qwen_lsp.index.matches import Kind
from qwen_lsp.index.rules import HUGE_BYTES, file_rule
from qwen_lsp.text.document import Document, clean
from qwen_lsp.text.secrets import masked
from qwen_lsp.text.snapshot import Snapshot

# What each reason is worth. Tuned by `scripts/bench retrieval` on the repositories that it names for that, and by
# nothing else.
WEIGHTS: Mapping[Reason, float] = {
    "name": 2.0,
    "import": 0.8,
    "member": 0.25,
    "file": 0.1,
    "feedback": 1.0,
    "similar": 0.3,
    "open": 0.1,
}
# Values are looked up less often than what can be called.
KINDS: Mapping[Kind, float] = {"variable": 0.7, "constant": 0.7, "field": 0.7, "macro": 0.8}


class Scored(NamedTuple):
    """A symbol and what all its reasons come to. A tuple, as it is."""

    symbol: Symbol
    score: float


def ordered(symbols: Iterable[Symbol]) -> tuple[Scored, ...]:
    """The best first; equal ones in the order of paths and of the text."""
    scored = [Scored(symbol, _score(symbol)) for symbol in symbols]
    return tuple(sorted(scored, key=lambda each: (-each.score, each.symbol.path, each.symbol.number)))


def _score(symbol: Symbol) -> float:
    evidence = symbol.evidence
    total = sum([WEIGHTS[reason] * evidence[reason] for reason in sorted(evidence)])
    return total * KINDS.get(symbol.definition.kind, 1.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file worth showing to the model. `path` is what it is called there, `opened` its place in the opening order."""

    path: str
    text: str
    opened: int


def rank(snapshot: Snapshot, uri: str) -> Iterator[Candidate]:
    """The other open documents that may be shown, best first. Each is looked at only when it is asked for."""
    opened = {other: number for number, other in enumerate(snapshot.documents)}
    recent = {other: number for number, other in enumerate(snapshot.recent)}
    order = sorted(opened, key=lambda other: (recent.get(other, len(recent)), opened[other]))
    for other in order:
        document = snapshot.documents[other]
        if other != uri and excluded(document) is None and not document.text.isspace() and document.text:
            yield Candidate(shown_path(other, snapshot.roots), document.shown, opened[other])


def shown_text(text: str) -> str:
    """The text as a model reads it: without credentials, lines ended by LF. Of a whole document, `shown` is at hand."""
    return with_lf(masked(text))


def shown_around(document: Document, start: int, end: int) -> tuple[str, str]:
    """The shown text before and after a range of the document: masked first and cut then."""
    return with_lf(document.masked[:start]), with_lf(document.masked[end:])


def with_lf(text: str) -> str:
    """Lines ended as models know them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def excluded(document: Document) -> str | None:
    """Why this file never reaches a prompt, or None: what its place, its name and its size tell, by `index/rules`."""
    if document.barred:
        return document.barred
    name, reason = _named(document.uri)
    if reason is not None:
        return reason
    if len(document.text) > HUGE_BYTES:
        return f"{name} is too big ({len(document.text):,} characters; the limit is {HUGE_BYTES:,})"
    if "\0" in document.text:
        return f"{name} is binary"
    return None


@lru_cache(maxsize=1024)  # each key asks about every open file
def _named(uri: str) -> tuple[str, str | None]:
    """The file's name, and why it is excluded by that."""
    name = path_of(uri).rsplit("/", 1)[-1]
    rule = file_rule(name)
    if rule is None:
        return name, None
    return name, f"{name} looks like a file with secrets" if rule[0] == "secret" else f"{rule[0]}: {rule[1]}"


def path_of(uri: str) -> str:
    """The path in a uri, with forward slashes; what is not a file keeps its own spelling."""
    return unquote(urlsplit(uri).path) or uri


@lru_cache(maxsize=1024)
def shown_path(uri: str, roots: tuple[Path, ...]) -> str:
    """What the file is called in a prompt: below the innermost root around it, else its bare name."""
    path = clean(path_of(uri))
    prefixes = [prefix for root in roots if path.startswith(prefix := root.as_posix().rstrip("/") + "/")]
    return path[max(map(len, prefixes)) :] if prefixes else path.rsplit("/", 1)[-1]
