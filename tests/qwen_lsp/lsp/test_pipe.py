"""stdin read by the event loop: what comes in pieces, what is cut off, and which streams can be read so."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_lsp.lsp.stdio import LINE_BYTES, PipeReader, is_watchable


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end that an editor writes into."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing


async def test_lines_and_bodies_come_whole(pipe: int) -> None:
    reader = await PipeReader.opened()
    os.write(pipe, b"Content-Length: 4\r\n\r")
    assert await reader.readline() == b"Content-Length: 4\r\n"
    waiting = asyncio.ensure_future(reader.readline())
    await asyncio.sleep(0)
    assert not waiting.done()
    os.write(pipe, b"\n{")
    assert await waiting == b"\r\n"
    os.write(pipe, b"  }rest")
    assert await reader.readexactly(4) == b"{  }"
    os.close(pipe)
    assert await reader.readexactly(5) == b"", "what was cut off by the end is nothing"
    assert await reader.readline() == b""


async def test_a_line_without_end_ends_the_session() -> None:
    stream = asyncio.StreamReader(LINE_BYTES)
    stream.feed_data(b"x" * (LINE_BYTES + 1))
    assert await PipeReader(stream).readline() == b""


def test_what_can_be_watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def says(stdin: int, stdout: int) -> bool:
        with os.fdopen(os.dup(stdin), "rb") as one, os.fdopen(os.dup(stdout), "wb") as other:
            monkeypatch.setattr(sys, "stdin", one)
            monkeypatch.setattr(sys, "stdout", other)
            return is_watchable()

    reading, writing = os.pipe()
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "f").open("w+") as file:
        assert says(reading, writing) is False, "the two ends of one pipe are one file"
        assert says(reading, theirs.fileno()) and says(ours.fileno(), writing)
        assert not says(ours.fileno(), ours.fileno()), "stdout would no longer wait, either"
        assert not says(file.fileno(), writing)
    os.close(reading)
    os.close(writing)
    monkeypatch.setattr(sys, "stdin", None)
    assert not is_watchable()
