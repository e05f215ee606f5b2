"""The real server with a recorder at its door to the engine: `... RECORD [PROFILE]` instead of `python -m qwen_lsp`.

For each request one line of JSON: what the prompt was made of, in tokens, and what the daemon counted. The text of a
prompt is not written. With PROFILE, what the event loop's thread spent its time on goes there.
"""

import cProfile
import hashlib
import json
import sys
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TextIO

from qwen_lsp.cli import main as serve
from qwen_lsp.engine import http
from qwen_lsp.engine.events import Piece, Usage
from qwen_lsp.prompt.layouts.fim import FILE, LOG_NAME
from qwen_lsp.prompt.segments import Prompt, Text


def main() -> None:
    record = open(sys.argv[1], "a", encoding="utf-8", buffering=1)  # noqa: SIM115, PTH123  (as long as the process)
    profile = sys.argv[2] if len(sys.argv) > 2 else None
    sys.argv = ["qwen-lsp"]
    _record(record)
    profiler = cProfile.Profile() if profile else None
    try:
        if profiler is not None:
            profiler.enable()
        code = serve()
    finally:
        if profiler is not None:
            profiler.disable()
            profiler.dump_stats(str(profile))
    sys.exit(code)


def _record(file: TextIO) -> None:
    inner, lock = http.Daemon.stream, threading.Lock()

    async def stream(self: http.Daemon, request: http.Request) -> AsyncGenerator[Piece | Usage, None]:
        began, last = time.monotonic(), Usage(0, None, 0, None, 0.0)
        try:
            async for item in inner(self, request):
                if isinstance(item, Usage):
                    last = item
                yield item
        finally:
            row: dict[str, Any] = {
                "at": began,
                "priority": request.priority,
                "of": request.latest_of,
                "most": request.max_tokens,
            }
            row |= {"prompt": last.prompt_tokens, "cached": last.cached_tokens, "evaluated": last.evaluated_tokens}
            row |= {"took": time.monotonic() - began, **await _parts(self, request.prompt)}
            with lock:
                file.write(json.dumps(row) + "\n")

    http.Daemon.stream = stream  # type: ignore[method-assign]


async def _parts(daemon: http.Daemon, prompt: Prompt) -> Mapping[str, Any]:
    """Where base, log and tail end, in tokens; and which base it is."""
    ends = {"base": 0, "log": 0, "tail": 0}
    hashes, part, n = hashlib.blake2b(digest_size=6), "base", 0
    files = [number for number, segment in enumerate(prompt.segments) if segment == FILE]
    lengths = map(len, await daemon._tokens.ids(prompt.segments, daemon._ids_of))
    for number, (segment, length) in enumerate(zip(prompt.segments, lengths, strict=True)):
        text = segment.text if isinstance(segment, Text) else segment.token
        if segment == FILE and number + 1 < len(prompt.segments):
            following = prompt.segments[number + 1]
            if isinstance(following, Text) and following.text.startswith(LOG_NAME):
                part = "log"
            elif number == files[-1] and "<|fim_" in "".join(getattr(s, "token", "") for s in prompt.segments):
                part = "tail"
        n += length
        if part == "base":
            hashes.update(text.encode(errors="replace"))
        ends[part] = n
    for earlier, later in (("base", "log"), ("log", "tail")):
        ends[later] = max(ends[later], ends[earlier])
    return {"ends": ends, "base_id": hashes.hexdigest()}


if __name__ == "__main__":
    main()
