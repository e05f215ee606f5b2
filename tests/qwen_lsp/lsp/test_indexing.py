"""The index's life in a window: what is started and ended, what reaches the programs, what features may read."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.indexer import Hint, Look, State
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.live import Buffer
from qwen_lsp.index.store import Store
from qwen_lsp.index.symbols import of_buffer
from qwen_lsp.lsp import indexing
from qwen_lsp.lsp.indexing import AWAY_S, STARTS, line
from tests.qwen_lsp.lsp.test_sync import change, open_
from tests.qwen_lsp.lsp.wire import FakeChild, Wire

TIMEOUT_S = 60.0
PROGRESS: dict[str, Any] = {"window": {"workDoneProgress": True}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers settle in no time."""
    monkeypatch.setattr(indexing, "SETTLE_S", 0.0)


async def until(condition: Callable[[], bool]) -> None:
    """For what no message tells."""
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def known(wire: Wire, uri: str) -> bool:
    """Whether there is an index around the document."""
    located = wire.server.session.index(uri)
    if located is not None:
        located.symbols.close()
    return located is not None


async def begun(root: Path, capabilities: dict[str, Any] | None = None) -> Wire:
    """A window on one folder, whose store is open."""
    wire = Wire()
    await wire.begin(capabilities, rootUri=root.as_uri())
    await until(lambda: known(wire, (root / "any.py").as_uri()))
    return wire


def child(wire: Wire, module: str) -> FakeChild:
    return next(found for found in reversed(wire.children) if found.module == module)


async def answered(wire: Wire) -> Buffer:
    """The next buffer that is to be extracted, extracted."""
    await until(lambda: any(found.module == "live" and not found.closed for found in wire.children))
    live = child(wire, "live")
    async with asyncio.timeout(TIMEOUT_S):
        buffer = await live.heard.get()
    assert isinstance(buffer, Buffer)
    live.says.put_nowait(of_buffer(buffer.text.encode(), language_of(buffer.path)))
    return buffer


def defining(wire: Wire, uri: str, name: str) -> list[str]:
    located = wire.server.session.index(uri)
    assert located is not None
    with located:
        return [found.path for found in located.symbols.definitions_of(name)]


