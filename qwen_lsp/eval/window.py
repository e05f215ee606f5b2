"""One editor window without an editor: the real server over stdio, keys in, ghost text and milliseconds out.

Waits for each answer, and blocks meanwhile. Knows no trace and draws no conclusion.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from qwen_lsp.errors import EngineMissing, NotDone
from qwen_lsp.index.languages import language_of

LEAVE_S = 30.0  # for a server that was asked to
INLINE = "textDocument/inlineCompletion"


@dataclass(frozen=True, slots=True)
class Key:
    """What one key cost. `usage` is None where no model was asked; the times are in milliseconds."""

    shown: str | None = field(repr=False)
    total_ms: float
    usage: Mapping[str, Any] | None
    is_known: bool

    @property
    def evaluated(self) -> int | None:
        """Tokens; None where the server gave up before it knew."""
        return 0 if self.is_known else self._count("evaluated_tokens")

    @property
    def prompt(self) -> int:
        return self._count("prompt_tokens") or 0

    @property
    def reused(self) -> int | None:
        return self._count("cached_tokens")

    def _count(self, name: str) -> int | None:
        found: int | None = self.usage[name] if self.usage else None
        return found

    @property
    def overhead_ms(self) -> float:
        """Everything but the engine, and but the pause in which another key would have come first."""
        usage = self.usage or {}
        return self.total_ms - float(usage.get("engine_ms", 0.0)) - float(usage.get("paused_ms", 0.0))


@dataclass(slots=True)
class Window:
    """A server process. `texts`: what is open, by path below the root. `command` starts the server."""

    root: Path
    command: Sequence[str] = (sys.executable, "-P", "-m", "qwen_lsp")
    texts: dict[str, str] = field(default_factory=dict)
    n_ids: int = 0
    _versions: dict[str, int] = field(default_factory=dict)
    _traced: list[dict[str, Any]] = field(default_factory=list)
    _process: Any = None

    def start(
        self, environ: Mapping[str, str], options: Mapping[str, Any], errors: int | IO[Any] | None = None
    ) -> None:
        """Shake hands and wait for the engine; a first request is not a first start. Raises EngineMissing.

        environ: added to this process's. errors: where the server's stderr goes, as for subprocess.
        """
        self._process = subprocess.Popen(
            self.command,
            cwd=tempfile.gettempdir(),
            env=os.environ | dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        folder = {"uri": self.root.as_uri(), "name": self.root.name}
        capabilities = {"general": {"positionEncodings": ["utf-32"]}, "textDocument": {"inlineCompletion": {}}}
        params = {"processId": os.getpid(), "rootUri": None, "workspaceFolders": [folder], "trace": "messages"}
        self.ask("initialize", params | {"capabilities": capabilities, "initializationOptions": dict(options)})
        self.tell("initialized", {})
        while self._said("qwen/status").get("state") != "ready":
            pass

    def open(self, path: str, text: str) -> None:
        """A file comes up, or its text is another one than before."""
        if path in self.texts:
            self.texts[path] = text
            self._change(path, [{"text": text}])
            return
        self.texts[path], self._versions[path] = text, 1
        language = language_of(path)
        item = {"uri": self._uri(path), "languageId": language.name if language else "plaintext", "version": 1}
        self.tell("textDocument/didOpen", {"textDocument": item | {"text": text}})

    def edit(self, path: str, start: int, end: int, text: str) -> None:
        before = self.texts[path]
        where = {"start": _position(before, start), "end": _position(before, end)}
        self.texts[path] = before[:start] + text + before[end:]
        self._change(path, [{"range": where, "text": text}])

    def complete(self, path: str, cursor: int) -> Key:
        """Ask as an editor does after a key, and wait for the answer."""
        context = {"triggerKind": 2}
        params = {"textDocument": {"uri": self._uri(path)}, "position": _position(self.texts[path], cursor)}
        self._traced.clear()
        begun = time.perf_counter()
        answer = self.ask(INLINE, params | {"context": context})
        total_ms = (time.perf_counter() - begun) * 1000
        traced = self._traced[-1] if self._traced else {}
        usage = json.loads(traced["verbose"]) if traced.get("verbose") else None
        items = (answer or {}).get("items") or []
        is_known = str(traced.get("message", "")).endswith(", known")
        return Key(items[0]["insertText"] if items else None, total_ms, None if is_known else usage, is_known)

    def stop(self) -> None:
        """As an editor does on exit; one that does not go is killed."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.ask("shutdown", None)
            self.tell("exit", None)
            self._process.wait(LEAVE_S)
        except (OSError, NotDone, subprocess.TimeoutExpired):
            self.kill()

    def kill(self) -> None:
        """At once; whoever waits for an answer hears that the server is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # -- the wire ------------------------------------------------------------------------------------------

    def ask(self, method: str, params: Any) -> Any:
        """Raises NotDone where the server refuses, or is gone."""
        self.n_ids += 1
        self._send({"id": self.n_ids, "method": method, "params": params})
        while True:
            message = self._read()
            if message.get("id") == self.n_ids and "method" not in message:
                if "error" in message:
                    raise NotDone(f"{method}: {message['error'].get('message')}")
                return message.get("result")

    def tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _change(self, path: str, changes: list[dict[str, Any]]) -> None:
        self._versions[path] += 1
        identifier = {"uri": self._uri(path), "version": self._versions[path]}
        self.tell("textDocument/didChange", {"textDocument": identifier, "contentChanges": changes})

    def _said(self, method: str) -> dict[str, Any]:
        message = self._read()
        params: dict[str, Any] = message.get("params") or {} if message.get("method") == method else {}
        if params.get("state") == "failed":
            raise EngineMissing(f"the engine did not start: {params.get('detail')}")
        return params

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        try:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            self._process.stdin.flush()
        except OSError:
            raise NotDone("the server is gone") from None

    def _read(self) -> dict[str, Any]:
        length = 0
        while (line := self._process.stdout.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        body = self._process.stdout.read(length)
        if not length or len(body) < length:
            raise NotDone("the server is gone")
        message: dict[str, Any] = json.loads(body)
        if message.get("method") == "$/logTrace":
            self._traced.append(message["params"])
        elif "method" in message and "id" in message:
            self._send({"id": message["id"], "result": None})
        return message

    def _uri(self, path: str) -> str:
        return (self.root / path).as_uri()


def _position(text: str, offset: int) -> dict[str, int]:
    """Line and column in code points, as utf-32 counts."""
    return {"line": text.count("\n", 0, offset), "character": offset - (text.rfind("\n", 0, offset) + 1)}
