"""llama-server itself, from the package xllamacpp, with the program's own defaults: whom the baseline is asked of.

A process of its own on a unix socket in a private folder; it ends with the run, however that ends. Run as a program,
`... MODEL.gguf SOCKET THREADS`, this module is that process. Knows no hole and no score.
"""

import asyncio
import http.client
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_lsp.engine.client import Usage
from qwen_lsp.errors import EngineLost, EngineMissing

START_S = 300.0  # a model of twenty gigabytes from a disk
ANSWER_S = 600.0
POLL_S = 0.1
SLOTS = 4  # llama-server's own; the library's default is one
PACKAGE = "xllamacpp"


def is_installed() -> bool:
    return importlib.util.find_spec(PACKAGE) is not None


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """One that listens on `path`."""

    path: Path
    _process: subprocess.Popen[bytes]

    @classmethod
    async def start(cls, model: Path, folder: Path, threads: int | None = None) -> "LlamaServer":
        """Raises EngineMissing where it does not come up. `folder` gets its socket and its log.

        threads: None: what llama-server takes by itself.
        """
        log = folder / "llama-server.log"
        found = cls._launched(model, folder / "llama.sock", log, threads or 0)
        process = found._process
        begun = time.monotonic()
        while not await asyncio.to_thread(found._is_up):
            if process.poll() is not None or time.monotonic() > begun + START_S:
                found.stop()
                said = log.read_text("utf-8", "replace").strip().splitlines()
                raise EngineMissing(f"llama-server did not start: {said[-1] if said else 'it said nothing'}")
            await asyncio.sleep(POLL_S)
        return found

    @classmethod
    def _launched(cls, model: Path, path: Path, log: Path, threads: int) -> "LlamaServer":
        # -P: the folder we run in may be a stranger's repository with a module of that name.
        command = [sys.executable, "-P", "-m", "qwen_lsp.eval.llama_server", str(model), str(path), str(threads)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
        return cls(path, process)

    async def infill(self, body: Mapping[str, Any]) -> tuple[str, Usage]:
        """What it says, and what that cost by its own counts. Raises EngineLost."""
        begun = time.perf_counter()
        try:
            status, said = await asyncio.to_thread(self._ask, "POST", "/infill", json.dumps(body).encode())
            answer = json.loads(said)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise EngineLost(f"llama-server broke ({type(error).__name__})") from error
        if status != 200:
            raise EngineLost(f"llama-server refuses (status {status}: {str(answer)[:200]})")
        timings = answer["timings"]
        prompt, evaluated, said_n = (
            int(answer["tokens_evaluated"]),
            int(timings["prompt_n"]),
            int(timings["predicted_n"]),
        )
        ms = (time.perf_counter() - begun) * 1000
        # A prompt that it cut counts as what was left of it.
        return str(answer["content"]), Usage(prompt, prompt - evaluated, said_n, evaluated + max(0, said_n - 1), ms)

    def stop(self) -> None:
        """Its log and its socket stay in the folder."""
        with self._process as process:
            process.kill()

    def _is_up(self) -> bool:
        try:
            return self._ask("GET", "/health", None)[0] == 200
        except OSError:
            return False

    def _ask(self, method: str, route: str, data: bytes | None) -> tuple[int, bytes]:
        connection = _OnSocket(self.path)
        try:
            connection.request(method, route, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class _OnSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def main() -> None:
    """Be the server until stdin ends, which it does when whoever started us is gone."""
    import xllamacpp

    model, path, threads = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = [path]
    params.n_parallel = SLOTS
    params.kv_unified = True
    if int(threads):
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(threads)
    server = xllamacpp.Server(params)
    print("llama-server listens on", server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # its threads do not end by themselves


if __name__ == "__main__":
    main()
