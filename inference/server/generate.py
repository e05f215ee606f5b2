"""One request through the scheduler: prompt to ids, ids to text, stop strings, counts.

Knows no HTTP. Closing the iterator cancels the job.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from inference.chat import encode
from inference.earlier import Ids
from inference.errors import BadRequest, EngineError
from inference.generation import Chunk, Finish, Job, Usage
from inference.scheduler import Scheduler
from inference.server.service import Service
from inference.stream import Stream
from inference.text_stream import TextStream
from inference.wire.requests import ChatRequest, CompletionRequest, Options, Parts

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of the answer: text that is safe to show, the tokens since the last piece, the counts so far."""

    text: str
    tokens: tuple[int, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class End:
    """The rest of the answer and how it ended; always the last."""

    rest: Piece
    reason: str


async def completion_job(request: CompletionRequest, service: Service) -> Job:
    """Grammars are compiled and texts tokenised on a worker thread: a long one would hold up every other request."""
    prompt, marks = request.prompt, request.cache_marks
    if isinstance(prompt, str):
        encode = service.scheduler.tokenizer.encode
        prompt = Ids.of(tuple(await asyncio.to_thread(encode, prompt, parse_special=True)))
    elif isinstance(prompt, Parts):
        prompt, marks = _joined(prompt, marks, service.plain)
    return await _job(prompt, request.options, request.options.max_tokens or 0, marks, service)


def _joined(
    parts: Parts, marks: tuple[int, ...], plain: Callable[[str], tuple[int, ...]]
) -> tuple[Ids, tuple[int, ...]]:
    """The ids of all parts, and the marks as offsets into them."""
    tokens: list[int] = []
    n_begun = len(parts.begun.tokens)
    places = [n_begun]
    for part in parts.parts:
        tokens += plain(part) if isinstance(part, str) else (part,)
        places.append(n_begun + len(tokens))
    at = {mark if mark <= n_begun else places[mark - n_begun] for mark in marks}
    return parts.begun.then(tuple(tokens)), tuple(sorted(at))


async def chat_job(request: ChatRequest, service: Service) -> Job:
    template, scheduler = service.template(), service.scheduler
    if template is None:
        raise BadRequest("the model has no chat template", "messages")
    segments = template.render(request.messages, enable_thinking=request.enable_thinking)
    prompt = Ids.of(tuple(await asyncio.to_thread(encode, segments, scheduler.tokenizer)))
    limit = request.options.max_tokens
    if limit is None:
        limit = max(1, scheduler.backend_info.n_ctx - len(prompt.tokens))  # a full context is the scheduler's to refuse
    return await _job(prompt, request.options, limit, (), service)


async def run(job: Job, options: Options, scheduler: Scheduler) -> AsyncGenerator[Piece | End, None]:
    """The answer as it comes."""
    text = TextStream(scheduler.tokenizer.piece, options.stop)
    stream = scheduler.submit(job)
    began = time.monotonic()
    outcome = "left by the client"
    try:
        tokens: list[int] = []
        async for event in stream:
            if isinstance(event, Finish):
                outcome = f"{event.reason} {event.usage}"
                yield End(Piece(text.finish(), tuple(tokens), event.usage), event.reason)
                return
            shown = _read(event, text, tokens)
            if text.stopped:
                usage = await _stopped(stream)
                outcome = f"stop string {usage}"
                yield End(Piece(shown, tuple(tokens), usage), "stop")
                return
            if shown:
                yield Piece(shown, tuple(tokens), event.usage)
                tokens.clear()
    except EngineError as problem:
        outcome = problem.code
        raise
    finally:
        stream.close()
        log.info("job %s %s: %s, %.0f ms", job.id, job.priority.name, outcome, (time.monotonic() - began) * 1000)


async def collect(job: Job, options: Options, scheduler: Scheduler) -> End:
    """The whole answer at once, as the rest of its end."""
    text: list[str] = []
    tokens: list[int] = []
    async with aclosing(run(job, options, scheduler)) as parts:
        async for part in parts:
            piece = part.rest if isinstance(part, End) else part
            text.append(piece.text)
            tokens += piece.tokens
            if isinstance(part, End):
                return End(Piece("".join(text), tuple(tokens), piece.usage), part.reason)
    raise AssertionError("a stream ended without a Finish")


def _read(chunk: Chunk, text: TextStream, tokens: list[int]) -> str:
    shown = ""
    for token in chunk.tokens:
        shown += text.push(token)
        tokens.append(token)
        if text.stopped:
            break
    return shown


async def _stopped(stream: Stream) -> Usage:
    """Cancel after a stop string, and wait for the counts: they include what was sampled meanwhile."""
    stream.close()
    async for event in stream:
        if isinstance(event, Finish):
            return event.usage
    raise AssertionError("a stream ended without a Finish")


async def _job(
    prompt: Ids,
    options: Options,
    max_tokens: int,
    marks: tuple[int, ...],
    service: Service,
) -> Job:
    if not prompt.tokens:
        raise BadRequest("the prompt has no tokens", "prompt")
    prediction: Sequence[int] = ()
    if options.prediction:
        prediction = await asyncio.to_thread(
            service.scheduler.tokenizer.encode, options.prediction, parse_special=False
        )
    return Job(
        id=f"{time.time_ns() // 1_000_000:x}{secrets.token_hex(4)}",
        prompt=prompt.tokens,
        max_tokens=max_tokens,
        sampling=options.sampling(secrets.randbits(32)),
        priority=options.priority,
        cache_marks=marks,
        client=options.client,
        latest_of=options.latest_of,
        prediction=tuple(prediction),
        stop_ids=options.stop_ids,
        last_ids=await service.ending(options.stop),
        constraint=await service.constraint(options.grammar) if options.grammar else None,
        packed=prompt.packed,
    )
