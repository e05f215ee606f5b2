"""A workspace with its index read now, for commands that have no editor and no index in the background."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.features.refactor.workspace import Workspace, workspace
from qwen_lsp.index.build import build
from qwen_lsp.index.locks import Taken
from qwen_lsp.index.snapshot import Index, IndexSnapshot
from qwen_lsp.index.store import Store
from qwen_lsp.index.workers import worker_count


@dataclass(frozen=True, slots=True)
class _Located:
    symbols: IndexSnapshot


@contextmanager
def indexed(root: Path, folder: Path) -> Iterator[Workspace]:
    """`folder`: where the index is kept. A process that builds it is not waited for. Raises OSError, sqlite3.Error."""
    with closing(Store(folder)) as store:
        with suppress(Taken):
            build(store, root, n_workers=worker_count(), idle=False, progress=lambda _: None, cancelled=lambda: False)
        with closing(Index(store, root)) as index:
            yield workspace(root, {}, lambda: _opened(index))


def _opened(index: Index) -> AbstractContextManager[_Located]:
    return _lent(index.snapshot())


@contextmanager
def _lent(snapshot: IndexSnapshot) -> Iterator[_Located]:
    with snapshot:
        yield _Located(snapshot)
