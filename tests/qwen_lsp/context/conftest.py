"""A repository on the disk and its index, and a window with some of its files open."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from qwen_lsp.context.memo import Memo
from qwen_lsp.context.retrieve import Workspace
from qwen_lsp.index.build import build
from qwen_lsp.index.snapshot import Index, IndexSnapshot
from qwen_lsp.index.store import Store
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot
from tests.qwen_lsp.index.trees import write

type Indexed = Callable[[Mapping[str, str | bytes]], tuple[Path, IndexSnapshot]]


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Indexed]:
    """Write files and index them: the root and a snapshot."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "no-gitconfig"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    with ExitStack() as stack:

        def make(files: Mapping[str, str | bytes]) -> tuple[Path, IndexSnapshot]:
            root = write(tmp_path / "root", files)
            store = stack.enter_context(closing(Store(tmp_path / "store")))
            build(store, root, n_workers=1, idle=False, progress=lambda _: None, cancelled=lambda: False)
            index = stack.enter_context(closing(Index(store, root)))
            return root, stack.enter_context(index.snapshot())

        yield make


def window(root: Path, texts: Mapping[str, str]) -> tuple[Snapshot, Cursor]:
    """A window with these files open; the cursor stands at the `$0` in one of them."""
    documents = [opened((root / path).as_uri(), "", 1, text.replace("$0", "")) for path, text in texts.items()]
    snapshot = Snapshot(
        {document.uri: document for document in documents},
        tuple(document.uri for document in documents),
        (root,),
        Settings(),
    )
    (at,) = [
        Cursor(document, text.index("$0"))
        for document, text in zip(documents, texts.values(), strict=True)
        if "$0" in text
    ]
    return snapshot, at


def workspace(root: Path, index: IndexSnapshot) -> Workspace:
    return Workspace(root, index, Memo())
