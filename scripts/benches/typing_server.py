"""The real server with a recorder at its door to the engine and at its event loop: `... RECORD` instead of `qwen_lsp`.

For each request one line of JSON: what the prompt was made of, in tokens, and what the daemon counted; for each step
of the loop that took a while another: its milliseconds, those of the processor, and of these what the functions in
PARTS took. No text is written. It is put down at the end, or where there is much of it: keys do not wait for that.
"""

import asyncio
import functools
import gc
import hashlib
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from pkgutil import resolve_name
from typing import Any

from qwen_lsp.cli import main as serve
from qwen_lsp.engine import http
from qwen_lsp.engine.events import Piece, Usage
from qwen_lsp.prompt.layouts.fim import FILE, LOG_NAME
from qwen_lsp.prompt.segments import Control, Prompt, Text

MOST_ROWS = 20_000  # kept until they are written
LEAST_MS = 0.2  # a shorter step of the loop is not put down
PARTS = (
    "qwen_lsp.lsp.protocol:Protocol.structure_message",
    "qwen_lsp.lsp.protocol:Protocol._send_data",
    "qwen_lsp.lsp.handlers.sync:changed",
    "qwen_lsp.lsp.session:Session.put",
    "qwen_lsp.lsp.prompts:Prompts.came",
    "qwen_lsp.lsp.prompts:Prompts.turn",
    "qwen_lsp.lsp.prompts:Prompts.ahead",
    "qwen_lsp.lsp.prompts:grown",
    "qwen_lsp.lsp.prompts:told",
    "qwen_lsp.features.recent:Recent.at",
    "qwen_lsp.features.complete:around",
    "qwen_lsp.features.fill:surroundings",
    "qwen_lsp.features.fill:question",
    "qwen_lsp.features.fill:finish",
    "qwen_lsp.features.fill:sound",
    "qwen_lsp.engine.sent:Earlier.best",
    "qwen_lsp.engine.tokens:TokenCache.known",
    "qwen_lsp.engine.http:rest_of",
)


class Recorder:
    """Rows until they are written. `parts`: of the step that runs."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123  (as long as the process)
        self._rows: list[Callable[[], Mapping[str, Any]]] = []
        self.parts: list[tuple[str, float]] = []

    def add(self, row: Callable[[], Mapping[str, Any]]) -> None:
        self._rows.append(row)
        if len(self._rows) > MOST_ROWS:
            self.write()

    def write(self) -> None:
        rows, self._rows = self._rows, []
        self._file.write("".join(json.dumps(row()) + "\n" for row in rows))


def main() -> None:
    recorder = Recorder(sys.argv[1])
    sys.argv = ["qwen-lsp"]
    _requests(recorder)
    _steps(recorder)
    for name in PARTS:
        _part(recorder, name)
    code = serve()
    recorder.write()
    sys.exit(code)


def _requests(recorder: Recorder) -> None:
    inner = http.Daemon.stream

    async def stream(self: http.Daemon, request: http.Request) -> AsyncGenerator[Piece | Usage, None]:
        began, sent, last = time.monotonic(), 0.0, Usage(0, None, 0, None, 0.0)
        try:
            async for item in inner(self, request):
                sent = sent or time.monotonic()  # the first one says what goes out
                if isinstance(item, Usage):
                    last = item
                yield item
        finally:
            row: dict[str, Any] = {"at": began, "sent": sent, "priority": request.priority, "of": request.latest_of}
            row |= {"most": request.max_tokens, "took": time.monotonic() - began}
            row |= {"prompt": last.prompt_tokens, "cached": last.cached_tokens, "evaluated": last.evaluated_tokens}
            recorder.add(lambda: row | _parts_of(self, request.prompt, last.prompt_tokens))

    http.Daemon.stream = stream  # type: ignore[method-assign]


def _steps(recorder: Recorder) -> None:
    inner = asyncio.Handle._run
    collecting = [0.0]

    def run(self: Any) -> None:
        parts: list[tuple[str, float]] = []
        recorder.parts = parts
        name, began, spent_s = _name(self._callback), time.monotonic(), time.thread_time()
        inner(self)
        ms, took_ms = (time.thread_time() - spent_s) * 1000, (time.monotonic() - began) * 1000
        if took_ms >= LEAST_MS:
            step = {"step": name, "at": began, "ms": round(took_ms, 3), "cpu_ms": round(ms, 3), "parts": parts}
            recorder.add(lambda: step)

    def collected(phase: str, _: object) -> None:
        if phase == "start":
            collecting[0] = time.thread_time()
        else:
            recorder.parts.append(("garbage", round((time.thread_time() - collecting[0]) * 1000, 3)))

    asyncio.Handle._run = run  # type: ignore[method-assign]
    gc.callbacks.append(collected)


def _name(callback: Any) -> str:
    """What a step of the loop goes on with."""
    of = getattr(callback, "__self__", None)
    if isinstance(of, asyncio.Task):
        return str(getattr(of.get_coro(), "__qualname__", "task"))
    while isinstance(callback, functools.partial):
        callback = callback.func
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _part(recorder: Recorder, name: str) -> None:
    """Have a function's time put down with the step that it is called in."""
    place, _, attribute = name.replace(":", ".").rpartition(".")
    holder = resolve_name(place)
    inner = getattr(holder, attribute)

    def timed(*args: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return inner(*args, **named)
        finally:
            recorder.parts.append((attribute, round((time.thread_time() - began) * 1000, 3)))

    setattr(holder, attribute, timed)


def _parts_of(daemon: http.Daemon, prompt: Prompt, n_tokens: int) -> dict[str, Any]:
    """Where base, log and tail end, in tokens; and which base it is. What was not tokenised here shares the rest."""
    ends = {"base": 0, "log": 0, "tail": 0}
    hashes, part, n = hashlib.blake2b(digest_size=6), "base", 0.0
    files = [number for number, segment in enumerate(prompt.segments) if segment == FILE]
    has_hole = any(isinstance(segment, Control) and "<|fim_" in segment.token for segment in prompt.segments)
    known = daemon._tokens.known(prompt.segments)
    texts = [segment.text if isinstance(segment, Text) else segment.token for segment in prompt.segments]
    n_chars = sum(len(text) for text, ids in zip(texts, known, strict=True) if ids is None)
    per_char = max(0, n_tokens - sum(len(ids) for ids in known if ids is not None)) / max(1, n_chars)
    for number, (segment, text, ids) in enumerate(zip(prompt.segments, texts, known, strict=True)):
        if segment == FILE and number + 1 < len(prompt.segments):
            if texts[number + 1].startswith(LOG_NAME):
                part = "log"
            elif number == files[-1] and has_hole:
                part = "tail"
        n += len(text) * per_char if ids is None else len(ids)
        if part == "base":
            hashes.update(text.encode(errors="replace"))
        ends[part] = round(n)
    for earlier, later in (("base", "log"), ("log", "tail")):
        ends[later] = max(ends[earlier], ends[later])
    return {"ends": ends, "base_id": hashes.hexdigest()}


if __name__ == "__main__":
    main()
