"""Does this model fill holes, in which layout, and how fast? Found by asking it, a few small questions each.

The questions are too few to say how good a model is (`qwen-lsp eval` does): they tell a layout that works from one that
does not. Knows no settings file and no download.
"""

import random
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from qwen_lsp.engine.client import Engine, Piece, Request, Usage
from qwen_lsp.errors import EngineRefused
from qwen_lsp.features.trial import HOLE, talks
from qwen_lsp.prompt.layouts.fim import Hole
from qwen_lsp.prompt.layouts.named import question
from qwen_lsp.prompt.segments import Prompt, Text

ANSWER_TOKENS = 16
CHANCE = 1  # so many examples more or less tell nothing
READ_LINES, WRITE_TOKENS = 60, 32


@dataclass(frozen=True, slots=True)
class Example:
    """A hole whose answer any model of code knows. `says`: how it must begin, as an expression. No blank ends
    `before`: tokens begin with them."""

    path: str
    before: str
    after: str
    says: str


EXAMPLES = (
    Example(HOLE.path, HOLE.before, HOLE.after, r"a \+ b\b"),
    Example("area.py", "def area(width, height):\n    return width *", "\n\n\nprint(area(2, 3))\n", r"height\b"),
    Example("loop.py", "names = ['a', 'b']\nfor name in", ":\n    print(name)\n", r"names\b"),
    Example("greet.js", "function greet(name) {\n  return `Hello, ${", "}`;\n}\n\ngreet('you');\n", r"name\b"),
    Example("max.go", "func max(a, b int) int {\n\tif a > b {\n\t\treturn", "\n\t}\n\treturn b\n}\n", r"a\b"),
    Example("load.py", "def load(path):\n    with open(", ") as file:\n        return file.read()\n", r"path\b"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """How a layout did. `refused`: why it can not be used at all."""

    layout: str
    n_right: int
    n_talk: int
    n_asked: int
    refused: str = ""

    def line(self) -> str:
        """For a person."""
        if self.refused:
            return f"{self.layout}: {self.refused}"
        talk = f", {self.n_talk} answers talk or are Markdown" if self.n_talk else ""
        return f"{self.layout}: {self.n_right} of {self.n_asked} holes filled as expected{talk}"


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second, on this machine, now. None where too little came to tell."""

    reads: float | None
    writes: float | None

    def key_ms(self, n_read: int = 32, n_written: int = 12) -> float | None:
        """What a key costs that changes so many tokens of a prompt and gets so many of an answer."""
        if not self.reads or not self.writes:
            return None
        return 1000 * (n_read / self.reads + n_written / self.writes)

    def line(self) -> str:
        """For a person."""
        reads, writes = (f"{value:,.0f}" if value else "?" for value in (self.reads, self.writes))
        key = self.key_ms()
        about = f"; a key, 32 tokens to read and 12 to write, takes about {key:,.0f} ms" if key is not None else ""
        return f"reads {reads} tokens per second, writes {writes}{about}"


async def score(engine: Engine, layout: str, examples: Sequence[Example] = EXAMPLES) -> Score:
    """Ask all examples in one layout. Raises EngineError where the engine fails, not where it refuses the layout."""
    right = talk = 0
    for example in examples:
        hole = Hole(example.path, example.before, example.after)
        asked = question(layout, hole, heal=False, stop=("\n",))
        try:
            answer, _ = await _answer(engine, Request(asked.prompt, ANSWER_TOKENS, "action"))
        except EngineRefused as error:
            return Score(layout, 0, 0, len(examples), error.message)
        is_talk = talks(answer)
        talk += is_talk
        right += re.match(example.says, answer.strip()) is not None
    return Score(layout, right, talk, len(examples))


def best(scores: Sequence[Score]) -> Score | None:
    """The first that is as good as any, within chance: they stand in the order of what a key costs with them. None
    where the best is no better than chance."""
    most = max(each.n_right for each in scores)
    if most <= CHANCE:
        return None
    return next(each for each in scores if not each.refused and each.n_right >= most - CHANCE)


async def speed(engine: Engine, seed: int) -> Speed:
    """A prompt that nobody has asked before, read and continued once. Raises EngineError."""
    drawn = random.Random(seed)
    lines = "".join(f"value_{drawn.randrange(10**6)} = {drawn.randrange(1000)}\n" for _ in range(READ_LINES))
    request = Request(Prompt((Text(lines),)), WRITE_TOKENS, "action")
    _, heard = await _answer(engine, request)
    return heard


async def _answer(engine: Engine, request: Request) -> tuple[str, Speed]:
    pieces: list[Piece] = []
    usage: Usage | None = None
    async with aclosing(engine.generate(request)) as items:
        async for item in items:
            if isinstance(item, Piece):
                pieces.append(item)
            else:
                usage = item
    text = "".join(piece.text for piece in pieces)
    if usage is None or not pieces:
        return text, Speed(None, None)
    n_read = usage.prompt_tokens - (usage.cached_tokens or 0)
    first, last, n_written = pieces[0].at_ms, pieces[-1].at_ms, usage.completion_tokens
    reads = n_read / first * 1000 if first > 0 else None
    writes = (n_written - 1) / (last - first) * 1000 if last > first and n_written > 1 else None
    return text, Speed(reads, writes)
