"""Whole values through the pipes to a program of ours, and back: four bytes of length, then a pickle.

Both ends are the same build on the same machine, started by one another; nobody else can write into these pipes.
"""

import pickle
import struct
from typing import IO

LENGTH = struct.Struct("!I")


def packed(value: object) -> bytes:
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def unpacked(body: bytes) -> object:
    """What was packed, from the bytes behind the length."""
    value: object = pickle.loads(body)
    return value


def write(stream: IO[bytes], value: object) -> None:
    stream.write(packed(value))
    stream.flush()


def read(stream: IO[bytes]) -> object:
    """The next value. Raises EOFError where the other side is gone, also in the middle of a value."""
    return unpacked(_exactly(stream, LENGTH.unpack(_exactly(stream, LENGTH.size))[0]))


def _exactly(stream: IO[bytes], n_bytes: int) -> bytes:
    data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise EOFError
    return data
