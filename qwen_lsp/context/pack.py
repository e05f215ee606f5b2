"""Candidates and a budget in, the texts that fit out. Whole lines, whole symbols. Pure.

Of open files recency decides who is in, and the opening order who stands where, so that switching between two files
leaves the start of the prompt as it was. Of symbols evidence decides who is in, and the path and the text's order who
stands where, for the same reason. Does not know where candidates come from, nor how a prompt is laid out.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from qwen_lsp.context.candidates import Symbol
from qwen_lsp.context.rank import Candidate, Scored, with_lf
from qwen_lsp.index.symbols import Definition

# Less than this of a file says nothing about it.
LEAST_TOKENS = 32
LEAST_LINE_TOKENS = 8
# Code in bytes per token is 3 to 4; counting low keeps a budget a promise.
BYTES_PER_TOKEN = 3
# The window of the prefix starts at a multiple of this share of its budget, so that typing does not shift it.
WINDOW_STEPS = 4

# Of the budget, for the bodies of the best symbols; the rest lists more of them by their signatures.
BODY_SHARE = 0.15
BODY_LEAST_SCORE = 0.3
INDENT = "    "


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


@dataclass(frozen=True, slots=True)
class Item:
    """One symbol in a prompt: its signature, or all of it; and why it is there."""

    symbol: Symbol
    score: float
    text: str
    n_tokens: int
    is_whole: bool = False

    def as_json(self) -> dict[str, object]:
        """For programs."""
        definition = self.symbol.definition
        return {
            "path": self.symbol.path,
            "name": definition.name,
            "container": definition.container,
            "kind": definition.kind,
            "shows": "body" if self.is_whole else "signature",
            "n_tokens": self.n_tokens,
            "score": round(self.score, 3),
            "evidence": {reason: round(strength, 3) for reason, strength in sorted(self.symbol.evidence.items())},
        }

    def line(self) -> str:
        """For people: tokens, score, name, why, where."""
        definition, evidence = self.symbol.definition, self.symbol.evidence
        name = f"{definition.container}.{definition.name}" if definition.container else definition.name
        reasons = sorted(evidence.items(), key=lambda each: (-each[1], each[0]))
        why = ", ".join(f"{reason} {strength:.2f}" for reason, strength in reasons) or "holds others"
        shows = "body" if self.is_whole else "signature"
        return f"{self.n_tokens:6} {self.score:6.2f}  {shows:9}  {name:40} {self.symbol.path:40} {why}"


def pack_symbols(
    ranked: Sequence[Scored],
    outlines: Mapping[str, Sequence[Definition]],
    read: Callable[[str], str | None],
    n_tokens: int,
) -> tuple[Item, ...]:
    """The best symbols that fit, files in the order of their names, in each the order of its text.

    A symbol brings the signatures that it stands in. Bodies only where nothing of them is listed apart. Paragraphs have
    no signature that would stand for them: what room the bodies leave is theirs. What `read` gives has no credentials.
    """
    left = n_tokens - int(n_tokens * BODY_SHARE)
    taken: dict[tuple[str, int], Item] = {}
    listed: list[Scored] = []
    paths: set[str] = set()
    for scored in ranked:
        if left < LEAST_LINE_TOKENS:
            break
        new = [item for item in _with_parents(scored, outlines) if (item.symbol.path, item.symbol.number) not in taken]
        path = scored.symbol.path
        cost = sum(item.n_tokens for item in new) + (0 if path in paths else estimate(path))
        if cost <= left:
            left -= cost
            paths.add(path)
            listed.append(scored)
            taken.update({(item.symbol.path, item.symbol.number): item for item in new})
    left += int(n_tokens * BODY_SHARE)
    parents = {(path, item.symbol.definition.parent) for (path, _), item in taken.items()}
    for scored in listed:
        symbol = scored.symbol
        key = symbol.path, symbol.number
        if left < LEAST_TOKENS:
            break
        if key in parents or (scored.score < BODY_LEAST_SCORE and symbol.definition.kind != "paragraph"):
            continue
        item = _whole(taken[key], read(symbol.path), left)
        if item is not None:
            left -= item.n_tokens - taken[key].n_tokens
            taken[key] = item
    return tuple(item for _, item in sorted(taken.items()))


def files_of(items: Iterable[Item]) -> tuple[ContextFile, ...]:
    """Items in their order, those of one file merged."""
    texts: dict[str, list[str]] = {}
    for item in items:
        texts.setdefault(item.symbol.path, []).append(item.text)
    return tuple(ContextFile(path, "".join(parts)) for path, parts in texts.items())


def _with_parents(scored: Scored, outlines: Mapping[str, Sequence[Definition]]) -> list[Item]:
    """The symbol and what it stands in, the outermost first."""
    symbol = scored.symbol
    definitions = outlines[symbol.path]
    chain = [(symbol.number, symbol.definition)]
    while (parent := chain[-1][1].parent) is not None:
        chain.append((parent, definitions[parent]))
    items = []
    for depth, (number, definition) in enumerate(reversed(chain)):
        text = f"{INDENT * depth}{definition.signature}\n"
        of = symbol if number == symbol.number else Symbol(symbol.path, number, definition, {})
        items.append(Item(of, scored.score, text, estimate(text)))
    return items


def _whole(item: Item, text: str | None, left: int) -> Item | None:
    """The item with its body, where that is still where the index says and fits."""
    definition = item.symbol.definition
    if text is None or definition.body_start is None:
        return None
    if not text.startswith(definition.name, definition.name_start):
        return None
    first = text.rfind("\n", 0, definition.start) + 1
    start = first if text[first : definition.start].isspace() else definition.start
    body = with_lf(text[start : definition.end]) + "\n"
    cost = estimate(body)
    return Item(item.symbol, item.score, body, cost, True) if cost - item.n_tokens <= left else None


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
