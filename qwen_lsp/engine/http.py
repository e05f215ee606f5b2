"""One daemon's HTTP interface: prompts as token ids, answers as server-sent events.

Knows the wire and nothing else: not how a daemon is found, when to retry, what a prompt means.
"""

import asyncio
import os
import sys
import time
import uuid
from array import array
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from qwen_lsp.engine.events import Piece, Usage, field_of, items, name_of, problem_of
from qwen_lsp.engine.grammars import Grammar, wire
from qwen_lsp.engine.sent import WHOLE, Begun, Earlier
from qwen_lsp.engine.tokens import TokenCache
from qwen_lsp.engine.unix import Client
from qwen_lsp.errors import EngineLoading, EngineLost, EngineRefused
from qwen_lsp.prompt.segments import Control, Prompt, Segment, Text
from qwen_lsp.text.secrets import masked

CONNECT_TIMEOUT_S = 2.0  # a local socket either takes us or is dead
READ_TIMEOUT_S = 180.0  # between two pieces; a cold prefill on a slow CPU says nothing for long
LOAD_TIMEOUT_S = 900.0  # twenty gigabytes from a slow disk
LOAD_POLL_S = 0.2
UNKNOWN_PROMPT = 412  # the daemon no longer has the prompt that this one begins with
PACKED_FROM = 512  # token ids: fewer are written and read as a list in a fifth of a millisecond

WINDOW = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"  # groups this window's jobs for fairness

Priority = Literal["typing", "action", "refactor", "warm-up"]


@dataclass(frozen=True, slots=True)
class Request:
    """One generation, greedy unless a `temperature` is given; then `seed` tells one from another.

    Of the window's requests with the same `latest_of` only the newest is answered.

    `prediction`: what the answer will largely repeat, which costs next to nothing then. `grammar`: the form it must
    have; a server may not know that, so what comes is checked all the same.
    """

    prompt: Prompt
    max_tokens: int
    priority: Priority
    latest_of: str = ""
    temperature: float = 0.0
    seed: int = 0
    prediction: str = field(default="", repr=False)
    grammar: Grammar | None = field(default=None, repr=False)


