"""From a cursor and an index to what goes into a prompt. Joins the steps; the face that sessions and people use."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.context.candidates import candidates
from qwen_lsp.context.focus import focus
from qwen_lsp.context.memo import Memo, Symbols
from qwen_lsp.context.pack import ContextFile, Item, files_of, pack_symbols
from qwen_lsp.context.rank import Scored, excluded, ordered, path_of
from qwen_lsp.context.texts import go_on, reader
from qwen_lsp.index.symbols import Definition
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Workspace:
    """One root's index. `memo` may live as long as the index says the same; a new one is never wrong.

    `pause` is called before a file is read, for who has to let others go first.
    """

    root: Path
    index: Symbols
    memo: Memo
    pause: Callable[[], None] = go_on


@dataclass(frozen=True, slots=True)
class Ranking:
    """All that may matter at a cursor, best first, and where outlines and texts come from."""

    scored: tuple[Scored, ...]
    outlines: Mapping[str, Sequence[Definition]]
    read: Callable[[str], str | None]


def retrieve(snapshot: Snapshot, cursor: Cursor, workspace: Workspace, n_tokens: int) -> tuple[ContextFile, ...]:
    """What else of the repository the model shall see, in an order that changes little from key to key."""
    return files_of(packed(ranking(snapshot, cursor, workspace), n_tokens))


def ranking(snapshot: Snapshot, cursor: Cursor, workspace: Workspace) -> Ranking:
    """Empty where the file may not be shown or lies outside of the root."""
    here, index = below(workspace.root, cursor.document.uri), workspace.index
    buffers = _buffers(snapshot, workspace.root)
    read = reader(workspace.root, buffers, workspace.memo.texts, workspace.pause)
    if here is None or excluded(cursor.document) is not None:
        return Ranking((), {}, read)
    found = candidates(focus(here, cursor, index.file(here)), index, read, buffers, workspace.memo)
    return Ranking(ordered(found), workspace.memo.outlines, read)


def packed(of: Ranking, n_tokens: int) -> tuple[Item, ...]:
    """What fits, symbol by symbol."""
    return pack_symbols(of.scored, of.outlines, of.read, n_tokens)


def at_place(root: Path, index: Symbols, file: Path, line: int, column: int, n_tokens: int) -> tuple[Item, ...]:
    """For a cursor in a file on the disk, with nothing open but that file; line and column count from 0, in characters.

    Raises OSError where the file can not be read.
    """
    document = opened(file.as_uri(), "", 0, file.read_bytes().decode("utf-8", "replace"))
    cursor = Cursor(document, document.lines.offset(line, column, "utf-32"))
    snapshot = Snapshot({document.uri: document}, (document.uri,), (root,), Settings())
    return packed(ranking(snapshot, cursor, Workspace(root, index, Memo())), n_tokens)


def below(root: Path, uri: str) -> str | None:
    """The document's path below the root; None outside of it."""
    path, prefix = path_of(uri), root.as_posix().rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) and ".." not in path.split("/") else None


def _buffers(snapshot: Snapshot, root: Path) -> Mapping[str, str]:
    """The texts of open documents below the root, the last edited first."""
    uris = [*snapshot.recent, *(uri for uri in snapshot.documents if uri not in snapshot.recent)]
    shown = ((below(root, uri), snapshot.documents[uri]) for uri in uris if uri in snapshot.documents)
    return {path: document.masked for path, document in shown if path is not None and excluded(document) is None}
