"""A few questions to a daemon over its socket. Knows no scheduler and no model.

Standard library only: every window that opens runs this.
"""

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

PROBE_TIMEOUT_S = 2.0  # a daemon that is alive answers /health within milliseconds

Answer = Literal["absent", "silent", "loading", "ready", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class Health:
    """`absent`: nobody listens. `silent`: somebody does, and says nothing."""

    state: Answer
    pid: int | None = None
    reason: str = ""
    memory: dict[str, Any] | None = None  # how it was planned; None where nothing is loaded


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def fetch(path: Path, target: str, timeout_s: float = PROBE_TIMEOUT_S) -> bytes:
    """The body of a GET, whatever its status. Raises OSError or HTTPException."""
    connection = _UnixConnection(path, timeout_s)
    try:
        connection.request("GET", target, headers={"Connection": "close"})
        return connection.getresponse().read()
    finally:
        connection.close()


def health(path: Path, timeout_s: float = PROBE_TIMEOUT_S) -> Health:
    try:
        answer = json.loads(fetch(path, "/health", timeout_s))
        return Health(answer["status"], answer["pid"], answer.get("reason", ""), answer.get("memory"))
    except (FileNotFoundError, ConnectionRefusedError):
        return Health("absent")
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return Health("silent")


def counters(path: Path) -> dict[str, float]:
    """The metrics without labels, by name; empty where the daemon does not answer."""
    try:
        lines = fetch(path, "/metrics").decode().splitlines()
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    pairs = (line.rsplit(" ", 1) for line in lines if line and line[0] != "#" and "{" not in line)
    return {name: float(value) for name, value in pairs}
