"""The small HTTP client, against a socket that says byte for byte what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from qwen_lsp.engine.unix import Answer, Client

WHOLE = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a":1}'
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Daemon:
    """Says its answers one after the other, each in the pieces given; an empty piece hangs up."""

    answers: list[Sequence[bytes]]
    heard: list[bytes] = field(default_factory=list)
    n_connections: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.n_connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                rows = dict(row.split(b": ", 1) for row in head.split(b"\r\n")[1:-2])
                length = int(rows.get(b"Content-Length", b"0"))
                self.heard.append(head.split(b" HTTP")[0] + b" " + await reader.readexactly(length))
                for piece in self.answers.pop(0):
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def speaking(
    folder: Path, *answers: Sequence[bytes], timeout_s: float = 10.0
) -> AsyncIterator[tuple[Client, Daemon]]:
    daemon = Daemon(list(answers))
    server = await asyncio.start_unix_server(daemon, folder / "s")
    client = Client(str(folder / "s"), 2.0, timeout_s)
    try:
        yield client, daemon
    finally:
        await client.close()
        server.close()


async def test_one_connection_serves_one_request_after_the_other(tmp_path: Path) -> None:
    async with speaking(tmp_path, [WHOLE], [WHOLE[:9], WHOLE[9:50], WHOLE[50:]]) as (client, daemon):
        assert (await client.get("/health")).json() == {"a": 1}
        assert (await client.post("/x", {"é": "\n"})).status_code == 200
        assert daemon.heard == [b"GET /health ", b'POST /x {"\\u00e9": "\\n"}'] and daemon.n_connections == 1


async def test_lines_come_whole_however_they_were_cut(tmp_path: Path) -> None:
    pieces = [CHUNKED, b"5;x=y\r\ndata:\r\n3\r", b"\n 1\n\r\n4\r\n\xc3\xa9\nx\r\n0\r\n\r\n"]
    async with speaking(tmp_path, pieces, [WHOLE]) as (client, daemon):
        async with client.open("POST", "/s", {}) as answer:
            lines = [line async for line in all_lines(answer)]
        assert lines == ["data: 1", "é", "x"]
        await client.get("/")
        assert daemon.n_connections == 1


async def all_lines(answer: Answer) -> AsyncIterator[str]:
    while (line := await answer.line()) is not None:
        yield line


async def test_whoever_leaves_early_breaks_the_connection(tmp_path: Path) -> None:
    async with speaking(tmp_path, [CHUNKED, b"3\r\na\nb\r\n"], [WHOLE]) as (client, daemon):
        async with client.open("POST", "/s", {}) as answer:
            assert await answer.line() == "a"
        await client.get("/")
        assert daemon.n_connections == 2


async def test_a_connection_that_was_hung_up_on_gives_way_to_a_new_one(tmp_path: Path) -> None:
    async with speaking(tmp_path, [WHOLE, b""], [WHOLE], [b""], [WHOLE]) as (client, daemon):
        await client.get("/1")
        await client.get("/2")
        assert daemon.n_connections == 2
        await client.get("/3")  # is hung up on as it is asked on the old connection, and asked again on a new one
        assert daemon.n_connections == 3 and daemon.heard[-1] == b"GET /3 "


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [WHOLE[:-1], b""],
        [b"HTTP/1.1\r\n\r\n"],
        [b"HTTP/1.1 two OK\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
        [CHUNKED, b"zz\r\n"],
        [CHUNKED, b"5\r\nab", b""],
    ],
)
async def test_half_an_answer_is_none(tmp_path: Path, pieces: Sequence[bytes]) -> None:
    async with speaking(tmp_path, pieces) as (client, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")


async def test_nobody_there_and_nobody_who_answers(tmp_path: Path) -> None:
    nobody = Client(str(tmp_path / "nothing"), 1.0, 1.0)
    with pytest.raises(httpx.ConnectError):
        await nobody.get("/")
    await nobody.close()
    async with speaking(tmp_path, [CHUNKED], timeout_s=0.01) as (client, _):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/")
