"""One question to the model, read to its end, and what all of them cost together. Knows no file and no plan."""

from contextlib import aclosing
from dataclasses import dataclass, field, replace

from qwen_lsp.engine.client import Engine, Piece, Request, Usage
from qwen_lsp.errors import EngineRefused


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `is_cut`: it was not done when its tokens ran out."""

    text: str = field(repr=False)
    usage: Usage
    is_cut: bool = False


async def ask(engine: Engine, request: Request) -> Said:
    """The whole answer. A server that can not follow the form is asked again without. Raises EngineError."""
    try:
        return await _read(engine, request)
    except EngineRefused as refusal:
        if request.grammar is None or "grammar" not in refusal.message:
            raise
    return await _read(engine, replace(request, grammar=None))


async def _read(engine: Engine, request: Request) -> Said:
    pieces: list[str] = []
    usage = Usage(0, None, 0, None, 0.0)
    async with aclosing(engine.generate(request)) as items:
        async for item in items:
            if isinstance(item, Piece):
                pieces.append(item.text)
            else:
                usage = item
    return Said("".join(pieces), usage, usage.completion_tokens >= request.max_tokens)


def plus(one: Usage, other: Usage) -> Usage:
    """Both together; what is not known of one is not known of the sum."""
    return Usage(
        one.prompt_tokens + other.prompt_tokens,
        _sum(one.cached_tokens, other.cached_tokens),
        one.completion_tokens + other.completion_tokens,
        _sum(one.evaluated_tokens, other.evaluated_tokens),
        one.engine_ms + other.engine_ms,
    )


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other
