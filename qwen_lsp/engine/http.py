"""One daemon's HTTP interface: prompts as token ids, answers as server-sent events.

Knows the wire and nothing else: not how a daemon is found, when to retry, what a prompt means.
"""

import asyncio
import os
import time
import uuid
from array import array
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from qwen_lsp.engine.events import Piece, Usage, field_of, items, name_of, problem_of
from qwen_lsp.engine.grammars import Grammar, wire
from qwen_lsp.engine.sent import PACKED_FROM, WHOLE, Begun, Earlier, Rest, rest_of
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
PART_CHARS = 4096  # of new texts: more are tokenised before

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
            rest = await self._rest(request, begun)
            body = await self._body(request, rest)
            if begun.name:
                body["prompt_from"] = {"id": begun.name, "n_tokens": begun.places[-1]}
            at = time.perf_counter()
            yield Usage(rest.places[-1], None, 0, None, 0.0)
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
                        self._earlier.keep(name, request.prompt.segments[: len(rest.places) - 1], rest.places)
                    for item in items(line, at):
                        yield item
                return

    async def _body(self, request: Request, rest: Rest) -> dict[str, Any]:
        """The request as JSON."""
        prompt = request.prompt
        body: dict[str, Any] = {
            "model": self._model,
            **rest.wired,
            "cache_marks": sorted({rest.offsets[mark] for mark in prompt.marks}),
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
        if request.prediction:
            body["prediction"] = {"type": "content", "content": masked(request.prediction)}
        if request.grammar is not None:
            body["grammar"] = wire(request.grammar)
        return body

    async def _rest(self, request: Request, begun: Begun) -> Rest:
        """What the daemon has not got of a prompt. Short texts that are new are left for it to tokenise."""
        segments = request.prompt.segments[len(begun.places) - 1 :]
        known: Sequence[array[int] | None] = self._tokens.known(segments)
        new = [segment for segment, ids in zip(segments, known, strict=True) if ids is None]
        is_short = all(isinstance(segment, Text) for segment in new) and sum(map(_n_chars, new)) <= PART_CHARS
        # What is read ahead comes again as the beginning of others: its ids are asked for.
        if new and (not is_short or request.max_tokens == 0 or sum(map(len, filter(None, known))) >= PACKED_FROM):
            known = await self._tokens.ids(segments, self._ids_of)
        for segment, ids in zip(segments, known, strict=True):
            if isinstance(segment, Control) and ids is not None and len(ids) != 1:
                raise EngineRefused(f"the model does not know the control token {segment.token}")
        both = zip(segments, known, strict=True)
        return rest_of(begun, [_safe(segment) if ids is None else ids for segment, ids in both])

    async def _stop_ids(self, prompt: Prompt) -> list[int]:
        """The ids of the control tokens that end the answer; those that the model does not have end nothing."""
        controls = [Control(token) for token in prompt.stop_controls]
        found = await self._tokens.ids(controls, self._ids_of)
        return [ids[0] for ids in found if len(ids) == 1]

    async def _ids_of(self, segments: Sequence[Segment]) -> list[list[int]]:
        """By the daemon: one request for texts, one for control tokens."""
        controls = [_safe(each) for each in segments if isinstance(each, Control)]
        texts = [_safe(each) for each in segments if isinstance(each, Text)]
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


def _n_chars(segment: Segment) -> int:
    return len(segment.text) if isinstance(segment, Text) else 0


def _safe(segment: Segment) -> str:
    """A text on its way out. Masked already where it comes from a file; every prompt goes through here."""
    return segment.token if isinstance(segment, Control) else masked(segment.text)
