"""Clients that behave as editors do on a bad day, against one daemon, over HTTP; and what they saw.

Each client is a seeded task: typing with every key's request cancelled by the next, long answers, streams, leaving in
the middle, requests that make no sense, floods. A request that its client does not give up must be answered once, and
in the right form; some answers are kept so that their tokens can be compared with the plain engine's.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from scripts.benches.edit_scripts import SCHEMA, Ask

ANSWER_TIMEOUT_S = 1800.0  # of one request. The least urgent wait for as long as others type; then they must come
KEY_S = (0.005, 0.12)  # between two keys of a burst
FLOOD = 320  # requests at once: more than the daemon lets wait
MAX_KEPT = 250  # answers to compare
PRIORITIES = ("typing", "action", "refactor", "warm-up")

IDS = [5] * 8
BAD: tuple[tuple[str, Any, int, str], ...] = (  # route, body, status, code
    ("/v1/completions", b"{", 400, "invalid_request"),
    ("/v1/completions", b"\xff\xfe", 400, "invalid_request"),
    ("/v1/completions", b"[" * 100_000, 400, "invalid_request"),
    ("/v1/completions", {}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": ""}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": [0, -1]}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": [10**9]}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "max_tokens": -1}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "temperature": "hot"}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "cache_marks": [9, 3]}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "priority": "now"}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "model": "another"}, 404, "model_not_found"),
    ("/v1/completions", {"prompt": IDS, "grammar": "start: ("}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "grammar": {"type": "gbnf"}}, 400, "invalid_request"),
    ("/v1/completions", {"prompt": IDS, "max_tokens": 1_000_000}, 400, "context_length_exceeded"),
    ("/v1/completions", {"prompt": [5] * 100_000}, 400, "context_length_exceeded"),
    ("/v1/completions", b" " * (9 << 20), 413, "body_too_large"),
    ("/v1/chat/completions", {"messages": []}, 400, "invalid_request"),
    ("/v1/chat/completions", {"messages": [{"role": "root", "content": ""}]}, 400, "invalid_request"),
    ("/v1/embeddings", {}, 404, "not_found"),
    ("/tokenize", {"content": 1}, 400, "invalid_request"),
    ("/detokenize", {"tokens": [-1]}, 400, "invalid_request"),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A greedy answer that came whole."""

    ask: Ask
    tokens: tuple[int, ...]
    reason: str


@dataclass(slots=True)
class Seen:
    """What all clients saw. `problems`: what must not happen."""

    sent: Counter[str] = field(default_factory=Counter)  # by behaviour
    answered: int = 0  # completions that came whole
    refused: Counter[str] = field(default_factory=Counter)  # by code
    given_up: int = 0
    problems: list[str] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)

    def problem(self, what: str) -> None:
        self.problems.append(what)


