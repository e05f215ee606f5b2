"""Candidates and a budget in, the texts that fit out. Whole lines only. Pure.

Recency decides who is in; the opening order decides who stands where, so that switching between two files leaves the
start of the prompt as it was. Does not know where candidates come from, nor how
a prompt is laid out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from qwen_lsp.context.rank import Candidate

# Less than this of a file says nothing about it.
LEAST_TOKENS = 32
# Code in bytes per token is 3 to 4; counting low keeps a budget a promise.
BYTES_PER_TOKEN = 3
# The window of the prefix starts at a multiple of this share of its budget, so that typing does not shift it.
WINDOW_STEPS = 4


@dataclass(frozen=True, slots=True)
class ContextFile:
    """Another file of the repository, as the model shall see it."""

    path: str
    text: str


def pack(candidates: Iterable[Candidate], n_tokens: int) -> tuple[ContextFile, ...]:
    """Take the best candidates that fit; the last one is cut after a whole line."""
    left = n_tokens
    taken: list[tuple[int, ContextFile]] = []
    for candidate in candidates:
        cost = estimate(candidate.path) + estimate(candidate.text)
        text = candidate.text
        if cost > left:
            if left < LEAST_TOKENS:
                break
            text = _whole_lines(text, (left - estimate(candidate.path)) * BYTES_PER_TOKEN)
        if text:
            taken.append((candidate.opened, ContextFile(candidate.path, text)))
        left -= cost
        if left <= 0:
            break
    return tuple(file for _, file in sorted(taken, key=lambda pair: pair[0]))


def estimate(text: str) -> int:
    """About how many tokens, rather too many than too few."""
    return -(-len(text.encode(errors="replace")) // BYTES_PER_TOKEN)


def _whole_lines(text: str, n_bytes: int) -> str:
    data = text.encode(errors="replace")[: max(n_bytes, 0)]
    return data[: data.rfind(b"\n") + 1].decode(errors="ignore")


def window_before(text: str, n_tokens: int) -> str:
    """The end of `text` within the budget, from the start of a line; it moves on in big steps only."""
    data, budget = text.encode(), max(n_tokens * BYTES_PER_TOKEN, WINDOW_STEPS)
    if len(data) <= budget:
        return text
    step = budget // WINDOW_STEPS
    start = -(-(len(data) - budget) // step) * step
    newline = data.find(b"\n", start - 1)
    start = newline + 1 if 0 <= newline < len(data) - 1 else start
    return data[start:].decode(errors="ignore")


def window_after(text: str, n_tokens: int) -> str:
    """The start of `text` within the budget, whole lines; a single line that is longer is cut."""
    data, budget = text.encode(), n_tokens * BYTES_PER_TOKEN
    if len(data) <= budget:
        return text
    newline = data.rfind(b"\n", 0, budget)
    return data[: newline + 1 if newline >= 0 else budget].decode(errors="ignore")
