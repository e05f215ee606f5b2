"""HTTP on a unix socket by aiohttp, for our own daemon: one request, one answer, whole or line by line.

Knows no route. httpx, which speaks to servers that the user names, takes six times the processor time for a small
request, and a key waits for some. Failures are httpx's all the same: who asks need not know which client asked.
"""

import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx

KEEP_ALIVE_S = 3.0  # less than the daemon's own patience, so that it does not hang up as we ask
WHOLE_BYTES = 1 << 20  # a larger body is written in pieces: the loop goes on meanwhile
LINE_BYTES = 1 << 20  # of an answer; a longer one is no answer of ours


@dataclass(slots=True)
class Answer:
    """A status, and a body that is read from the connection as it is asked for."""

    _response: aiohttp.ClientResponse = field(repr=False)
    _body: bytes = field(default=b"", repr=False)

    @property
    def status_code(self) -> int:
        return self._response.status

    async def read(self) -> None:
        """The whole body, for `json`."""
        with _told():
            self._body = await self._response.read()

    def json(self) -> Any:
        """Of a body that was read. Raises ValueError."""
        return json.loads(self._body)

    async def line(self) -> str | None:
        """The body's next line as it comes, without its end; None when there is no more."""
        with _told():
            line = await self._response.content.readline()
        return line.decode("utf-8", "replace").removesuffix("\n") if line else None


class Client:
    """Connections to one socket; those that are free are used again. To be made where an event loop runs."""

    def __init__(self, path: str, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._session = aiohttp.ClientSession(
            "http://daemon",
            connector=aiohttp.UnixConnector(path, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s, sock_read=read_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=LINE_BYTES,
        )

    @property
    def is_closed(self) -> bool:
        return self._session.closed

    async def close(self) -> None:
        await self._session.close()

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
        sent = data if len(data) < WHOLE_BYTES else io.BytesIO(data)
        with _told():
            response = await self._session.request(
                method, route, data=sent or None, headers={"Content-Type": "application/json"}
            )
        try:
            yield Answer(response)
        finally:
            response.release()


@contextmanager
def _told() -> Iterator[None]:
    """What a connection can raise, as httpx calls it."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout("the socket does not take us") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(type(error).__name__) from error
    except TimeoutError as error:
        raise httpx.ReadTimeout("nothing came") from error
    except aiohttp.ClientOSError as error:
        raise httpx.ReadError(type(error).__name__) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise httpx.RemoteProtocolError(type(error).__name__) from error
