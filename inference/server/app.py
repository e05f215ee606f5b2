"""The HTTP face: routes, streaming, errors; a closed connection is a cancel.

Knows no tokens and no sockets: text goes in and out through `generate`, and who may connect is `lifecycle`'s business.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import asdict
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from inference import metrics
from inference.errors import BodyTooLarge, EngineError, ModelLoading
from inference.generation import Job
from inference.scheduler import Scheduler
from inference.server import generate, status_page
from inference.server.service import SHORT_CHARS, About, Service
from inference.text_stream import text_of
from inference.wire import answers, requests
from inference.wire.answers import Envelope
from inference.wire.fields import Fields, parse

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 2**20  # 262,144 token ids, or as much text, several times over
STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]


def make_app(scheduler: Scheduler, about: About) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application."""
    service = Service(scheduler, about)
    render_metrics = metrics.exposition(scheduler.stats)

    async def show_metrics(request: Request) -> Response:
        return Response(render_metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def route(path: str, handler: Callable[[Request, Service], Awaitable[Response]], method: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await handler(request, service)

        return Route(path, endpoint, methods=[method])

    app = Starlette(
        routes=[
            route("/health", health, "GET"),
            Route("/metrics", show_metrics, methods=["GET"]),
            route("/status", status, "GET"),
            route("/v1/models", models, "GET"),
            route("/v1/completions", completions, "POST"),
            route("/v1/chat/completions", chat_completions, "POST"),
            route("/tokenize", tokenize, "POST"),
            route("/detokenize", detokenize, "POST"),
        ],
        exception_handlers={
            EngineError: _answer_engine_error,
            HTTPException: _answer_http_error,
            ClientDisconnect: _answer_nobody,
            Exception: _answer_surprise,
        },
    )
    app.router.redirect_slashes = False
    return _Boundary(app)


async def health(request: Request, service: Service) -> Response:
    state, failure, about = service.scheduler.state, service.scheduler.failure, service.about
    body: dict[str, Any] = {"status": state, "model": about.model, "engine": about.engine, "pid": about.pid}
    body |= {"build": about.build, "version": about.version}
    if failure is not None:
        body["reason"] = failure.message
    with suppress(EngineError):  # not loaded yet
        plan = service.scheduler.backend_info.plan
        if plan is not None:
            body["memory"] = asdict(plan)
    return JSONResponse(body, status_code=200 if state == "ready" else 503)


async def status(request: Request, service: Service) -> Response:
    """The page for people; also of a daemon that loads or has failed."""
    scheduler, about = service.scheduler, service.about
    with suppress(EngineError):  # not loaded yet
        return status_page.page(about.model, scheduler.state, None, scheduler.backend_info, scheduler.stats())
    reason = None if scheduler.failure is None else scheduler.failure.message
    return status_page.page(about.model, scheduler.state, reason, None, scheduler.stats())


async def models(request: Request, service: Service) -> Response:
    return JSONResponse(answers.models(service.scheduler.backend_info, service.created))


async def tokenize(request: Request, service: Service) -> Response:
    content, parse_special = requests.tokenize(await _fields(request))
    encode = partial(service.scheduler.tokenizer.encode, parse_special=parse_special)
    tokens: object
    if isinstance(content, str):
        tokens = await asyncio.to_thread(encode, content)
    elif sum(map(len, content)) <= SHORT_CHARS:
        tokens = [encode(text) for text in content]
    else:
        tokens = await asyncio.to_thread(lambda: [encode(text) for text in content])
    return JSONResponse({"tokens": tokens})


async def detokenize(request: Request, service: Service) -> Response:
    fields = await _fields(request)
    tokens = requests.detokenize(fields, service.scheduler.backend_info.n_vocab)
    return JSONResponse({"content": text_of(tokens, service.scheduler.tokenizer.piece)})


async def completions(request: Request, service: Service) -> Response:
    fields = await _fields(request)
    asked = requests.completion(fields, service.scheduler.backend_info.n_vocab, service.prompts.find)
    service.check_model(asked.options.model)

    async def job() -> Job:
        return await generate.completion_job(asked, service)

    return _Generation(service, "completion", job, asked.options)


async def chat_completions(request: Request, service: Service) -> Response:
    fields = await _fields(request)
    asked = requests.chat(fields, service.scheduler.backend_info.n_vocab)
    service.check_model(asked.options.model)

    async def job() -> Job:
        return await generate.chat_job(asked, service)

    return _Generation(service, "chat", job, asked.options)


class _Generation(Response):
    """Runs a job and sends its answer; ends the job when the client leaves, also while it waits in the queue."""

    def __init__(
        self, service: Service, kind: answers.Kind, job: Callable[[], Awaitable[Job]], options: requests.Options
    ) -> None:
        super().__init__()
        self._scheduler = service.scheduler
        self._prompts = service.prompts
        self._kind = kind
        self._job = job
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._answer(scope, receive, send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (gone, work):
                task.cancel()
            ended = await asyncio.gather(work, gone, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        job = await self._job()
        model = self._scheduler.backend_info.name
        prefix = "cmpl" if self._kind == "completion" else "chatcmpl"
        envelope = Envelope(
            self._kind,
            f"{prefix}-{job.id}",
            int(time.time()),
            model,
            self._options.return_tokens,
            self._options.counts,
        )
        self._prompts.keep(envelope.id, job)
        if self._options.stream:
            await self._stream(job, envelope, send)
        else:
            end = await generate.collect(job, self._options, self._scheduler)
            body = envelope.whole(end.rest.text, end.rest.tokens, end.reason, end.rest.usage)
            await JSONResponse(body)(scope, receive, send)

    async def _stream(self, job: Job, envelope: Envelope, send: Send) -> None:
        """The status waits for the first piece: until then an error can still be answered as one."""
        begun = False
        async with aclosing(generate.run(job, self._options, self._scheduler)) as parts:
            try:
                async for part in parts:
                    data = _event(part, envelope)
                    if not begun:
                        await send({"type": "http.response.start", "status": 200, "headers": STREAM_HEADERS})
                        data, begun = envelope.opening() + data, True
                    is_end = isinstance(part, generate.End)
                    await _send_part(send, data + answers.DONE if is_end else data, is_last=is_end)
            except EngineError as problem:
                if not begun:
                    raise
                await _send_part(send, answers.event(answers.error(problem)), is_last=True)


def _event(part: generate.Piece | generate.End, envelope: Envelope) -> bytes:
    if isinstance(part, generate.End):
        return envelope.last(part.rest.text, part.rest.tokens, part.reason, part.rest.usage)
    return envelope.part(part.text, part.tokens, part.usage)


async def _send_part(send: Send, data: bytes, *, is_last: bool) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": not is_last})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _fields(request: Request) -> Fields:
    """The body as a JSON object, whatever content type it claims."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLarge(f"the body is over {MAX_BODY_BYTES} bytes")
    return parse(bytes(body))


async def _answer_engine_error(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, EngineError)
    headers = {"Retry-After": "1"} if isinstance(problem, ModelLoading) else None
    return JSONResponse(answers.error(problem), status_code=problem.status, headers=headers)


async def _answer_http_error(request: Request, problem: Exception) -> Response:
    """Unknown routes and wrong methods."""
    assert isinstance(problem, HTTPException)
    code = "method_not_allowed" if problem.status_code == 405 else "not_found"
    body = answers.error_body(f"{problem.detail}: {request.url.path!a}", "invalid_request_error", None, code)
    return JSONResponse(body, status_code=problem.status_code, headers=problem.headers)


async def _answer_nobody(request: Request, problem: Exception) -> Response:
    """The client left before its request was complete."""
    return Response()


async def _answer_surprise(request: Request, problem: Exception) -> Response:
    """An error that nobody named. Its message stays out of the log: it could hold text of a user's."""
    where = traceback.extract_tb(problem.__traceback__)[-1]
    log.error("%s at %s:%s", type(problem).__name__, where.filename, where.lineno)
    return JSONResponse(answers.error(EngineError("internal error")), status_code=500)


class _Boundary:
    """Where an error that nobody named ends: it has been logged and answered, uvicorn need not print it again.

    Only the daemon's end cancels a request here. One that still sends its body hears why; other answers have begun.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(Exception):
            try:
                await self._app(scope, receive, send)
            except asyncio.CancelledError:
                problem = ModelLoading("the daemon stops")
                await JSONResponse(answers.error(problem), status_code=problem.status)(scope, receive, send)
