"""Which open documents may be shown to a model, by a judge's word, and what a person is told of one that may not."""

from collections.abc import Iterable
from pathlib import Path

from qwen_lsp.index.judge import Judge
from qwen_lsp.lsp.convert import path_of
from qwen_lsp.text.document import Document


def why_barred(judge: Judge, document: Document) -> str:
    """Why the document may not be shown to a model, as far as its place and its text tell; empty if it may."""
    path = path_of(document.uri)
    found = None if path is None else judge.why(path, document.text)
    return "" if path is None or found is None else f"{path.name} is left out: {found.reason} ({found.rule})"


def judged(judge: Judge, documents: Iterable[Document], shown: Iterable[Path]) -> tuple[dict[str, str], bool]:
    """Of each document why it is barred; and whether a file is that prompts show parts of."""
    barred = {document.uri: why_barred(judge, document) for document in documents}
    return barred, any(judge.why(path, "") is not None for path in shown)
