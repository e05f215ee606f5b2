"""The index in real processes: typing during a cold scan, two windows on one folder, nobody left behind."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as t
from pygls.lsp.client import LanguageClient

from qwen_lsp.lsp.editor import STATUS
from tests.qwen_lsp.index.trees import write
from tests.qwen_lsp.lsp.test_stdio import MAIN, ROOT

TIMEOUT_S = 100.0
N_FILES = 2_000
N_KEYS = 200
# What a laptop must reach is 20 ms (DESIGN.md 7). Half of the keys in half a second still tell a loop that is held up
# by a scan, which takes many seconds, from a machine that is busy with ten other things.
MEDIAN_S = 0.5

BODY = "".join(
    f"    def method_{n}(self, value: int) -> int:\n        return self.other_{n}(value) + {n}\n" for n in range(40)
)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


class Window:
    """A real server on a folder, and what it has said of its index."""

    def __init__(self, client: LanguageClient) -> None:
        self.client = client
        self.said: list[str] = []
        self._news = asyncio.Event()
        client.feature(STATUS)(partial(self._heard))

    def _heard(self, params: Any) -> None:
        self.said.append(params.index)
        self._news.set()

    async def until(self, condition: Callable[[str], bool]) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while not any(condition(line) for line in self.said):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def window(root: Path, *, polite: bool = True) -> AsyncIterator[Window]:
    client = LanguageClient("test", "1")
    found = Window(client)
    await client.start_io(*MAIN, cwd=ROOT)
    await client.initialize_async(t.InitializeParams(capabilities=t.ClientCapabilities(), root_uri=root.as_uri()))
    client.initialized(t.InitializedParams())
    try:
        yield found
        if polite:
            await client.shutdown_async(None)
            client.exit(None)
        else:
            assert client._server is not None
            client._server.kill()
        async with asyncio.timeout(TIMEOUT_S):
            assert client._server is not None
            await client._server.wait()
    finally:
        await client.stop()  # type: ignore[no-untyped-call]


def running() -> list[int]:
    """All processes of this test: they have its home in their environment."""
    mark = f"QWEN_LSP_HOME={os.environ['QWEN_LSP_HOME']}\0".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            is_ours = folder.name.isdecimal() and mark in (folder / "environ").read_bytes()
        except OSError:
            continue
        if is_ours and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


async def until_nobody_runs() -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while running():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def key(client: LanguageClient, uri: str, version: int) -> float:
    """Seconds from a change until a question that was asked behind it is answered."""
    began = time.perf_counter()
    change = t.TextDocumentContentChangePartial(range=t.Range(t.Position(0, 0), t.Position(0, 0)), text="x")
    client.text_document_did_change(
        t.DidChangeTextDocumentParams(t.VersionedTextDocumentIdentifier(version, uri), [change])
    )
    where = t.Range(t.Position(0, 0), t.Position(0, 1))
    await client.text_document_code_action_async(
        t.CodeActionParams(t.TextDocumentIdentifier(uri), where, t.CodeActionContext([]))
    )
    return time.perf_counter() - began


@pytest.mark.parametrize("polite", [True, False], ids=["closed", "killed"])
async def test_typing_goes_on_during_a_cold_scan_and_closing_ends_it(tmp_path: Path, polite: bool) -> None:
    files = {f"p{n % 40}/m{n}.py": f"class C{n}:\n{BODY}" for n in range(N_FILES)}
    root = write(tmp_path / "w", files)
    async with window(root, polite=polite) as found:
        uri = (root / "p0" / "m0.py").as_uri()
        item = t.TextDocumentItem(uri, t.LanguageKind.Python, 1, files["p0/m0.py"])
        found.client.text_document_did_open(t.DidOpenTextDocumentParams(item))
        await found.until(lambda line: line.endswith("%"))
        times = [await key(found.client, uri, version) for version in range(2, N_KEYS)]
        print(
            f"during the scan: p50 {statistics.median(times) * 1e3:.1f} ms, "
            f"p99 {statistics.quantiles(times, n=100)[98] * 1e3:.1f} ms, then {found.said[-1]!r}"
        )
        assert statistics.median(times) < MEDIAN_S
        assert len(running()) >= 2
    await until_nobody_runs()


async def test_two_windows_share_one_scan(tmp_path: Path) -> None:
    root = write(tmp_path / "w", {f"m{n}.py": f"class C{n}:\n{BODY}" for n in range(30)})
    async with window(root) as one, window(root) as other:
        for found in (one, other):
            await found.until(lambda line: line == "index: 30 files")
    await until_nobody_runs()
