"""Who is at the other end of a unix socket. Knows no HTTP beyond uvicorn's protocol class."""

import asyncio
import logging
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any, Protocol

from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

XUCRED = struct.Struct("@IIh16I")  # macOS: version, uid, number of groups, groups. Not measured.
LOCAL_PEERCRED = 1
SOL_LOCAL = 0


class HasOptions(Protocol):
    """A socket, or asyncio's stand-in for one."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...


def peer_uid(connection: HasOptions) -> int | None:
    """The user at the other end; None where the system does not say."""
    try:
        if sys.platform == "linux":
            credentials = struct.Struct("3i")  # pid, uid, gid
            answer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
        elif sys.platform == "darwin":
            credentials = XUCRED
            answer = connection.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, credentials.size)
        else:
            return None
    except OSError:
        return None
    return int(credentials.unpack(answer)[1])


def guarded_protocol(uid: int, ask: Callable[[HasOptions], int | None] = peer_uid) -> type[H11Protocol]:
    """uvicorn's HTTP protocol, which hangs up on everybody but `uid` before it reads a byte."""

    class Guarded(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connection: Any = transport.get_extra_info("socket")
            if connection.family != socket.AF_UNIX:
                return  # over TCP each request must have the token: server/token.py
            peer = ask(connection)
            if peer != uid:
                log.warning("connection of user %s refused", peer)
                transport.abort()

        def timeout_keep_alive_handler(self) -> None:
            """Read first, then hang up: after a stop of the process (SIGSTOP) timers run before what has come in."""
            hang_up = super().timeout_keep_alive_handler
            self.timeout_keep_alive_task = self.loop.call_later(0, hang_up)  # behind the next look at the sockets

    return Guarded