async def test_one_indexer_for_all_folders_and_none_without(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        root.mkdir()
    wire = Wire()
    await wire.begin()
    open_(wire, "file:///w/a.py")
    assert wire.server.session.index("file:///w/a.py") is None
    assert wire.children == []
    added = [{"uri": root.as_uri(), "name": root.name} for root in (one, two, tmp_path / "absent")]
    wire.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": added, "removed": []}})
    await wire.until(lambda: len(wire.children) == 1)
    assert (wire.children[0].module, wire.children[0].arguments) == ("indexer", [str(one), str(two)])
    wire.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": added[:1]}})
    await wire.until(lambda: len(wire.children) == 2)
    await until(lambda: wire.children[0].closed)
    assert wire.children[1].arguments == [str(two)]
    await wire.ask("shutdown", None)
    assert all(found.closed for found in wire.children)


async def test_the_setting_switches_it_off_and_on(tmp_path: Path) -> None:
    wire = Wire()
    await wire.begin(rootUri=tmp_path.as_uri(), initializationOptions={"index": {"enabled": False}})
    assert wire.children == []
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": {"index.enabled": True}}})
    await wire.until(lambda: len(wire.children) == 1)
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": {"index.enabled": False}}})
    await until(lambda: wire.children[0].closed)
    assert wire.server.session.index((tmp_path / "a.py").as_uri()) is None


async def test_buffers_shadow_the_disk_until_they_are_closed(tmp_path: Path) -> None:
    wire = await begun(tmp_path)
    uri = (tmp_path / "sub" / "a.py").as_uri()
    open_(wire, uri, "def one(): pass\n")
    assert await answered(wire) == Buffer(tmp_path, "sub/a.py", "def one(): pass\n")
    await until(lambda: defining(wire, uri, "one") == ["sub/a.py"])
    change(wire, uri, 2, {"text": "def two(): pass\n"})
    await answered(wire)
    await until(lambda: defining(wire, uri, "two") == ["sub/a.py"])
    assert defining(wire, uri, "one") == []
    wire.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert defining(wire, uri, "two") == []


async def test_what_is_too_large_for_the_index_is_not_even_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "HUGE_BYTES", 100)
    wire = await begun(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    open_(wire, uri, "def one(): pass\n")
    await answered(wire)
    await until(lambda: defining(wire, uri, "one") == ["a.py"])
    change(wire, uri, 2, {"text": "def one(): pass\n" * 50})
    await until(lambda: defining(wire, uri, "one") == [])
    assert child(wire, "live").heard.empty()


async def test_while_one_is_extracted_changes_come_together(tmp_path: Path) -> None:
    wire = await begun(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    open_(wire, uri, "1")
    await until(lambda: len(wire.children) == 2)
    live = child(wire, "live")
    assert (await live.heard.get()).text == "1"
    for version in range(2, 50):
        change(wire, uri, version, {"text": str(version)})
    live.says.put_nowait(None)
    assert (await live.heard.get()).text == "49"
    wire.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    live.says.put_nowait(of_buffer(b"def late(): pass\n", language_of("a.py")))
    open_(wire, (tmp_path / "b.py").as_uri(), "def b(): pass\n")
    await answered(wire)
    await until(lambda: defining(wire, uri, "b") == ["b.py"])
    assert defining(wire, uri, "late") == []


async def test_a_buffer_that_kills_its_process_is_not_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await begun(tmp_path)
    bad, good = (tmp_path / "bad.py").as_uri(), (tmp_path / "good.py").as_uri()
    open_(wire, bad, "x")
    await until(lambda: len(wire.children) == 2)
    await wire.children[1].heard.get()
    wire.children[1].says.put_nowait(EOFError())
    await until(lambda: wire.children[1].closed)
    change(wire, bad, 2, {"text": "y"})
    open_(wire, good, "def good(): pass\n")
    assert (await answered(wire)).path == "good.py"
    assert len(wire.children) == 3
    await until(lambda: defining(wire, good, "good") == ["good.py"])


async def test_the_indexers_state_is_shown(tmp_path: Path) -> None:
    wire = await begun(tmp_path, PROGRESS)
    says, root = wire.children[0].says, str(tmp_path)
    for n_done in (10, 420):
        says.put_nowait(State(root, "scanning", n_done, 1_000))
        await wire.until(lambda: bool(wire.said("$/progress")))
    says.put_nowait(State(root, "ready", 1_234, 0, 3))
    await wire.until(lambda: wire.said("$/progress")[-1]["value"]["kind"] == "end")
    values = [said["value"] for said in wire.said("$/progress")]
    assert [(value["kind"], value["message"]) for value in values] == [
        ("begin", "indexing 1 %"),
        ("report", "indexing 42 %"),
        ("end", "index: 1,234 files, 3 skipped"),
    ]
    assert wire.said("qwen/status")[-1]["index"] == "index: 1,234 files, 3 skipped"
    says.put_nowait(State(root, "scanning", 1, 2))  # over in a moment: no display
    says.put_nowait(State(root, "ready", 1_235))
    await wire.until(lambda: wire.said("qwen/status")[-1]["index"] == "index: 1,235 files")
    assert len(wire.said("$/progress")) == 3


@pytest.mark.parametrize(
    ("states", "text"),
    [
        ([State("/a")], "indexing"),
        ([State("/a", "scanning", 1, 4), State("/b", "scanning", 2, 4), State("/c", "ready", 9)], "indexing 37 %"),
        ([State("/a", "waiting"), State("/b", "ready", 9)], "another window is indexing"),
        ([State("/a", "ready", 5, 0, 1), State("/b", "ready", 2_000, 0, 2)], "index: 2,005 files, 3 skipped"),
        ([State("/a", "ready", 5, trouble="no room")], "index: 5 files; changes are found late: no room"),
        ([State("/a", "failed", trouble="disk full"), State("/b", "ready", 5)], "no index: disk full"),
    ],
)
def test_the_line_for_people(states: list[State], text: str) -> None:
    assert line(states) == text


async def test_an_indexer_that_ends_is_started_again_but_not_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await begun(tmp_path)
    for n_started in range(1, STARTS + 1):
        await wire.until(lambda n=n_started: len(wire.children) == n)  # type: ignore[misc]
        wire.children[-1].says.put_nowait(EOFError())
        await until(lambda n=n_started: wire.children[n - 1].closed)  # type: ignore[misc]
    await wire.until(lambda: wire.said("qwen/status")[-1]["index"].startswith("no index: its process ended"))
    assert len(wire.children) == STARTS
    wire.server.session.hint([tmp_path / "a.py"])  # nobody hears it, nobody minds


async def test_back_after_a_pause_it_looks_at_everything(tmp_path: Path) -> None:
    wire = await begun(tmp_path)
    found = wire.server.session._indexing
    assert found is not None
    now = found._active_at
    found._clock = lambda: now
    open_(wire, (tmp_path / "a.py").as_uri())
    now += AWAY_S - 1
    open_(wire, (tmp_path / "b.py").as_uri())
    assert wire.children[0].heard.empty()
    now += AWAY_S + 1
    open_(wire, (tmp_path / "c.py").as_uri())
    assert wire.children[0].heard.get_nowait() == Look()


async def test_a_store_that_another_window_gave_up_is_opened_anew(tmp_path: Path) -> None:
    wire = await begun(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    open_(wire, uri, "def one(): pass\n")
    await answered(wire)
    await until(lambda: defining(wire, uri, "one") == ["a.py"])
    with closing(Store(store_folder(tmp_path, index_folder()))) as store:
        store.renew()
    assert wire.server.session.index(uri) is None
    await answered(wire)
    await until(lambda: known(wire, uri))
    await until(lambda: defining(wire, uri, "one") == ["a.py"])


async def test_the_innermost_folder_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    wire = Wire()
    await wire.begin(workspaceFolders=[{"uri": root.as_uri(), "name": "x"} for root in (tmp_path, inner)])
    session, uri = wire.server.session, (inner / "a.py").as_uri()
    await until(lambda: known(wire, uri))
    located = session.index(uri)
    assert located is not None
    with located:
        assert (located.root, located.path) == (inner, "a.py")
    assert session.index("untitled:1") is None
    assert session.index("file:///elsewhere.py") is None


async def test_without_a_place_for_the_store_the_rest_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "file"))
    wire = Wire()
    with caplog.at_level(logging.WARNING):
        await wire.begin(rootUri=tmp_path.as_uri())
        await until(lambda: "can not be opened" in caplog.text)
    uri = (tmp_path / "a.py").as_uri()
    open_(wire, uri, "x")
    assert wire.server.session.index(uri) is None
    await wire.ask("shutdown", None)


async def test_hints_of_the_editor_reach_the_indexer(tmp_path: Path) -> None:
    capabilities = {"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": True}}}
    wire = await begun(tmp_path, capabilities)
    ((registration,),) = [params["registrations"] for params in wire.said("client/registerCapability")]
    assert registration["method"] == "workspace/didChangeWatchedFiles"
    assert registration["registerOptions"] == {"watchers": [{"globPattern": "**/*"}]}
    changes = [{"uri": (tmp_path / "ä b.py").as_uri(), "type": 1}, {"uri": "untitled:1", "type": 2}]
    wire.notify("workspace/didChangeWatchedFiles", {"changes": changes})
    assert wire.children[0].heard.get_nowait() == Hint((str(tmp_path / "ä b.py"),))


@pytest.mark.parametrize("options", [{}, {"rootUri": "file:///"}])
async def test_who_does_not_offer_to_watch_is_not_asked(options: dict[str, Any]) -> None:
    wire = Wire()
    await wire.begin({"workspace": {"didChangeWatchedFiles": {"dynamicRegistration": not options}}})
    assert wire.said("client/registerCapability") == []
    wire.notify("workspace/didChangeWatchedFiles", {"changes": [{"uri": "file:///w/a.py", "type": 3}]})
