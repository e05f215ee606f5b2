"""A server of the hub's shape on this machine: the listing of a repository, and its files with ranges; and every fault.

What it answers to is what huggingface_hub 2.4 and our own client ask; nothing of it was compared with the real hub.
"""

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL_BYTES = 1000  # below, the hub has git's sum only
PIECE_BYTES = 1 << 16


@dataclass
class Fault:
    """What goes wrong with answers for files whose name ends like this, how often; None: always."""

    name: str
    kind: str  # cut, corrupt, oversized, slow, silent, status, redirect, no-range, other-range, gzip
    times: int | None = 1
    value: int | str = 0


@dataclass
class FakeHub:
    """Files by repository; what was asked, in order: method, path, range, whether a token came along."""

    repositories: Mapping[str, Mapping[str, bytes]]
    commit: str = COMMIT
    faults: list[Fault] = field(default_factory=list)
    asked: list[tuple[str, str | None, bool]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)  # listed, and not there
    before_piece: Callable[[str, int], None] = lambda name, at: None
    url: str = ""

    def sent(self, name: str) -> list[str | None]:
        """The ranges that were asked of a file."""
        return [place for path, place, _ in self.asked if path.endswith(name) and "/resolve/" in path]

    def fault(self, name: str, *kinds: str) -> Fault | None:
        for fault in self.faults:
            if name.endswith(fault.name) and fault.kind in kinds and fault.times != 0:
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None


class _Server(ThreadingHTTPServer):
    """Clients that go away in the middle are what it is here for."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    server = _Server(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listing(hub: FakeHub, repository: str) -> dict[str, object]:
    siblings = []
    for name, octets in hub.repositories[repository].items():
        row: dict[str, object] = {"rfilename": name, "size": len(octets), "blobId": _git(octets)}
        if len(octets) >= SMALL_BYTES:
            sha256 = hashlib.sha256(octets).hexdigest()
            row["lfs"] = {"sha256": sha256, "size": len(octets), "pointerSize": 134}
        siblings.append(row)
    return {"id": repository, "modelId": repository, "sha": hub.commit, "siblings": siblings}


def _git(octets: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(octets) + octets, usedforsecurity=False).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((path, self.headers.get("Range"), "Authorization" in self.headers))
            try:
                self._answer(path)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _answer(self, path: str) -> None:
            if fault := hub.fault(path, "status"):
                return self._status(int(fault.value))
            if fault := hub.fault(path, "redirect"):
                self.send_response(302)
                self.send_header("Location", str(fault.value) + path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return None
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "models"]:
                return self._listing("/".join(parts[2:4]), parts[5] if len(parts) > 5 else None)
            repository, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            octets = hub.repositories.get(repository, {}).get(name)
            if octets is None or revision != hub.commit or name in hub.hidden:
                return self._status(404, "EntryNotFound")
            return self._file(name, octets)

        def _listing(self, repository: str, revision: str | None) -> None:
            if repository not in hub.repositories:
                return self._status(404, "RepoNotFound")
            if revision not in (None, "main", hub.commit) and not hub.fault(repository, "wrong-revision"):
                return self._status(404, "RevisionNotFound")
            body = json.dumps(listing(hub, repository)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return None

        def _status(self, status: int, code: str = "") -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _file(self, name: str, octets: bytes) -> None:
            start = 0
            asked = self.headers.get("Range")
            if asked and not hub.fault(name, "no-range"):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start > len(octets):
                return self._status(416)
            body = octets[start:]
            if hub.fault(name, "corrupt"):
                body = body[:-1] + bytes([body[-1] ^ 1])
            if fault := hub.fault(name, "oversized"):
                body += bytes(int(fault.value))
            shown = start + (1 if start and hub.fault(name, "other-range") else 0)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {shown}-{len(octets) - 1}/{len(octets)}")
            if hub.fault(name, "gzip"):
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            cut = hub.fault(name, "cut")
            body = body[: int(cut.value)] if cut else body
            for at in range(0, len(body), PIECE_BYTES):
                hub.before_piece(name, start + at)
                self.wfile.write(body[at : at + PIECE_BYTES])
            if cut:
                self.close_connection = True
            return None

    return Handler
