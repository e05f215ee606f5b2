"""Answers as OpenAI shapes them. Knows no HTTP but the form of a server-sent event."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inference.backends.base import ModelInfo
from inference.errors import EngineError
from inference.generation import Usage

DONE = b"data: [DONE]\n\n"

Kind = Literal["completion", "chat"]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all parts of one answer share. `created` in seconds since 1970."""

    kind: Kind
    id: str
    created: int
    model: str
    return_tokens: bool
    counts: bool  # usage in every part of a stream

    def whole(self, text: str, tokens: tuple[int, ...], reason: str, usage: Usage) -> dict[str, Any]:
        """An answer that is not streamed."""
        said = {"text": text} if self.kind == "completion" else {"message": {"role": "assistant", "content": text}}
        name = "text_completion" if self.kind == "completion" else "chat.completion"
        return self._body(name, said, tokens, reason) | {"usage": usage_json(usage)}

    def opening(self) -> bytes:
        """What a stream begins with; nothing but for chat, which names the role."""
        if self.kind == "completion":
            return b""
        return self._event({"delta": {"role": "assistant", "content": ""}}, (), None)

    def part(self, text: str, tokens: tuple[int, ...], usage: Usage) -> bytes:
        """A piece of a streamed answer."""
        return self._event(self._said(text), tokens, None, {"usage": usage_json(usage)} if self.counts else None)

    def last(self, text: str, tokens: tuple[int, ...], reason: str, usage: Usage) -> bytes:
        """The end of a streamed answer: its rest, the reason and the counts."""
        return self._event(self._said(text), tokens, reason, {"usage": usage_json(usage)})

    def _said(self, text: str) -> dict[str, Any]:
        if self.kind == "completion":
            return {"text": text}
        return {"delta": {"content": text} if text else {}}

    def _event(
        self, said: dict[str, Any], tokens: tuple[int, ...], reason: str | None, more: Mapping[str, Any] | None = None
    ) -> bytes:
        name = "text_completion" if self.kind == "completion" else "chat.completion.chunk"
        return event(self._body(name, said, tokens, reason) | dict(more or {}))

    def _body(self, name: str, said: dict[str, Any], tokens: tuple[int, ...], reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": reason}
        if self.return_tokens:
            choice["tokens"] = list(tokens)
        return {"id": self.id, "object": name, "created": self.created, "model": self.model, "choices": [choice]}


def event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def error(problem: EngineError) -> dict[str, Any]:
    return error_body(problem.message, problem.kind, problem.param, problem.code)


def error_body(message: str, kind: str, param: str | None, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def usage_json(usage: Usage) -> dict[str, Any]:
    """OpenAI's counts and ours: `evaluated_tokens` is what really went through the model."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "evaluated_tokens": usage.evaluated_tokens,
    }


def models(info: ModelInfo, created: int) -> dict[str, Any]:
    """The list of the one model; `max_model_len` is the context, as vLLM calls it."""
    entry = {
        "id": info.name,
        "object": "model",
        "created": created,
        "owned_by": info.engine,
        "max_model_len": info.n_ctx,
    }
    return {"object": "list", "data": [entry]}
