"""The editor's pipes, read by the event loop itself.

pygls has a thread read each line of a header and hand it over, which costs a key as much time as answering it from
what is known. What can not be watched (a file, a terminal, Windows' pipes) is left to that. Knows no message.
"""

import asyncio
import os
import stat
import sys

LINE_BYTES = 1 << 20  # of a header; a message's body may be longer


class PipeReader:
    """stdin, as pygls' loop wants it: what was cut off by the end is nothing."""

    def __init__(self, stream: asyncio.StreamReader) -> None:
        self._stream = stream

    @classmethod
    async def opened(cls) -> "PipeReader":
        stream = asyncio.StreamReader(LINE_BYTES)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin)
        return cls(stream)

    async def readline(self) -> bytes:
        try:
            return await self._stream.readline()
        except (ValueError, OSError):  # no header is so long; or the pipe broke
            return b""

    async def readexactly(self, n: int) -> bytes:
        try:
            return await self._stream.readexactly(n)
        except (asyncio.IncompleteReadError, OSError):
            return b""


def is_watchable() -> bool:
    """Whether stdin is a pipe or a socket of its own: where stdout is the same one, it would no longer wait, either."""
    if sys.platform == "win32":
        return False
    try:
        here, there = os.fstat(sys.stdin.fileno()), os.fstat(sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    is_own = (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)
    return is_own and (stat.S_ISFIFO(here.st_mode) or stat.S_ISSOCK(here.st_mode))
