"""What editors ask of a daemon, made up from a seed: real code, two buffers behind one trunk, edits, requests.

A `Script` is plain data: who asks what, after how many passes of the model, who gives up, and how little room the
daemon has for it. Knows no scheduler and no clock.
"""

import random
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from inference.backends.base import EngineSettings, ModelInfo
from inference.generation import Priority
from inference.grammar import EditBlocks, Grammar, JsonSchema, Lark, StartsWith

ALL = 1 << 30  # passes: until nothing is left to do
MAX_SOURCE_BYTES = 60_000
CLIENTS = tuple(f"window-{n}" for n in range(1, 7))
LARK = Lark("start: /[a-z_]{1,12}/ (/, [a-z_]{1,12}/)* /\\n/")
SCHEMA = JsonSchema(
    '{"type":"object","properties":{"name":{"type":"string","maxLength":12},"line":{"type":"integer"}},'
    '"required":["name","line"],"additionalProperties":false}'
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `marks` are offsets into `prompt`."""

    prompt: tuple[int, ...]
    max_tokens: int
    marks: tuple[int, ...] = ()
    prediction: tuple[int, ...] = ()
    priority: Priority = Priority.TYPING
    client: str = CLIENTS[0]
    latest_of: str = ""
    stop_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """The client of the request with this number gives up; nothing where it has its answer."""

    number: int


@dataclass(frozen=True, slots=True)
class Let:
    """The model may do so many passes before the next move."""

    n_passes: int


Move = Ask | Cancel | Let


@dataclass(frozen=True, slots=True)
class Script:
    """`scale` shrinks the policy's lengths (chunks, least branches) to these contexts; `tokens_per_pass` is what a
    pass over one token costs on the drafts' clock, in tokens: it decides how long drafts get."""

    seed: int
    settings: EngineSettings
    scale: int
    tokens_per_pass: float
    moves: tuple[Move, ...]

    @property
    def asks(self) -> list[Ask]:
        return [move for move in self.moves if isinstance(move, Ask)]


Encode = Callable[[str], list[int]]
Expect = Callable[[Ask], Sequence[int]]


def script(seed: int, info: ModelInfo, encode: Encode, expect: Expect) -> Script:
    """The script of a seed. `expect` says what the right answer is: some predictions are nearly that."""
    rng = random.Random(seed)
    world = _World.made(rng)
    priorities = rng.choice((tuple(Priority), (Priority.TYPING, Priority.ACTION), (Priority.ACTION,)))
    clients = CLIENTS[: rng.choice((1, 2, 6))]
    pauses = rng.choice(((0, 0, 1, 3), (0, 1, 2, 4, 8, ALL), (2, 8, 16, ALL)))
    moves: list[Move] = []
    asks: list[Ask] = []
    for _ in range(rng.randint(6, 14)):
        world.edit(rng)
        ask = _asked(rng, world, encode, expect)
        ask = replace(ask, priority=rng.choice(priorities), client=rng.choice(clients))
        moves.append(ask)
        asks.append(ask)
        moves.append(Let(rng.choice(pauses)))
        if rng.random() < 0.2:
            moves.append(Cancel(rng.randrange(max(0, len(asks) - 3), len(asks))))
    n_ctx = max(len(ask.prompt) + ask.max_tokens for ask in asks)
    return Script(seed, _settings(rng, n_ctx, info), rng.choice((1, 4, 16)), rng.choice((1.0, 8.0, 64.0)), tuple(moves))


def _settings(rng: random.Random, n_ctx: int, info: ModelInfo) -> EngineSettings:
    """Room for one of the longest sequences at least, often for little more."""
    least_bytes = n_ctx * info.row_bytes + 2 * info.snapshot_bytes
    return EngineSettings(
        n_ctx=n_ctx,
        n_cells=int(n_ctx * rng.choice((1, 1.5, 2, 4, 8, 8))),
        cache_bytes=int(least_bytes * rng.choice((1, 1.5, 3, 6, 100, 100))),
        max_sequences=rng.choice((1, 2, 4, 6, 8, 8)),
        n_threads=1,
        chunk=rng.choice((32, 64, 128, 512)),
        exact=True,
    )


@dataclass(slots=True)
class _Buffer:
    text: str
    cursor: int

    def put(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]
        self.cursor = start + len(text)


@dataclass(slots=True)
class _World:
    """Two buffers behind one trunk, and what will be typed. `past`: buffers as they once were, for undo."""

    trunk: str
    buffers: list[_Buffer]
    to_type: str
    suffix_first: bool
    active: int = 0
    past: list[tuple[int, _Buffer]] = field(default_factory=list)

    @classmethod
    def made(cls, rng: random.Random) -> "_World":
        texts = [_excerpt(rng, rng.randint(60, 400)) for _ in range(2)]
        if rng.random() < 0.3:  # two that begin alike
            texts[1] = texts[0][: len(texts[0]) // 2] + texts[1][len(texts[1]) // 2 :]
        buffers = [_Buffer(text, _line_end(rng, text)) for text in texts]
        return cls(_excerpt(rng, rng.randint(40, 400)), buffers, _excerpt(rng, 400), rng.random() < 0.7)

    def edit(self, rng: random.Random) -> None:
        buffer = self.buffers[self.active]
        self.past.append((self.active, replace(buffer)))
        at = buffer.cursor
        match rng.choices(("type", "delete", "jump", "paste", "switch", "undo", "again"), (8, 3, 2, 1, 3, 2, 1))[0]:
            case "type":
                buffer.put(at, at, self._typed(rng.randint(1, 8)))
            case "delete":
                buffer.put(max(0, at - rng.randint(1, 10)), at, "")
            case "jump":
                at = _line_end(rng, buffer.text)
                buffer.put(at, at, self._typed(rng.randint(1, 8)))
            case "paste":
                buffer.put(at, at, self._typed(rng.randint(20, 60)))
            case "switch":
                self.active = 1 - self.active
            case "undo":
                self.active, before = rng.choice(self.past)
                self.buffers[self.active] = replace(before)

    def _typed(self, n_chars: int) -> str:
        text, self.to_type = self.to_type[:n_chars], self.to_type[n_chars:] + self.to_type[:n_chars]
        return text


def _asked(rng: random.Random, world: _World, encode: Encode, expect: Expect) -> Ask:
    buffer = world.buffers[world.active]
    before, after = buffer.text[: buffer.cursor], buffer.text[buffer.cursor :]
    line = before.rfind("\n") + 1
    parts = [after, before[:line], before[line:]] if world.suffix_first else [before[:line], before[line:], after]
    ids = [encode(part) for part in (world.trunk, *parts)]
    ends = [sum(map(len, ids[: i + 1])) for i in range(3)]
    prompt = tuple(id for part in ids for id in part)
    forms = LARK, SCHEMA, EditBlocks({"a.py": buffer.text}), StartsWith(before.split()[-1] if before.split() else "x")
    grammar = rng.choice(forms) if rng.random() < 0.15 else None
    ask = Ask(
        prompt,
        rng.choice((0, 1, 2, 4, 8, 8, 16, 16, 32)) if grammar is None else rng.choice((4, 16, 40)),
        tuple(sorted({end for end in ends if 0 < end < len(prompt) and rng.random() < 0.5})),
        latest_of="completion" if rng.random() < 0.2 else "",
        stop_ids=frozenset(encode("\n")) if rng.random() < 0.1 else frozenset(),
        grammar=grammar,
    )
    if ask.max_tokens == 0 and ends[0] and rng.random() < 0.5:  # what is told ahead ends at a mark
        return replace(ask, prompt=prompt[: ends[0]], marks=(ends[0],))
    return replace(ask, prediction=_predicted(rng, ask, buffer.text, encode, expect))


def _predicted(rng: random.Random, ask: Ask, text: str, encode: Encode, expect: Expect) -> tuple[int, ...]:
    """Nothing; the old text; or what will be said with a few tokens changed, dropped or put in between."""
    kind = rng.choices(("none", "text", "answer"), (5, 2, 3))[0]
    if kind == "none":
        return ()
    if kind == "text":
        return tuple(encode(text))
    tokens = list(expect(ask))
    for _ in range(rng.randint(0, 3)):
        at = rng.randint(0, len(tokens))
        tokens[at : at + rng.randint(0, 2)] = rng.choices(ask.prompt, k=rng.randint(0, 2))
    return tuple(tokens)


@cache
def _sources() -> tuple[Path, ...]:
    """The standard library's modules, in an order that depends on nothing else."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    return tuple(sorted(path for path in folder.glob("*.py") if 2_000 < path.stat().st_size < MAX_SOURCE_BYTES))


def _excerpt(rng: random.Random, n_chars: int) -> str:
    """About so many characters of real code, from a line's beginning on."""
    text = rng.choice(_sources()).read_text("utf-8", "replace")
    at = text.rfind("\n", 0, rng.randrange(len(text) - 1_000)) + 1
    return text[at : at + n_chars]


def _line_end(rng: random.Random, text: str) -> int:
    return rng.choice([i for i, char in enumerate(text) if char == "\n"] or [len(text)])
