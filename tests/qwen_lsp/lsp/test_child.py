"""A program beside the server: values both ways, and it ends when it should, and when it would rather not."""

import sys
from pathlib import Path

import pytest

from qwen_lsp.index.live import Buffer
from qwen_lsp.index.symbols import BufferSymbols
from qwen_lsp.lsp import child
from qwen_lsp.lsp.child import start


async def test_values_go_in_and_come_out(tmp_path: Path) -> None:
    found = await start("qwen_lsp.index.live", [])
    found.send(Buffer(tmp_path, "a.py", "def f(): pass\n"))
    buffer = await found.receive()
    assert isinstance(buffer, BufferSymbols)
    assert [definition.name for definition in buffer.symbols.definitions] == ["f"]
    assert "def" in buffer.words
    await found.close()
    found.send("to nobody")
    with pytest.raises(EOFError):
        await found.receive()


async def test_its_end_is_told() -> None:
    found = await start("qwen_lsp.no_such_module", [])
    with pytest.raises(EOFError):
        await found.receive()
    await found.close()


async def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sleeps without ever reading its input."""
    monkeypatch.setattr(child, "CLOSE_S", 0.1)
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = await start("sleeper", [])
    await found.close()
    with pytest.raises(EOFError):
        await found.receive()


async def test_without_a_process_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(OSError):
        await start("qwen_lsp.index.live", [])


async def test_what_it_still_says_does_not_keep_it(tmp_path: Path) -> None:
    """Nobody reads, and more comes than a pipe holds."""
    found = await start("qwen_lsp.index.live", [])
    for number in range(20):
        text = "".join(f"def function_{number}_{line}(): pass\n" for line in range(1_000))
        found.send(Buffer(tmp_path, "a.py", text))
    assert isinstance(await found.receive(), BufferSymbols)
    await found.close()
