"""A real HTTP server on a unix socket that plays the daemon, as a test scripts it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

CONTROLS = {"<|fim_prefix|>": 1, "<|fim_suffix|>": 2, "<|fim_middle|>": 3, "<|endoftext|>": 4}
COUNTS = {
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "prompt_tokens_details": {"cached_tokens": 5},
    "evaluated_tokens": 4,
}

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Answer = Callable[[Receive, Send], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


@dataclass
class FakeDaemon:
    """`loading`: how many times it says that the model loads. `answers`: one per completion, the last one again."""

    answers: list[Answer] = field(default_factory=list)
    loading: int = 0
    tokenized: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        match scope["path"]:
            case "/v1/models" if self.loading:
                self.loading -= 1
                await reply(send, 503, problem("the model is loading: 63 %"))
            case "/v1/models":
                await reply(send, 200, {"data": [{"id": "tiny"}]})
            case "/tokenize":
                self.tokenized.append(body)
                await reply(send, 200, {"tokens": [tokens(text, body["parse_special"]) for text in body["contents"]]})
            case "/v1/completions":
                self.asked.append(body)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                await answer(receive, send)


def tokens(text: str, parse_special: bool) -> list[int]:
    """One id per character, or the one of a control token."""
    return [CONTROLS[text]] if parse_special and text in CONTROLS else [100 + ord(char) for char in text]


def problem(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": "x"}}


async def reply(send: Send, status: int, body: object) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else json.dumps(body).encode()})


async def begin(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})


async def say(send: Send, body: object) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    await send({"type": "http.response.body", "body": b"data: " + data + b"\n\n", "more_body": True})


def speaks(*texts: str, name: str = "") -> Answer:
    """Streams the texts, then the counts. `name`: the answer's id, where it has one."""
    named = {"id": name} if name else {}

    async def answer(receive: Receive, send: Send) -> None:
        await begin(send)
        for text in texts:
            await say(send, named | {"choices": [{"text": text, "finish_reason": None}]})
        await say(send, {"choices": [{"text": "", "finish_reason": "stop"}], "usage": COUNTS})
        await say(send, b"[DONE]")
        await send({"type": "http.response.body", "body": b""})

    return answer


def dies(*texts: str) -> Answer:
    """Streams the texts, then the connection breaks; without texts, after the status line."""

    async def answer(receive: Receive, send: Send) -> None:
        await begin(send)
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        for text in texts:
            await say(send, {"choices": [{"text": text}]})
        raise ConnectionAbortedError

    return answer


def refuses(status: int, body: object) -> Answer:
    async def answer(receive: Receive, send: Send) -> None:
        await reply(send, status, body)

    return answer


@asynccontextmanager
async def running(app: App, folder: Path) -> AsyncIterator[str]:
    """Serve `app`; the path of its socket."""
    path = str(folder / "s")
    config = uvicorn.Config(app, uds=path, lifespan="off", ws="none", log_config=None, timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await server.listening.wait()
        yield path
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


async def body_of(receive: Receive) -> Any:
    data = b""
    while True:
        message = await receive()
        data += message.get("body", b"")
        if not message.get("more_body"):
            return json.loads(data) if data else None
