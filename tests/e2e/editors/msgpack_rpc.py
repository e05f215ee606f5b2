"""Neovim's msgpack-rpc, the half that asks: one question, one answer, within a time.

pynvim's own client waits for ever where Neovim stands at a prompt, and leaves its transport open.
"""

import socket
from pathlib import Path
from typing import Any

import msgpack

ANSWER_S = 60.0
READ_BYTES = 1 << 20
REQUEST, RESPONSE = 0, 1


class RpcError(Exception):
    """What Neovim answers where it can not."""


class Rpc:
    """A connection to Neovim's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_S)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        # Buffers and windows come as extension types; nobody here needs them.
        self._unpacker = msgpack.Unpacker(raw=False, strict_map_key=False, unicode_errors="surrogateescape")
        self._n_asked = 0

    def call(self, method: str, *arguments: Any) -> Any:
        """The result of an API function. Raises RpcError."""
        self._n_asked += 1
        self._socket.sendall(msgpack.packb([REQUEST, self._n_asked, method, list(arguments)]))
        while True:
            for message in self._unpacker:
                if message[0] == RESPONSE and message[1] == self._n_asked:
                    if message[2] is not None:
                        raise RpcError(f"{method}: {message[2][1]}")
                    return message[3]
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise EOFError(f"Neovim left while it was asked {method}")
            self._unpacker.feed(data)

    def close(self) -> None:
        self._socket.close()
