"""A program of ours beside the server, spoken to in frames. It ends when we do: its stdin closes.

Does not know what the frames hold.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from qwen_lsp.index import frames

CLOSE_S = 1.0  # an editor that closes waits for us; what is not written by then is read again by the next scan


class Child(Protocol):
    """The server's side of it."""

    def send(self, value: object) -> None:
        """What is sent to a program that has ended is lost; `receive` tells."""

    async def receive(self) -> object:
        """The next value. Raises EOFError once the program has ended."""

    async def close(self) -> None:
        """Let it end, and end it if it does not."""


Launch = Callable[[str, Sequence[str]], Coroutine[Any, Any, Child]]


class Program:
    """A Child that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout

    def send(self, value: object) -> None:
        if not self._stdin.is_closing():
            self._stdin.write(frames.packed(value))

    async def receive(self) -> object:
        try:
            (length,) = frames.LENGTH.unpack(await self._stdout.readexactly(frames.LENGTH.size))
            return frames.unpacked(await self._stdout.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error

    async def close(self) -> None:
        self._stdin.close()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._stdout.read()  # to its end: a full pipe would keep it from ending
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._stdout.read()
            await self._process.wait()


async def start(module: str, arguments: Sequence[str]) -> Child:
    """Run a module of ours. Raises OSError where the system starts no process."""
    # -P: the folder we run in may be a stranger's repository with a module of that name.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    return Program(process)
