"""A server that the user named, over TLS or on this machine: the same requests as the daemon gets, less what it lacks.

Where it takes no token ids, prompts are text (`written.py`); where it completes no texts, chats. Fields that it refuses
are not sent, control tokens that its model does not know become line ends. Closing the stream closes the connection,
which is the cancel. Nothing that it says is trusted to be short.

Does not know when it is asked, nor how it was found; `client.py` does.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

import httpx

from qwen_lsp.engine.abilities import EXTRAS, Abilities, Prober, names_of
from qwen_lsp.engine.events import Piece, Usage, items, problem_of
from qwen_lsp.engine.grammars import JsonSchema, wire
from qwen_lsp.engine.http import LOAD_POLL_S, LOAD_TIMEOUT_S, WINDOW, Request
from qwen_lsp.engine.tokens import TokenCache
from qwen_lsp.engine.written import Unbroken, begins_the_answer, harmless, messages, written
from qwen_lsp.errors import EngineBusy, EngineError, EngineLoading, EngineLost, EngineMissing, EngineRefused
from qwen_lsp.prompt.segments import Control, Prompt, Segment, Text
from qwen_lsp.text.secrets import masked

CONNECT_TIMEOUT_S = 10.0
POOL_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 16
# A server that is busy is asked again before the first piece, and only then: later, text is on the screen.
RETRIES_S = (0.25, 0.5, 1.0)
LONGEST_RETRY_S = 5.0  # of what it asks for itself; who types has gone on by then
MAX_LINE_BYTES = 1 << 20
MAX_CHARS_PER_TOKEN = 128  # of an answer: the longest token of Qwen's vocabulary, a row of spaces


class Remote:
    """A connection to one server. Its methods raise httpx.TransportError where the connection fails."""

    def __init__(self, client: httpx.AsyncClient, model: str | None, abilities: Abilities | None = None) -> None:
        self._client = client
        self._wanted = model
        self._abilities = abilities
        self._tokens = TokenCache()
        self._n_streams = 0
        self._closing = False

    @property
    def abilities(self) -> Abilities | None:
        """What it can do; None before `wait_until_loaded`."""
        return self._abilities

    def lacks(self) -> tuple[str, ...]:
        """What a person may want to know that it can not do."""
        return self._abilities.lacks() if self._abilities is not None else ()

    async def close(self) -> None:
        """Let go; streams that still run end first, each with its own error or result."""
        self._closing = True
        if self._n_streams == 0:
            await self._client.aclose()

    async def wait_until_loaded(self, progress: Callable[[str], None]) -> str:
        """The model's name, once the server has one, and has shown what it can do."""
        try:
            async with asyncio.timeout(LOAD_TIMEOUT_S):
                while (answer := await self._client.get("v1/models")).status_code == 503:
                    progress(problem_of(answer).message)
                    await asyncio.sleep(LOAD_POLL_S)
        except TimeoutError as error:
            raise EngineLoading(f"the server had no model within {LOAD_TIMEOUT_S:.0f} s") from error
        if answer.status_code in (401, 403):
            raise EngineMissing(f"the server refuses the key (status {answer.status_code}); see remote.key")
        if answer.is_redirect:
            raise EngineMissing("the server sends us elsewhere; set remote.url to its final address")
        # Some serve one model and name none: they are asked without a name.
        model = self._wanted or next(iter(names_of(answer)), "")
        if self._abilities is None:
            progress("asking the server what it can do")
            try:
                self._abilities = await Prober(self._client, model).run()
            except EngineRefused as error:
                raise EngineMissing(f"the server refuses: {error.message}") from error
        return model or "the server's model"

    async def stream(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        """What is known of the counts at once, the answer's pieces, then all counts."""
        if self._client.is_closed:
            raise httpx.ConnectError("let go of already")
        if self._abilities is None:
            raise EngineLoading("the server has not been asked what it can do")
        self._n_streams += 1
        try:
            async with aclosing(self._answer(request, self._abilities)) as found:
                async for item in found:
                    yield item
        finally:
            self._n_streams -= 1
            if self._closing:
                await self.close()

    async def _answer(self, request: Request, can: Abilities) -> AsyncGenerator[Piece | Usage, None]:
        route, body = await self._asked(request, can)
        begun = time.perf_counter()
        prompt = body.get("prompt")
        yield Usage(len(prompt) if isinstance(prompt, list) else 0, None, 0, None, 0.0)
        waits = list(RETRIES_S)
        while True:
            async with self._client.stream("POST", route, json=body) as answer:
                if answer.status_code == 200:
                    async with aclosing(_heard(answer, request.max_tokens, begun)) as found:
                        async for item in found:
                            yield item
                    return
                await answer.aread()
            problem = _refusal(answer)
            wait_s = _wait_s(answer, waits)
            if wait_s is None:
                raise problem
            await asyncio.sleep(wait_s)

    async def _asked(self, request: Request, can: Abilities) -> tuple[str, dict[str, Any]]:
        """The route and the body: what this server takes of what the daemon would get."""
        body: dict[str, Any] = {
            "max_tokens": max(1, request.max_tokens),
            "temperature": request.temperature,
        } | can.named
        body |= {"stream": True, "stop": list(request.prompt.stop), "stream_options": {"include_usage": True}}
        marks: list[int] = []
        stop_ids: list[int] = []
        if can.ids:
            body["prompt"], marks = await self._ids(request.prompt, can)
            stop_ids = [
                ids[0] for ids in [await self._control_ids(name) for name in request.prompt.stop_controls] if ids
            ]
        elif can.completions:
            body["prompt"] = written(request.prompt, can.known)
            body["stop"] += [name for name in request.prompt.stop_controls if name in can.known]
        else:
            body |= {"messages": messages(request.prompt), "chat_template_kwargs": {"enable_thinking": False}}
            if begins_the_answer(request.prompt.turns):
                body |= {"add_generation_prompt": False, "continue_final_message": True}
        if not body["stop"]:
            del body["stop"]
        extra = {
            "cache_marks": marks,
            "priority": request.priority,
            "latest_of": request.latest_of,
            "user": WINDOW,
            "stop_token_ids": stop_ids,
            "stream_options": EXTRAS["stream_options"],
        }
        if request.prediction:
            extra["prediction"] = {"type": "content", "content": masked(request.prediction)}
        body |= {name: value for name, value in extra.items() if name in can.takes}
        if request.grammar is not None:
            body |= _form(request, can)
        return "v1/completions" if can.completions else "v1/chat/completions", body

    async def _ids(self, prompt: Prompt, can: Abilities) -> tuple[list[int], list[int]]:
        """The prompt as token ids, and its marks as offsets into them."""
        ids: list[int] = []
        places = [0]
        for segment in prompt.segments:
            if isinstance(segment, Control) and segment.token not in can.known:
                ids += await self._control_ids(segment.token) or await self._ids_of_one(Text("\n"))
            else:
                ids += await self._ids_of_one(segment)
            places.append(len(ids))
        return ids, sorted({places[mark] for mark in prompt.marks})

    async def _control_ids(self, name: str) -> list[int]:
        """The one id of a control token; nothing where it is none of the model's."""
        ids = await self._ids_of_one(Control(name))
        return ids if len(ids) == 1 else []

    async def _ids_of_one(self, segment: Segment) -> list[int]:
        (ids,) = await self._tokens.ids((segment,), self._ids_of)
        return ids.tolist()

    async def _ids_of(self, segments: Sequence[Segment]) -> list[list[int]]:
        """One after the other: no such server takes several at once."""
        return [await self._ids_asked(segment) for segment in segments]

    async def _ids_asked(self, segment: Segment) -> list[int]:
        can = self._abilities
        assert can is not None
        if isinstance(segment, Control):
            text, special = segment.token, True
        else:  # the one door that every text goes through on its way out
            text, special = masked(segment.text), False
            text = harmless(text) if can.reads_controls else text
        ids = await Prober(self._client, can.model).ids(can.tokenize, text, parse_special=special)
        if ids is None:
            raise EngineLost("the server's answer is not understood")
        return ids


def _form(request: Request, can: Abilities) -> dict[str, Any]:
    """The grammar, where the server obeys such; what comes is checked all the same."""
    assert request.grammar is not None
    if can.grammar:
        return {"grammar": wire(request.grammar)}
    if can.json_schema and isinstance(request.grammar, JsonSchema):
        schema = {"name": "answer", "schema": wire(request.grammar)["schema"]}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {}


async def _heard(answer: httpx.Response, max_tokens: int, begun: float) -> AsyncGenerator[Piece | Usage, None]:
    """The events of an answer, with what was broken in the prompt whole again."""
    unbroken, left, at_ms = Unbroken(), max(1, max_tokens) * MAX_CHARS_PER_TOKEN, 0.0
    async for line in _lines(answer):
        for item in items(line, begun):
            if isinstance(item, Usage):
                yield item
                continue
            left -= len(item.text)
            if left < 0:
                raise EngineLost("the server says more than it was asked for")
            at_ms = item.at_ms
            if text := unbroken.feed(item.text):
                yield Piece(text, at_ms)
    if rest := unbroken.rest():
        yield Piece(rest, at_ms)


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """The lines of a stream; one without an end is not collected for ever."""
    held = b""
    async for data in answer.aiter_bytes():
        *lines, held = (held + data).split(b"\n")
        if len(held) > MAX_LINE_BYTES:
            raise EngineLost("the server's answer is not understood")
        for line in lines:
            yield line.decode("utf-8", "replace")
    if held:
        yield held.decode("utf-8", "replace")


def _refusal(answer: httpx.Response) -> EngineError:
    if answer.status_code in (401, 403):
        return EngineRefused(f"the server refuses the key (status {answer.status_code}); see remote.key")
    if answer.status_code == 503:
        return EngineBusy(problem_of(answer).message)
    return problem_of(answer)


def _wait_s(answer: httpx.Response, waits: list[float]) -> float | None:
    """How long until the next try, in seconds; None where there is none."""
    if answer.status_code not in (429, 503) or not waits:
        return None
    wanted_s = 0.0
    with suppress(ValueError):
        wanted_s = float(answer.headers.get("retry-after", "0"))
    if not 0 <= wanted_s <= LONGEST_RETRY_S:
        return None
    return max(wanted_s, waits.pop(0) * random.uniform(0.5, 1.5))  # many windows wait: not all at once


def client_for(url: str, key: str | None, timeout_s: float) -> httpx.AsyncClient:
    """An HTTP client for one server: certificates are checked, no proxy and no password file of the system is used.

    Certificates are those of certifi, or of SSL_CERT_FILE or SSL_CERT_DIR where one is set.
    """
    base = url.rstrip("/").removesuffix("/v1")
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(verify=base.startswith("https:"), limits=limits, trust_env=True),
        base_url=f"{base}/",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=httpx.Timeout(timeout_s, connect=min(timeout_s, CONNECT_TIMEOUT_S), pool=POOL_TIMEOUT_S),
        trust_env=False,
        follow_redirects=False,
    )