class Daemon:
    """A connection to one daemon. Its methods raise httpx.TransportError where the connection fails."""

    def __init__(self, socket: str, tokens: TokenCache | None = None) -> None:
        self._tokens = tokens if tokens is not None else TokenCache()
        self._earlier = Earlier()
        self._model = ""
        self._n_streams = 0
        self._closing = False
        self._client = Client(socket, CONNECT_TIMEOUT_S, READ_TIMEOUT_S)

    async def close(self) -> None:
        """Let go; streams that still run end first, each with its own error or result."""
        self._closing = True
        if self._n_streams == 0:
            await self._client.close()

    def lacks(self) -> tuple[str, ...]:
        """Nothing: it is ours."""
        return ()

    async def wait_until_loaded(self, progress: Callable[[str], None]) -> str:
        """The model's name, once it is in memory."""
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S):
                while True:
                    answer = await self._client.get("/v1/models")
                    if answer.status_code != 503:
                        break
                    progress(problem_of(answer).message)
                    await asyncio.sleep(LOAD_POLL_S)
        except TimeoutError as error:
            raise EngineLoading(f"the model was not loaded within {LOAD_TIMEOUT_S:.0f} s") from error
        if answer.status_code != 200:
            raise problem_of(answer)
        self._model = str(field_of(answer, "data")[0]["id"])
        return self._model

    async def stream(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        """What is known of the counts at once, the answer's pieces, then all counts."""
        if self._client.is_closed:
            raise httpx.ConnectError("let go of already")
        self._n_streams += 1
        try:
            async with aclosing(self._answer(request)) as items:
                async for item in items:
                    yield item
        finally:
            self._n_streams -= 1
            if self._closing:
                await self.close()

    async def _answer(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        begun = self._earlier.best(request.prompt.segments)
        while True:
            body, places = await self._body(request, begun)
            at = time.perf_counter()
            yield Usage(places[-1], None, 0, None, 0.0)
            async with self._client.open("POST", "/v1/completions", body) as answer:
                if answer.status_code == UNKNOWN_PROMPT and begun.name:
                    await answer.read()
                    self._earlier.forget(begun.name)
                    begun = WHOLE
                    continue
                if answer.status_code != 200:
                    await answer.read()
                    raise problem_of(answer)
                name = ""
                while (line := await answer.line()) is not None:
                    if not name and (name := name_of(line)):
                        self._earlier.keep(name, request.prompt.segments, places)
                    for item in items(line, at):
                        yield item
                return

    async def _body(self, request: Request, begun: Begun) -> tuple[dict[str, Any], list[int]]:
        """The JSON for a prompt of which the daemon has the beginning; how many tokens stand before each segment."""
        prompt = request.prompt
        ids, places = await self._ids(prompt.segments, begun.places)
        body: dict[str, Any] = {
            "model": self._model,
            **_wired(ids),
            "cache_marks": sorted({places[mark] for mark in prompt.marks}),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stop": list(prompt.stop),
            "stop_token_ids": await self._stop_ids(prompt),
            "priority": request.priority,
            "user": WINDOW,
            "latest_of": request.latest_of,
            "stream": True,
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        }
        if begun.name:
            body["prompt_from"] = {"id": begun.name, "n_tokens": places[len(begun.places) - 1]}
        if request.prediction:
            body["prediction"] = {"type": "content", "content": masked(request.prediction)}
        if request.grammar is not None:
            body["grammar"] = wire(request.grammar)
        return body, places

    async def _ids(self, segments: Sequence[Segment], known: Sequence[int]) -> tuple[array[int], list[int]]:
        """The token ids of the segments that the daemon has not got, and how many stand before each segment.

        `known`: the places of those that it has.
        """
        ids, places = array("I"), list(known)
        rest = segments[len(known) - 1 :]
        for segment, found in zip(rest, await self._tokens.ids(rest, self._ids_of), strict=True):
            if isinstance(segment, Control) and len(found) != 1:
                raise EngineRefused(f"the model does not know the control token {segment.token}")
            ids += found
            places.append(places[-1] + len(found))
        return ids, places

    async def _stop_ids(self, prompt: Prompt) -> list[int]:
        """The ids of the control tokens that end the answer; those that the model does not have end nothing."""
        controls = [Control(token) for token in prompt.stop_controls]
        found = await self._tokens.ids(controls, self._ids_of)
        return [ids[0] for ids in found if len(ids) == 1]

    async def _ids_of(self, segments: Sequence[Segment]) -> list[list[int]]:
        """By the daemon: one request for texts, one for control tokens."""
        controls = [each.token for each in segments if isinstance(each, Control)]
        # Masked already where they come from a file. This is the one door that every prompt goes through.
        texts = [masked(each.text) for each in segments if isinstance(each, Text)]
        of_controls = iter(await self._tokenized(controls, parse_special=True))
        of_texts = iter(await self._tokenized(texts, parse_special=False))
        return [next(of_controls if isinstance(each, Control) else of_texts) for each in segments]

    async def _tokenized(self, contents: list[str], *, parse_special: bool) -> list[list[int]]:
        if not contents:
            return []
        answer = await self._client.post("/tokenize", {"contents": contents, "parse_special": parse_special})
        if answer.status_code != 200:
            raise problem_of(answer)
        tokens: list[list[int]] = field_of(answer, "tokens")
        if len(tokens) != len(contents):
            raise EngineLost("the engine's answer is not understood")
        return tokens


def _wired(ids: array[int]) -> dict[str, Any]:
    """Token ids for the daemon: a list, and where that would be felt at each key, their bytes."""
    if len(ids) < PACKED_FROM:
        return {"prompt": ids.tolist()}
    if sys.byteorder == "big":
        ids = array("I", ids)
        ids.byteswap()
    return {"prompt_ids": b64encode(ids.tobytes()).decode("ascii")}
