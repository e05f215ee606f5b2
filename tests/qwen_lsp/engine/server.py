"""Servers of other makers, in miniature: which routes and fields they have is data. Answers are scripted."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.qwen_lsp.engine.daemon import CONTROLS, COUNTS, Receive, Send, begin, body_of, problem, reply, say, tokens

KNOWN_FIELDS = frozenset(
    ("model", "prompt", "messages", "max_tokens", "temperature", "stream", "stream_options", "stop", "user")
)


@dataclass(slots=True)
class FakeServer:
    """`strict`: unknown fields are errors. `ids`, `chat_only`, `tokenizer`: what it takes. `key`: what it asks for.

    `busy`: statuses, with headers, of the next answers to real questions, the ones of the probe not counted.
    """

    texts: tuple[str, ...] = ("1 +", " 2")
    strict: bool = False
    chat_only: bool = False
    tokenizer: str = ""  # "content", "prompt"
    key: str = ""
    knows: Mapping[str, int] = field(default_factory=lambda: CONTROLS)
    busy: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    stuck: Callable[[Receive, Send], Awaitable[None]] | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    tokenized: list[dict[str, Any]] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    probing: bool = True

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = await body_of(receive)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        route = scope["path"]
        self.routes.append(route)
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            await reply(send, 401, problem("no key"))
        elif route == "/v1/models":
            await reply(send, 200, {"object": "list", "data": [{"id": "big"}]})
        elif route == "/tokenize" and self.tokenizer in (body or {}):
            self.tokenized.append(body)
            special = self.tokenizer == "prompt" or body["parse_special"]
            await reply(send, 200, {"tokens": self._tokens(body[self.tokenizer], special)})
        elif route == ("/v1/chat/completions" if self.chat_only else "/v1/completions"):
            await self._answer(body, receive, send)
        else:
            await reply(send, 404, {"detail": "Not Found"})

    def _tokens(self, text: str, special: bool) -> list[int]:
        return tokens(text, special) if text in self.knows else tokens(text, False)

    async def _answer(self, body: dict[str, Any], receive: Receive, send: Send) -> None:
        if self.strict and (unknown := set(body) - KNOWN_FIELDS):
            await reply(send, 400, problem(f"unknown field {sorted(unknown)[0]}"))
            return
        if isinstance(body.get("priority"), str) and self.tokenizer == "prompt":  # vLLM's is a number
            await reply(send, 422, {"error": {"message": "priority: not an integer"}})
            return
        self.asked.append(body)
        if not self.probing and self.busy:
            status, headers = self.busy.pop(0)
            rows = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": status, "headers": rows})
            await send({"type": "http.response.body", "body": json.dumps(problem("busy")).encode()})
        elif not body.get("stream"):
            counts = {**COUNTS, "prompt_tokens": self._count(body)}
            await reply(send, 200, {"choices": [{"text": "3"}], "usage": counts})
        elif not self.probing and self.stuck is not None:
            await self.stuck(receive, send)
        else:
            await self._speak(send)

    def _count(self, body: dict[str, Any]) -> int:
        text = str(body.get("prompt", ""))
        for name in self.knows:
            text = text.replace(name, "\0")
        return len(text)

    async def _speak(self, send: Send) -> None:
        await begin(send)
        for text in self.texts:
            said = {"delta": {"content": text}} if self.chat_only else {"text": text}
            await say(send, {"choices": [said]})
        await say(send, {"choices": [], "usage": COUNTS})
        await say(send, b"[DONE]")
        await send({"type": "http.response.body", "body": b""})
