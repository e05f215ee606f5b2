"""Ask the model what stands in a hole of a file, and take only what may be shown. No LSP, no HTTP.

Shared by completion and actions: a hole is a range of one document, empty where the user types.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from qwen_lsp.context.pack import pack, window_after, window_before
from qwen_lsp.context.rank import excluded, rank, shown_around, shown_path, shown_text
from qwen_lsp.engine.client import Engine, Request, Usage
from qwen_lsp.engine.grammars import StartsWith
from qwen_lsp.engine.http import Priority
from qwen_lsp.errors import EngineError
from qwen_lsp.features.ledger import hole_of
from qwen_lsp.post.completion import MAX_BLOCK_LINES, Kind, Place, enough, finish, place, unfenced
from qwen_lsp.post.indent import restyled, unit_of
from qwen_lsp.post.syntax import Around, around, inside, prepared, sound
from qwen_lsp.prompt.heal import HEAL_TOKENS, REFUSED, RESUMED, resume
from qwen_lsp.prompt.layouts.fim import Hole, Question
from qwen_lsp.prompt.layouts.named import question
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.text.document import Document
from qwen_lsp.text.lines import line_end
from qwen_lsp.text.snapshot import Snapshot

# Shares of the prompt, in tokens. Small while the embedded model, on a processor, is what most people start with.
CONTEXT_TOKENS = 1024
BEFORE_TOKENS = 1536
AFTER_TOKENS = 512
BUDGET_TOKENS = CONTEXT_TOKENS + BEFORE_TOKENS + AFTER_TOKENS
OTHERS_TEMPERATURE = 0.8  # of further candidates: lower ones say the same again
SENT_S = 0.001  # by then a request is on its way, and its answer is not there yet


@dataclass(frozen=True, slots=True)
class Nothing:
    """No answer, the reason that the user may read, and what it cost where the model was asked."""

    reason: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Filled:
    """What the hole is filled with, in the line ends of the file, and what it cost."""

    text: str
    usage: Usage
    others: tuple[str, ...] = ()  # that would do, too, likely ones first


def unheard(so_far: str) -> None:
    """For callers who wait for the whole answer."""


@dataclass(frozen=True, slots=True)
class Task:
    """A hole, and how much may be said in it. `tail` is imagined between the hole and what stands behind it.

    `heard` is told what the model has said for the hole so far. `n_others`: how many more answers are wanted.
    """

    document: Document
    start: int
    end: int
    max_tokens: int
    priority: Priority = "typing"
    max_lines: int = MAX_BLOCK_LINES
    tail: str = ""
    latest_of: str = ""
    heard: Callable[[str], None] = unheard
    kind: Kind | None = None
    hole: Callable[[], Around | None] | None = None  # parses what stands around it, once
    n_others: int = 0


async def fill(snapshot: Snapshot, task: Task, engine: Engine, ledger: Ledger | None = None) -> Filled | Nothing:
    """The model's answer for the hole, cut to what fits there and parses. Raises EngineError.

    With a `ledger`, whose tail is at the hole, that is what the model reads.
    """
    reason = excluded(task.document)
    if reason is not None:
        return Nothing(reason)
    hole, about = surroundings(snapshot, task, ledger)
    stop = () if about.block else ("\n",)
    asked = question(snapshot.settings.completion_layout, hole, stop=stop)
    if task.hole is not None:
        asyncio.get_running_loop().call_later(SENT_S, prepared, task.hole)
    said = await _read(engine, task, asked, about)
    if said.answer is None:
        asked = question(snapshot.settings.completion_layout, hole, heal=False, stop=stop)
        said = said.then(await _read(engine, task, asked, about))
    found = _checked(task, about, said)
    if isinstance(found, Nothing) or not task.n_others:
        return found
    return await _with_others(engine, task, asked, about, found)


async def _with_others(engine: Engine, task: Task, asked: Question, about: Place, best: Filled) -> Filled:
    """More answers to the same question, drawn together: the prompt is read already. Those that differ are kept."""
    quiet = replace(task, heard=unheard, latest_of="")
    drawn = await asyncio.gather(
        *(_read(engine, quiet, asked, about, seed) for seed in range(1, task.n_others + 1)), return_exceptions=True
    )
    texts, usage = [best.text], best.usage
    for said in drawn:
        if isinstance(said, EngineError):
            continue  # the best one is there
        if isinstance(said, BaseException):
            raise said
        usage = _Said(None, usage).then(said).usage
        found = _checked(task, about, said)
        if isinstance(found, Filled) and found.text not in texts:
            texts.append(found.text)
    return Filled(best.text, usage, tuple(texts[1:]))


def surroundings(snapshot: Snapshot, task: Task, ledger: Ledger | None = None) -> tuple[Hole, Place]:
    """What the prompt is made of, and what decides how much of the answer is shown."""
    document, scale = task.document, _scale(snapshot, task)
    before, after = shown_around(document, task.start, task.end)
    after = shown_text(task.tail) + after
    about = place(before, after, task.max_lines, task.kind)
    if ledger is not None and ledger.tail is not None:
        return hole_of(ledger), about
    files = pack(rank(snapshot, document.uri), int(CONTEXT_TOKENS * scale))
    hole = Hole(
        shown_path(document.uri, snapshot.roots),
        window_before(before, int(BEFORE_TOKENS * scale)),
        window_after(after, int(AFTER_TOKENS * scale)),
        snapshot.roots[0].name if snapshot.roots else "",
        files,
    )
    return hole, about


def _scale(snapshot: Snapshot, task: Task) -> float:
    """How much of the budgets a context that the user set leaves."""
    if snapshot.settings.ctx is None:
        return 1.0
    return min(1.0, max(0.0, (snapshot.settings.ctx - task.max_tokens - HEAL_TOKENS) / BUDGET_TOKENS))


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer after the typed letters; None where the model would have typed others."""

    answer: str | None
    usage: Usage

    def then(self, other: "_Said") -> "_Said":
        """`other`'s answer at the cost of both."""
        one, two = self.usage, other.usage
        known = one.evaluated_tokens is not None and two.evaluated_tokens is not None
        usage = replace(
            two,
            completion_tokens=one.completion_tokens + two.completion_tokens,
            evaluated_tokens=(one.evaluated_tokens or 0) + (two.evaluated_tokens or 0) if known else None,
            engine_ms=one.engine_ms + two.engine_ms,
        )
        return _Said(other.answer, usage)