class Client:
    """One editor window. `files`: token ids of real code; the first one is the trunk that all windows share."""

    def __init__(self, http: httpx.AsyncClient, name: str, seed: int, files: list[list[int]], seen: Seen) -> None:
        self._http = http
        self._name = name
        self._rng = random.Random(seed)
        self._trunk, *self._files = files
        self._seen = seen

    async def work(self, goes_on: Callable[[], bool]) -> None:
        ways: dict[str, tuple[int, Callable[[], Awaitable[None]]]] = {
            "typing": (8, self._type),
            "long": (2, self._ask_long),
            "stream": (3, self._stream_whole),
            "leaving": (3, self._leave),
            "bad": (3, self._ask_badly),
            "schema": (1, self._ask_schema),
            "look": (2, self._look),
        }
        while goes_on():
            name = self._rng.choices(list(ways), [weight for weight, _ in ways.values()])[0]
            try:
                await ways[name][1]()
            except httpx.HTTPError as error:
                self._seen.problem(f"{name}: {type(error).__name__}: {error}")

    async def flood(self) -> None:
        """More at once than may wait: each is answered or refused, and some are refused."""
        asks = [Ask(tuple(self._rng.choices(self._trunk, k=8)), 1) for _ in range(FLOOD)]
        refused = self._seen.refused["queue_full"]
        await asyncio.gather(*(self._whole("flood", ask, priority="warm-up") for ask in asks))
        if self._seen.refused["queue_full"] == refused:
            self._seen.problem(f"none of {FLOOD} requests at once was refused")

    # --- behaviours ---------------------------------------------------------------------------------------------

    async def _type(self) -> None:
        """Keys at one place. Each one's request takes the place of the one before: the client gives that up, or leaves
        it to the daemon. The last one is waited for."""
        before, after = self._place()
        typed = self._rng.choice(self._files)[:40]
        latest_of = self._rng.choice(("", "completion"))
        requests: list[asyncio.Task[None]] = []
        for n_keys in range(1, self._rng.randint(3, 12)):
            if requests and not latest_of:
                self._give_up(requests.pop())
            prompt = (*self._trunk, *after, *before, *typed[:n_keys])
            marks = (len(self._trunk), len(self._trunk) + len(after))
            ask = Ask(prompt, self._rng.choice((8, 16, 24)), marks, latest_of=latest_of)
            requests.append(asyncio.create_task(self._any(ask)))
            await asyncio.sleep(self._rng.uniform(*KEY_S))
        await asyncio.gather(*requests)

    async def _ask_long(self) -> None:
        before, after = self._place()
        prediction = await self._detokenized(after)
        ask = Ask((*self._trunk, *after, *before), self._rng.randint(50, 200))
        priority = self._rng.choice(PRIORITIES[1:])
        await self._whole("long", ask, priority=priority, prediction={"type": "content", "content": prediction})

    async def _stream_whole(self) -> None:
        before, _ = self._place()
        await self._streamed("stream", Ask((*self._trunk, *before), self._rng.randint(1, 60)))

    async def _leave(self) -> None:
        """The connection closes while the request waits, during the prompt, or in the middle of the answer."""
        before, after = self._place()
        ask = Ask((*self._trunk, *before, *after), 300)
        request = asyncio.create_task(self._any(ask))
        await asyncio.sleep(self._rng.choice((0, 0.01, 0.1, 0.5)))
        self._give_up(request)

    async def _ask_badly(self) -> None:
        route, body, status, code = self._rng.choice(BAD)
        self._seen.sent["bad"] += 1
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self._http.post(route, content=content)
        if (response.status_code, response.json()["error"]["code"]) != (status, code):
            self._seen.problem(f"{route} {str(body)[:60]}: {response.status_code} instead of {status} {code}")

    async def _ask_schema(self) -> None:
        messages = [{"role": "user", "content": "Name a function."}]
        form = {"type": "json_schema", "json_schema": {"name": "place", "schema": json.loads(SCHEMA.schema)}}
        body = {"messages": messages, "max_tokens": 60, "temperature": 0, "response_format": form}
        self._seen.sent["schema"] += 1
        response = await self._http.post("/v1/chat/completions", json=body)
        if self._refused("schema", response):
            return
        [choice] = response.json()["choices"]
        if choice["finish_reason"] == "stop":
            json.loads(choice["message"]["content"])
        self._seen.answered += 1

    async def _look(self) -> None:
        self._seen.sent["look"] += 1
        for route in ("/health", "/metrics", "/v1/models"):
            response = await self._http.get(route)
            if response.status_code != 200:
                self._seen.problem(f"{route}: {response.status_code}")
        ids = self._rng.choice(self._files)[:200]
        content = await self._detokenized(ids)
        back = await self._http.post("/tokenize", json={"content": content, "parse_special": False})
        if await self._detokenized(back.json()["tokens"]) != content:
            self._seen.problem("text came back from its tokens changed")

    # --- requests -----------------------------------------------------------------------------------------------

    def _place(self) -> tuple[list[int], list[int]]:
        """A cursor in a file: what stands before and after it."""
        file = self._rng.choice(self._files)
        at = self._rng.randrange(len(file))
        return file[:at], file[at:]

    def _give_up(self, request: asyncio.Task[None]) -> None:
        if not request.done():
            self._seen.given_up += 1
        request.cancel()

    def _body(self, ask: Ask, **options: Any) -> dict[str, Any]:
        self._seen.sent["completion"] += 1
        body = {"prompt": ask.prompt, "max_tokens": ask.max_tokens, "temperature": 0, "return_tokens": True}
        body |= {"latest_of": ask.latest_of}
        return body | {"cache_marks": ask.marks, "user": self._name, "priority": "typing"} | options

    async def _any(self, ask: Ask) -> None:
        await (self._streamed if self._rng.random() < 0.5 else self._whole)("any", ask)

    async def _whole(self, what: str, ask: Ask, **options: Any) -> None:
        response = await self._http.post("/v1/completions", json=self._body(ask, **options))
        if self._refused(what, response, ask.latest_of):
            return
        body = response.json()
        [choice] = body["choices"]
        self._whole_answer(what, ask, choice["tokens"], choice["finish_reason"], body["usage"])

    async def _streamed(self, what: str, ask: Ask) -> None:
        tokens: list[int] = []
        async with self._http.stream("POST", "/v1/completions", json=self._body(ask, stream=True)) as response:
            if response.status_code != 200:
                await response.aread()
                self._refused(what, response, ask.latest_of)
                return
            lines = [line async for line in response.aiter_lines() if line]
        if lines and lines[-1].startswith('data: {"error"'):
            self._count_refusal(what, json.loads(lines[-1].removeprefix("data: "))["error"]["code"], ask.latest_of)
            return
        if lines[-1:] != ["data: [DONE]"]:
            self._seen.problem(f"{what}: a stream of {len(lines)} lines has no end")
            return
        events = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        for event in events:
            tokens += event["choices"][0]["tokens"]
        reasons = [event["choices"][0]["finish_reason"] for event in events]
        if [reason for reason in reasons if reason] != reasons[-1:]:
            self._seen.problem(f"{what}: a stream ended in {reasons}")
            return
        self._whole_answer(what, ask, tokens, reasons[-1], events[-1]["usage"])

    def _whole_answer(self, what: str, ask: Ask, tokens: list[int], reason: str, usage: dict[str, Any]) -> None:
        counts = usage["prompt_tokens"], usage["completion_tokens"]
        if counts != (len(ask.prompt), len(tokens)) or reason not in ("stop", "length"):
            self._seen.problem(f"{what}: {len(tokens)} tokens, {reason}, {usage}")
        self._seen.answered += 1
        kept = Kept(ask, tuple(tokens), reason)
        if len(self._seen.kept) < MAX_KEPT:
            self._seen.kept.append(kept)
        elif (at := self._rng.randrange(self._seen.answered)) < MAX_KEPT:
            self._seen.kept[at] = kept  # so that each answer is as likely to be kept

    def _refused(self, what: str, response: httpx.Response, latest_of: str = "") -> bool:
        if response.status_code == 200:
            return False
        self._count_refusal(what, response.json()["error"]["code"], latest_of)
        return True

    def _count_refusal(self, what: str, code: str, latest_of: str) -> None:
        self._seen.refused[code] += 1
        if code != "queue_full" and not (code == "superseded" and latest_of):
            self._seen.problem(f"{what}: refused, {code}")

    async def _detokenized(self, ids: list[int]) -> str:
        response = await self._http.post("/detokenize", json={"tokens": ids})
        text: str = response.json()["content"]
        return text
