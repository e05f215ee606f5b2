"""What the index says matters at a cursor: asked elsewhere, handed over as values.

On the event loop only the index's snapshot is taken and given back. One thread asks, one cursor after the other, and
keeps what it learned of other files for the next time. It stands still where a key comes meanwhile: the interpreter is
shared, and a key waited for it for up to 8 ms. Knows no prompt and no LSP type.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from qwen_lsp.context.memo import Memo, Symbols
from qwen_lsp.context.pack import ContextFile, Item
from qwen_lsp.context.retrieve import Workspace, packed, ranking
from qwen_lsp.context.texts import reader
from qwen_lsp.context.truth import untrue
from qwen_lsp.index.snapshot import Ranked
from qwen_lsp.index.symbols import FileSymbols
from qwen_lsp.lsp.indexing import Located
from qwen_lsp.text.document import Cursor
from qwen_lsp.text.snapshot import Snapshot

MOST_OUTLINES = 2_000  # kept in a memo; some 10 KB each
STILL_S = 0.1  # after a key: by then most are answered
MOST_STILL_S = 0.5  # in one request, however many keys come

log = logging.getLogger(__name__)


class Retrieval:
    """For one window."""

    def __init__(self, locate: Callable[[str], Located | None]) -> None:
        self._locate = locate
        self._thread = ThreadPoolExecutor(1, "retrieval")
        self._memos: dict[Path, tuple[object, Memo]] = {}  # by root, with the index's stamp; the thread's alone
        self._asked: set[asyncio.Future[tuple[Item, ...] | None]] = set()
        self._key_at = -STILL_S

    def stand_back(self) -> None:
        """A key came: the event loop goes first for a moment."""
        self._key_at = time.monotonic()

    async def at(self, snapshot: Snapshot, cursor: Cursor, n_tokens: int) -> tuple[Item, ...] | None:
        """The symbols of other files that matter most, as many as fit; None where there is no index."""
        located = self._locate(cursor.document.uri)
        if located is None:
            return None
        loop = asyncio.get_running_loop()
        asked = loop.run_in_executor(self._thread, self._items, snapshot, cursor, located, n_tokens)
        self._asked.add(asked)

        def answered(_: object) -> None:  # also where nobody waits any more
            self._asked.discard(asked)
            located.symbols.close()

        asked.add_done_callback(answered)
        return await asyncio.shield(asked)

    async def untrue(self, uri: str, files: Iterable[ContextFile]) -> frozenset[str]:
        """The paths of those excerpts that the files on the disk, around this document, no longer say."""
        located = self._locate(uri)
        if located is None:
            return frozenset()
        root = located.root
        located.symbols.close()
        shown = tuple(files)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: untrue(shown, reader(root, {})))

    async def close(self) -> None:
        """Wait for what is being asked; a part of a second."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        await asyncio.gather(*self._asked, return_exceptions=True)

    def _items(self, snapshot: Snapshot, cursor: Cursor, located: Located, n_tokens: int) -> tuple[Item, ...] | None:
        """On the thread."""
        try:
            index = _Patient(located.symbols, self._stand_still())
            workspace = Workspace(located.root, index, self._memo(located), index.pause)
            return packed(ranking(snapshot, cursor, workspace), n_tokens)
        except sqlite3.Error as error:
            log.warning("the index could not be asked: %s", type(error).__name__)
            return None

    def _memo(self, located: Located) -> Memo:
        """What is known of this root's other files, as long as the index says the same."""
        stamp = located.symbols.stamp()
        kept, memo = self._memos.get(located.root, (None, Memo()))
        if kept != stamp or len(memo.outlines) > MOST_OUTLINES:
            memo = Memo(texts=memo.texts)  # they are compared with what the files hold now
            self._memos[located.root] = stamp, memo
        return memo

    def _stand_still(self) -> Callable[[], None]:
        """For one request: called between its steps, waits until the last key is a while ago."""
        left_s = MOST_STILL_S

        def pause() -> None:
            nonlocal left_s
            while left_s > 0 and (wait_s := self._key_at + STILL_S - time.monotonic()) > 0:
                time.sleep(wait_s)
                left_s -= wait_s

        return pause


class _Patient:
    """An index that is asked nothing before `pause` has returned."""

    def __init__(self, index: Symbols, pause: Callable[[], None]) -> None:
        self._index = index
        self.pause = pause

    def file(self, path: str) -> FileSymbols | None:
        self.pause()
        return self._index.file(path)

    def known(self, paths: Sequence[str]) -> frozenset[str]:
        self.pause()
        return self._index.known(paths)

    def files_defining(self, name: str) -> tuple[str, ...]:
        self.pause()
        return self._index.files_defining(name)

    def rare_terms(self, terms: Iterable[str], limit: int = 50) -> tuple[Ranked, ...]:
        self.pause()
        return self._index.rare_terms(terms, limit)
