"""`python tee.py LOG.jsonl -- COMMAND...`: run a language server, pass its stdio through, write down every frame.

A line of the log: `{"session": pid, "t": seconds, "from": "editor" | "server", "message": {...}}`; what is no frame
gets `"broken"` in the place of `"message"`. The log is appended to: an editor may start the server again. Standard
library only, and imports nothing of this checkout, so that an editor can start it as it starts the server.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

READ_BYTES = 65536


class Log:
    """One session's lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, **line: Any) -> None:
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"session": os.getpid(), "t": round(time.time(), 3), **line}) + "\n")


class Frames:
    """Bytes in, messages out into the log. What does not parse is written down and left out of the rest."""

    def __init__(self, log: Log, sender: str) -> None:
        self._log, self._sender, self._bytes = log, sender, b""

    def feed(self, data: bytes) -> None:
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            header = dict(line.split(b":", 1) for line in self._bytes[:end].split(b"\r\n") if b":" in line)
            length = header.get(b"Content-Length", b"").strip()
            if not length.isdigit():
                self._log.write(**{"from": self._sender}, broken=self._bytes[:200].decode("utf-8", "replace"))
                self._bytes = b""
                return
            body = self._bytes[end + 4 : end + 4 + int(length)]
            if len(body) < int(length):
                return
            self._bytes = self._bytes[end + 4 + int(length) :]
            try:
                self._log.write(**{"from": self._sender}, message=json.loads(body))
            except ValueError:
                self._log.write(**{"from": self._sender}, broken=body[:200].decode("utf-8", "replace"))


def carry(source: IO[bytes], sink: IO[bytes], frames: Frames) -> None:
    """Everything from one end to the other, as it comes."""
    with suppress(OSError):  # one end is gone; the other one learns it from its own pipe
        while data := os.read(source.fileno(), READ_BYTES):
            frames.feed(data)
            sink.write(data)
            sink.flush()
    with suppress(OSError):
        sink.close()


def main() -> int:
    log = Log(Path(sys.argv[1]))
    command = sys.argv[3:]
    assert sys.argv[2] == "--" and command, __doc__
    log.write(start=command)
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None and server.stdout is not None
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    threading.Thread(target=carry, args=(sys.stdin.buffer, server.stdin, Frames(log, "editor")), daemon=True).start()
    carry(server.stdout, sys.stdout.buffer, Frames(log, "server"))
    code = server.wait()
    log.write(end=code)
    sys.stderr.flush()
    os._exit(code if code >= 0 else 128 - code)  # the other thread may still wait for the editor


if __name__ == "__main__":
    main()
