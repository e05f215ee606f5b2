"""A credential in the sources, and everything that is made of them searched for it."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.features.complete import complete
from qwen_lsp.features.ledger import turned
from qwen_lsp.index.languages import language_named
from qwen_lsp.index.rows import pack, unpack_outline
from qwen_lsp.index.symbols import shown, symbols_of
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Change, Cursor, changed, opened
from qwen_lsp.text.snapshot import Snapshot
from tests.qwen_lsp.features.fake_engine import FakeEngine

CANARY = "ghp_" + "Z9y8X7w6V5" * 4
KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDCanaryCanary1"
SOURCE = f'''TOKEN = "{CANARY}"


def connect(token: str = "{CANARY}") -> str:
    """-----BEGIN PRIVATE KEY-----
    {KEY_LINE}
    -----END PRIVATE KEY-----"""
    return token


total = connect()
'''


def clean(text: str) -> None:
    """No eight characters in a row of either."""
    for secret in (CANARY, KEY_LINE):
        assert not [secret[at : at + 8] for at in range(len(secret) - 7) if secret[at : at + 8] in text]


def test_rows_of_the_index() -> None:
    text = shown(SOURCE.encode())
    found = symbols_of(text, language_named("python"))
    packed = pack(found, text.data)
    assert [definition.name for definition in found.definitions] == ["TOKEN", "connect", "total"]
    clean(repr((found, packed.terms, unpack_outline(packed.outline))))


async def test_prompts_the_log_of_edits_and_the_cursor_inside_of_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    other = opened("file:///work/shop/b.py", "python", 1, SOURCE)
    for offset in (len(SOURCE), SOURCE.index(CANARY) + 12, SOURCE.index(KEY_LINE) + 20):
        here = opened("file:///work/shop/a.py", "python", 1, SOURCE)
        documents = {each.uri: each for each in (here, other)}
        snapshot = Snapshot(documents, tuple(documents), (Path("/work/shop"),), Settings())
        ledger = turned(None, snapshot, Cursor(here, offset))
        assert ledger is not None
        edited = changed(other, [Change(f"again = '{CANARY}'\n", (0, 0), (0, 0))], 2, "utf-32")
        snapshot = Snapshot({**documents, other.uri: edited}, tuple(documents), snapshot.roots, Settings())
        ledger = turned(ledger, snapshot, Cursor(here, offset))
        for given in (ledger, None):
            engine = FakeEngine("1", "1", "1")
            await complete(snapshot, Cursor(here, offset), engine, given)
            assert engine.asked and "connect" in repr(engine.asked)
            clean(repr([request.prompt for request in engine.asked]))
    clean(caplog.text)
    clean(repr((other, ContextFile("b.py", other.shown))))


def test_what_is_on_the_disk_afterwards_and_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, folder = tmp_path / "home", tmp_path / "shop"
    folder.mkdir()
    (folder / "b.py").write_text(SOURCE)
    (folder / "a.py").write_text("from b import connect, TOKEN\n\nconnect(TOKEN)\n")
    monkeypatch.setenv("QWEN_LSP_HOME", str(home))
    command = [sys.executable, "-m", "qwen_lsp", "context", f"{folder / 'a.py'}:3:1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True, cwd=tmp_path)
    assert {"connect", "TOKEN"} <= {item["name"] for item in json.loads(done.stdout)["items"]}
    clean(done.stdout + done.stderr)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    for path in files:
        clean(path.read_bytes().decode("latin-1"))
