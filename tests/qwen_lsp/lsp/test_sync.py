"""Documents as the editor has them, the order of use, the workspace's roots; nothing that comes in breaks them."""

from pathlib import Path
from typing import Any

from qwen_lsp.lsp.session import Session
from tests.qwen_lsp.lsp.wire import Wire

A, B, C = "file:///w/a.py", "file:///w/b.py", "file:///w/c.py"


def open_(wire: Wire, uri: str, text: str = "", version: int = 1) -> None:
    item = {"uri": uri, "languageId": "python", "version": version, "text": text}
    wire.notify("textDocument/didOpen", {"textDocument": item})


def change(wire: Wire, uri: str, version: int, *changes: dict[str, Any]) -> None:
    document = {"uri": uri, "version": version}
    wire.notify("textDocument/didChange", {"textDocument": document, "contentChanges": list(changes)})


def text_of(session: Session, uri: str) -> str:
    document = session.document(uri)
    assert document is not None
    return document.text


def span(start: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    return {
        "start": {"line": start[0], "character": start[1]},
        "end": {"line": end[0], "character": end[1]},
    }


async def test_recently_edited_documents_come_first() -> None:
    wire = Wire()
    await wire.begin()
    session = wire.server.session
    for uri in (A, B, C):
        open_(wire, uri)
    change(wire, A, 2, {"text": "x"})
    assert session.snapshot().recent == (A, C, B)
    wire.notify("textDocument/didClose", {"textDocument": {"uri": C}})
    wire.notify("textDocument/didClose", {"textDocument": {"uri": C}})
    assert session.snapshot().recent == (A, B)
    assert set(session.snapshot().documents) == {A, B}


async def test_a_snapshot_stays_as_it_was() -> None:
    wire = Wire()
    await wire.begin()
    open_(wire, A, "old")
    before = wire.server.session.snapshot()
    assert wire.server.session.snapshot() is before
    change(wire, A, 2, {"text": "new"})
    open_(wire, B)
    assert before.documents[A].text == "old"
    assert B not in before.documents
    assert wire.server.session.snapshot().documents[A].text == "new"


async def test_form_feed_and_line_separators_are_text() -> None:
    wire = Wire()
    await wire.begin()
    open_(wire, A, "a\x0cb\u2028c\x85d\r\nline two\n")
    change(wire, A, 2, {"range": span((1, 5), (1, 8)), "text": "2"})
    assert text_of(wire.server.session, A) == "a\x0cb\u2028c\x85d\r\nline 2\n"


async def test_odd_messages_do_not_break_the_text() -> None:
    wire = Wire()
    await wire.begin()
    session = wire.server.session
    change(wire, A, 2, {"text": "never opened"})
    wire.notify("textDocument/didSave", {"textDocument": {"uri": A}})
    assert session.document(A) is None
    open_(wire, A, "one\ntwo", version=5)
    change(wire, A, 3, {"range": span((9, 9), (99, 99)), "text": "!"})  # an older version, outside the text
    assert text_of(session, A) == "one\ntwo!"
    change(wire, A, 4, {"range": span((1, 2), (0, 1)), "text": ""})  # from the end to the start
    assert text_of(session, A) == "oo!"
    change(wire, A, 5, {"text": "\ud800 lone"})
    assert text_of(session, A) == "\ufffd lone"
    change(wire, A, 6)
    open_(wire, A, "again")
    assert text_of(session, A) == "again"


async def test_roots_come_from_folders_and_follow_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two ü"
    wire = Wire()
    await wire.begin(workspaceFolders=[{"uri": one.as_uri(), "name": "one"}, {"uri": "vscode-vfs://x", "name": "x"}])
    session = wire.server.session
    assert session.snapshot().roots == (one,)
    event = {"added": [{"uri": two.as_uri(), "name": "two"}], "removed": [{"uri": one.as_uri(), "name": "one"}]}
    wire.notify("workspace/didChangeWorkspaceFolders", {"event": event})
    assert session.snapshot().roots == (two,)


async def test_older_clients_name_one_root(tmp_path: Path) -> None:
    named: list[dict[str, Any]] = [{"rootUri": tmp_path.as_uri()}, {"rootPath": str(tmp_path)}]
    for options in named:
        wire = Wire()
        await wire.begin(**options)
        assert wire.server.session.snapshot().roots == (tmp_path,)
