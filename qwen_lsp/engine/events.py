"""What a server says, as values: the lines of a stream, its counts, its refusals. Pure; knows OpenAI's shapes only."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from qwen_lsp.errors import EngineBusy, EngineError, EngineLoading, EngineLost, EngineRefused, EngineSuperseded

_NAME = re.compile(r'^data: \{"id": "([\w-]+)"')  # as our daemon begins each event
MESSAGE_CHARS = 300  # of a refusal, on its way to a person


@dataclass(frozen=True, slots=True)
class Piece:
    """The next characters of an answer, and when they came, counted from the request."""

    text: str
    at_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and milliseconds of one request.

    What only the daemon knows is None where the stream was closed before the daemon's last word.
    """

    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    evaluated_tokens: int | None
    engine_ms: float


class Answered(Protocol):
    """An answer whose body was read, of either client."""

    @property
    def status_code(self) -> int: ...

    def json(self) -> Any:
        """Raises ValueError where it is none."""
        ...


def items(line: str, begun: float) -> list[Piece | Usage]:
    """What one line of the event stream says, of a completion or a chat."""
    if not line.startswith("data:"):
        return []
    data = line.removeprefix("data:").strip()
    if data == "[DONE]":
        return []
    now_ms = (time.perf_counter() - begun) * 1000
    try:
        event = json.loads(data)
        if event.get("error"):
            kind = EngineSuperseded if event["error"].get("code") == "superseded" else EngineLost
            raise kind(_for_people(event["error"]["message"]))
        choice = (event.get("choices") or [{}])[0]
        text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        # The counts first: whoever leaves at a piece has heard what it cost.
        found: list[Piece | Usage] = [_usage(event, now_ms)] if event.get("usage") else []
        if text:
            found.append(Piece(str(text), now_ms))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise EngineLost("the engine's answer is not understood") from error
    return found


def name_of(line: str) -> str:
    """The answer's id, where a line of the event stream says it."""
    found = _NAME.search(line)
    return found.group(1) if found else ""


def problem_of(answer: Answered) -> EngineError:
    """Our error for an answer that is not a success; the server's message is for people."""
    try:
        said = answer.json()["error"]
        message = _for_people(said if isinstance(said, str) else said["message"])
    except (ValueError, TypeError, KeyError):
        message = f"the engine answered with status {answer.status_code}"
    kinds: dict[int, type[EngineError]] = {503: EngineLoading, 429: EngineBusy, 409: EngineSuperseded}
    return kinds.get(answer.status_code, EngineRefused if answer.status_code < 500 else EngineError)(message)


def field_of(answer: Answered, name: str) -> Any:
    try:
        return answer.json()[name]
    except (ValueError, TypeError, KeyError) as error:
        raise EngineLost("the engine's answer is not understood") from error


def _for_people(message: object) -> str:
    return "".join(char if char.isprintable() else " " for char in str(message)[:MESSAGE_CHARS])


def _usage(event: Mapping[str, Any], now_ms: float) -> Usage:
    counts = event["usage"]
    details = counts.get("prompt_tokens_details") or {}
    timings = event.get("timings") or {}  # llama-server's
    return Usage(
        int(counts["prompt_tokens"]),
        details.get("cached_tokens", timings.get("cache_n")),
        int(counts["completion_tokens"]),
        counts.get("evaluated_tokens"),
        now_ms,
    )
