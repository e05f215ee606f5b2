"""HTTP/1.1 on a unix socket, as much of it as our own daemon speaks: one request, one answer, whole or line by line.

Knows no route and no JSON. httpx takes milliseconds of the processor for what costs a fraction of one here, and a key
waits for that. Failures are httpx's all the same: who asks need not know which client asked.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

MOST_IDLE = 8  # connections that wait for the next request


@dataclass(slots=True)
class Answer:
    """A status, and a body that is read from the connection as it is asked for."""

    status_code: int
    headers: Mapping[str, str]
    _reader: asyncio.StreamReader = field(repr=False)
    _timeout_s: float
    is_read: bool = False  # to its end: the connection can be used again
    _body: bytes = field(default=b"", repr=False)

    async def read(self) -> None:
        """The whole body, for `json`."""
        while part := await self._part():
            self._body += part

    def json(self) -> Any:
        """Of a body that was read. Raises ValueError."""
        return json.loads(self._body)

    async def line(self) -> str | None:
        """The body's next line as it comes, without its end; None when there is no more."""
        while b"\n" not in self._body:
            part = await self._part()
            if not part:
                rest, self._body = self._body, b""
                return rest.decode("utf-8", "replace") if rest else None
            self._body += part
        line, _, self._body = self._body.partition(b"\n")
        return line.decode("utf-8", "replace")

    async def _part(self) -> bytes:
        """What comes next; nothing at the end."""
        if self.is_read:
            return b""
        with _told():
            async with asyncio.timeout(self._timeout_s):
                if "chunked" not in self.headers.get("transfer-encoding", ""):
                    self.is_read = True
                    return await self._reader.readexactly(int(self.headers.get("content-length", "0")))
                size = int((await self._reader.readuntil(b"\n")).partition(b";")[0], 16)
                part = await self._reader.readexactly(size)
                await self._reader.readuntil(b"\n")  # after the last one: no trailers, our daemon has none
        self.is_read = not part
        return part


type _Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Client:
    """Connections to one socket; those that are free are used again."""

    def __init__(self, path: str, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._path = path
        self._connect_timeout_s, self._read_timeout_s = connect_timeout_s, read_timeout_s
        self._idle: list[_Pair] = []
        self.is_closed = False

    def close(self) -> None:
        """Let go of what is idle; what runs ends first."""
        self.is_closed = True
        while self._idle:
            self._idle.pop()[1].close()

    async def get(self, route: str) -> Answer:
        """An answer whose body was read. Raises httpx.TransportError, as all here."""
        async with self.open("GET", route) as answer:
            await answer.read()
            return answer

    async def post(self, route: str, body: object) -> Answer:
        """The same for JSON that is sent."""
        async with self.open("POST", route, body) as answer:
            await answer.read()
            return answer

    @asynccontextmanager
    async def open(self, method: str, route: str, body: object = None) -> AsyncIterator[Answer]:
        """An answer to be read within; leaving before its end breaks the connection, which cancels the work."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {route} HTTP/1.1\r\nHost: daemon\r\nContent-Type: application/json\r\n"
        answer, pair = await self._asked(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        try:
            yield answer
        finally:
            stays = answer.is_read and answer.headers.get("connection", "").lower() != "close"
            if stays and not self.is_closed and len(self._idle) < MOST_IDLE:
                self._idle.append(pair)
            else:
                pair[1].close()

    async def _asked(self, data: bytes) -> tuple[Answer, _Pair]:
        """The head of the answer. A connection that the daemon hung up on meanwhile gives way to a new one."""
        while self._idle:
            pair = self._idle.pop()
            if not pair[0].at_eof() and not pair[1].is_closing():
                try:
                    return await self._sent(pair, data)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    continue
            pair[1].close()
        return await self._sent(await self._connected(), data)

    async def _connected(self) -> _Pair:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await asyncio.open_unix_connection(self._path)
        except TimeoutError as error:
            raise httpx.ConnectTimeout("the socket does not take us") from error
        except OSError as error:
            raise httpx.ConnectError(type(error).__name__) from error

    async def _sent(self, pair: _Pair, data: bytes) -> tuple[Answer, _Pair]:
        reader, writer = pair
        try:
            with _told():
                async with asyncio.timeout(self._read_timeout_s):
                    writer.write(data)
                    await writer.drain()
                    head = await reader.readuntil(b"\r\n\r\n")
                first, *rows = head.decode("latin-1").split("\r\n")
                pairs = (row.partition(":") for row in rows)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                return Answer(int(first.split(" ", 2)[1]), headers, reader, self._read_timeout_s), pair
        except BaseException:
            writer.close()
            raise


@contextmanager
def _told() -> Iterator[None]:
    """What a connection can raise, as httpx calls it."""
    try:
        yield
    except TimeoutError as error:
        raise httpx.ReadTimeout("nothing came") from error
    except OSError as error:
        raise httpx.ReadError(type(error).__name__) from error
    except (EOFError, ValueError, IndexError, asyncio.LimitOverrunError) as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