class _Ahead:
    """Judges what was said so far while the model says more, where that takes milliseconds: it may be all of it."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._timer: asyncio.TimerHandle | None = None

    def judge(self, about: Place, code: str) -> None:
        """In a moment, if nothing more is said by then."""
        hole = self._task.hole() if self._task.hole is not None and self._task.priority == "typing" else None
        if hole is not None and hole.is_slow:
            said = _Said(code, Usage(0, None, 0, None, 0.0))
            self._timer = asyncio.get_running_loop().call_later(SENT_S, _checked, self._task, about, said)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _read(engine: Engine, task: Task, asked: Question, about: Place, seed: int = 0) -> _Said:
    """Read until what will be shown is complete; leaving the stream cancels the rest. Without a seed, the likeliest."""
    answer, n_pieces = "", 0
    usage = Usage(0, None, 0, None, 0.0)
    ahead = _Ahead(task)
    async with aclosing(engine.generate(_request(task, asked, seed))) as items:
        async for item in items:
            if isinstance(item, Usage):
                usage = item
                continue
            about = _within(task, about)
            ahead.stop()
            answer += item.text
            n_pieces += 1
            usage = replace(usage, completion_tokens=max(n_pieces, usage.completion_tokens), engine_ms=item.at_ms)
            so_far = resume(answer, asked.typed)
            if so_far.kind == RESUMED:
                code = _code(task, so_far.text)
                task.heard(code)
                ahead.judge(about, code)
            if so_far.kind == REFUSED or (so_far.kind == RESUMED and enough(about, code)):
                break
    ahead.stop()
    resumed = resume(answer, asked.typed)
    return _Said(_code(task, resumed.text) if resumed.kind == RESUMED else None, usage)


def _code(task: Task, answer: str) -> str:
    """Models that were trained to chat may put code in a Markdown block."""
    return answer if task.document.language_id == "markdown" else unfenced(answer)


def _request(task: Task, asked: Question, seed: int) -> Request:
    most = task.max_tokens + (HEAL_TOKENS if asked.typed else 0)
    temperature = OTHERS_TEMPERATURE if seed else 0.0
    typed = StartsWith(asked.typed) if asked.typed else None
    return Request(asked.prompt, most, task.priority, task.latest_of, temperature, seed, grammar=typed)


def _within(task: Task, about: Place) -> Place:
    """In a comment or a string one line is enough, whatever opens a block there. Parsed while the engine is waited for:
    in a half-typed text that takes milliseconds."""
    is_prose = about.block and task.hole is not None and inside(task.hole()) != "code"
    return replace(about, kind="line") if is_prose else about


def _checked(task: Task, about: Place, said: _Said) -> Filled | Nothing:
    trimmed = finish(_within(task, about), said.answer or "")
    if not trimmed.text:
        return Nothing(trimmed.reason, said.usage)
    document = task.document
    text = trimmed.text
    if "\n" in text:  # indentation and line ends are read off the whole file
        text = restyled(text, unit_of(document.text)).replace("\n", line_end(document.text))
    hole = task.hole() if task.hole else around(document.language_id, document.text, task.start, task.end)
    kept = sound(hole, text)
    if not kept:
        return Nothing("the suggestion would add a syntax error", said.usage)
    return Filled(kept, said.usage)
