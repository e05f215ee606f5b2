"""What the index of a tree finds at a cursor while it sees the open files as they are in the editor. No LSP.

`qwen-lsp eval` asks with it, and the retrieval bench counts what it holds: there is one way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.context.memo import Memo
from qwen_lsp.context.pack import Item
from qwen_lsp.context.retrieve import Workspace, below, packed, ranking
from qwen_lsp.index.grammars import encode
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.symbols import of_buffer
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Tree:
    """The files around a hole, and what the index knows of them."""

    root: Path
    index: Index


def retrieved(now: Snapshot, cursor: Cursor, tree: Tree) -> tuple[Item, ...]:
    """As much as the settings have room for. Other files are open at the next hole: nothing is kept for it."""
    with seen(now, tree) as workspace:
        return packed(ranking(now, cursor, workspace), now.settings.completion_context_tokens)


@contextmanager
def seen(now: Snapshot, tree: Tree) -> Iterator[Workspace]:
    """The workspace in which open files stand for those on the disk; their texts are not what was there later."""
    opened = {path: each for each in now.documents.values() if (path := below(tree.root, each.uri)) is not None}
    for path, document in opened.items():
        tree.index.show(path, of_buffer(encode(document.masked), language_of(path)))
    try:
        with tree.index.snapshot() as symbols:
            yield Workspace(tree.root, symbols, Memo())
    finally:
        for path in opened:
            tree.index.hide(path)
