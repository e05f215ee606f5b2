"""The servers under test, each started as its users start it, and one client for all: OpenAI's completions as a stream.

Counts are the server's own; CPU seconds are those of its processes; times are taken at the client's socket.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil

from scripts.benches.inference_traces import Ask

ROOT = Path(__file__).parents[2]
EMBEDDED = ROOT / "inference" / "models" / "embedded"
ANSWER_TOKENS = 8  # the model goes beyond the prompt, as it does for a real completion: a state to go back from
REQUEST_TIMEOUT_S = 900.0
START_TIMEOUT_S = 120.0
POLL_S = 0.05
CPUCLOCK_SCHED = 2  # clock_getcpuclockid(3) is not in Python; so Linux makes the clock's id of a pid

Engine = Literal["llama", "mlx"]
Kind = Literal["ours", "llama-server", "mlx_lm.server"]
PEER: Mapping[Engine, Kind] = {"llama": "llama-server", "mlx": "mlx_lm.server"}
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # MLX's BLAS; both sides alike


@dataclass(frozen=True, slots=True)
class Answer:
    """Tokens as the server counts them; `evaluated` has the prompt's and the answer's."""

    prompt: int
    reused: int
    answered: int
    evaluated: int
    first_token_s: float
    total_s: float
    cpu_s: float
    text: str


@dataclass(slots=True)
class Server:
    """One running server. `address`: a unix socket's path, or a port of this machine."""

    kind: Kind
    engine: Engine
    pid: int
    address: Path | int
    started_s: float
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def ask(self, ask: Ask, max_tokens: int = ANSWER_TOKENS, priority: str = "typing") -> Answer:
        """One greedy completion. Raises ServerFailed."""
        body: dict[str, Any] = {"prompt": ask.prompt, "max_tokens": max_tokens, "temperature": 0, "stream": True}
        body["stream_options"] = {"include_usage": True}
        if self.kind == "ours":
            body |= {"cache_marks": ask.marks, "priority": priority}
        data = json.dumps(body).encode()
        cpu = self.cpu_s()
        connection = _Connection(self.address)
        try:
            begun = time.perf_counter()
            connection.request("POST", "/v1/completions", data, {"Content-Type": "application/json"})
            heard = _read(connection.getresponse(), begun)
            total_s = time.perf_counter() - begun
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        return heard.answer(total_s, self.cpu_s() - cpu)

    def cpu_s(self) -> float:
        """User and system seconds of the server's processes."""
        process = psutil.Process(self.pid)
        return sum(map(cpu_s, (process, *process.children(recursive=True))))

    def stop(self) -> None:
        self._stack.close()


def cpu_s(process: psutil.Process) -> float:
    """By the scheduler's clock of a process where there is one: the other counts hundredths, and a key takes less."""
    if sys.platform == "linux":
        return time.clock_gettime(~process.pid << 3 | CPUCLOCK_SCHED)
    times = process.cpu_times()
    spent_s: float = times.user + times.system
    return spent_s


@dataclass(slots=True)
class _Heard:
    """A stream as it is read. `usage` and `timings` come last."""

    first_token_s: float | None = None
    text: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, total_s: float, cpu_s: float) -> Answer:
        if not self.usage:
            raise ServerFailed("the answer ended without its counts")
        prompt, answered = int(self.usage["prompt_tokens"]), int(self.usage["completion_tokens"])
        reused = int((self.usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
        if self.timings:  # llama-server's
            reused = prompt - int(self.timings["prompt_n"])
        own = self.usage.get("evaluated_tokens")
        evaluated = prompt - reused + max(0, answered - 1) if own is None else int(own)
        first = total_s if self.first_token_s is None else self.first_token_s
        return Answer(prompt, reused, answered, evaluated, first, total_s, cpu_s, self.text)


def _read(response: http.client.HTTPResponse, begun: float) -> _Heard:
    """Server-sent events; comments are a peer's signs of life."""
    if response.status != 200:
        raise ServerFailed(f"status {response.status}: {response.read(500).decode(errors='replace')}")
    heard = _Heard()
    for raw in response:
        line = raw.strip()
        if not line.startswith(b"data:") or line.endswith(b"[DONE]"):
            continue
        event = json.loads(line.removeprefix(b"data:"))
        if "error" in event:
            raise ServerFailed(str(event["error"]))
        text = "".join(choice.get("text") or "" for choice in event.get("choices") or ())
        if text and heard.first_token_s is None:
            heard.first_token_s = time.perf_counter() - begun
        heard.text += text
        heard.usage = event.get("usage") or heard.usage
        heard.timings = event.get("timings") or heard.timings
    return heard


class ServerFailed(Exception):
    """It refused a request, or broke while it answered."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Path | int) -> None:
        super().__init__("127.0.0.1", address if isinstance(address, int) else 0, timeout=REQUEST_TIMEOUT_S)
        self._address = address

    def connect(self) -> None:
        if isinstance(self._address, int):
            super().connect()
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._address))


def get(address: Path | int, route: str) -> tuple[int, bytes]:
    """Status and body of a GET; status 0 where nobody answers."""
    connection = _Connection(address)
    try:
        connection.request("GET", route)
        response = connection.getresponse()
        return response.status, response.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


@contextlib.contextmanager
def homes() -> Iterator[Path]:
    """A folder for one daemon's settings, caches, sockets and logs; a socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="qb-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ours(engine: Engine, home: Path) -> Server:
    """The daemon of `home`, started as a window starts it. Stopped as `inference stop` does: cleanly.

    With --all: if a file of the package is edited meanwhile, the daemon is of another build than who stops it.
    """
    environment = os.environ | ONE_THREAD | {"QWEN_LSP_HOME": str(home)}

    def inference(*arguments: str) -> str:
        command = [sys.executable, "-m", "inference", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"inference {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    begun = time.perf_counter()
    path = Path(inference("start", "--engine", engine).splitlines()[-1].removeprefix("unix:"))
    pid = int(json.loads(get(path, "/health")[1])["pid"])
    server = Server("ours", engine, pid, path, time.perf_counter() - begun)
    server._stack.callback(psutil.Process(pid).wait, START_TIMEOUT_S)
    server._stack.callback(inference, "stop", "--all")
    return server


def peer(engine: Engine, log: Path) -> Server:
    """llama-server or mlx_lm.server in a process of its own, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    begun = time.perf_counter()
    stack = contextlib.ExitStack()
    output = stack.enter_context(log.open("ab"))
    child = subprocess.Popen(
        [sys.executable, "-m", f"scripts.benches.inference_peer_{engine}", str(EMBEDDED), str(port)],
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )
    stack.callback(child.wait)
    stack.callback(child.kill)
    while get(port, "/health")[0] != 200:
        if child.poll() is not None or time.perf_counter() - begun > START_TIMEOUT_S:
            stack.close()
            raise RuntimeError(f"{PEER[engine]} did not start; its log: {log}")
        time.sleep(POLL_S)
    return Server(PEER[engine], engine, child.pid, port, time.perf_counter() - begun, stack)
