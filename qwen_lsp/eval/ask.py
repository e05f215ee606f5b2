"""One hole asked in one way, as an editor that had the commit's earlier changes typed would ask. No LSP.

Holes of a commit are questions of one window: what the prompt of the hole before shows stays, and grows, as it does
while somebody works. So the engine reads a long context once for a commit. What a variant turns off is really off:
without the log the earlier changes are not there at all, and each hole is a window's first; without context no other
file is. Answers of the baseline go through the same trimming and the same gate as ours. A prompt that is longer than
the engine's context is no answer, with that reason.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from qwen_lsp.engine.client import Engine, Request, Usage
from qwen_lsp.errors import EngineBusy, EngineLoading, EngineRefused
from qwen_lsp.eval import llama_vim
from qwen_lsp.eval.holes import Hole
from qwen_lsp.eval.llama_server import LlamaServer
from qwen_lsp.eval.results import Answer, Variant
from qwen_lsp.eval.retrieval import Tree, retrieved
from qwen_lsp.eval.score import score
from qwen_lsp.features.complete import Manner, Nothing, complete
from qwen_lsp.features.ledger import compacted, grown, is_possible, shortage, turned
from qwen_lsp.features.refactor.ask import ask as whole_answer
from qwen_lsp.index.languages import language_of
from qwen_lsp.post.completion import finish, place
from qwen_lsp.post.syntax import around, faults, sound
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.snapshot import Snapshot

BLOCK_TOKENS = 256  # of an answer where more than a line was taken out
ASKED = Manner(priority="action")
_CLOSING = ("}", ")", "]", "end")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked: the engine, and for the baseline llama-server where there is one."""

    engine: Engine
    server: LlamaServer | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A hole as it is asked in one way. `ledger`: None where the baseline asks, or the file may not be shown."""

    hole: Hole
    variant: Variant
    cursor: Cursor
    now: Snapshot = field(repr=False)
    ledger: Ledger | None = field(repr=False)


def question(hole: Hole, variant: Variant, tree: Tree, settings: Settings, last: Question | None = None) -> Question:
    """`last`: the one before it in the same way."""
    wanted = _wanted(settings, variant, settings.completion_max_tokens if hole.kind == "line" else BLOCK_TOKENS)
    before, now = _snapshots(hole, variant, tree.root, wanted)
    cursor = Cursor(now.documents[_uri(tree.root, hole.path)], hole.offset)
    if variant.is_baseline:
        return Question(hole, variant, cursor, now, None)
    old = last.ledger if last is not None and _goes_on(last, hole) else None
    return Question(hole, variant, cursor, now, _ledger(hole, before, now, cursor, tree, old))


def lacking(settings: Settings, variant: Variant) -> str | None:
    """Why a question in this way would hold less than it says; None where it does not."""
    return None if variant.is_baseline else shortage(_wanted(settings, variant, BLOCK_TOKENS))


def _wanted(settings: Settings, variant: Variant, max_tokens: int) -> Settings:
    return replace(
        settings,
        completion_context_tokens=variant.context_tokens,
        completion_layout=variant.layout or settings.completion_layout,
        completion_max_tokens=max_tokens,
    )


def depends(variant: Variant) -> bool:
    """Whether a question in this way depends on the one before it."""
    return variant.log and not variant.is_baseline


async def ask(question: Question, asked: Asked) -> Answer:
    """The answer with its score. Raises EngineError where there is no answer at all."""
    begun = time.perf_counter()
    try:
        said, reason, usage = await _said(question, asked)
    except EngineRefused as refused:
        said, reason, usage = "", refused.message, None
    return _scored(question.hole, question.variant, said, reason, usage, (time.perf_counter() - begun) * 1000)


async def _said(of: Question, asked: Asked) -> tuple[str, str, Usage | None]:
    """The text, or why there is none, and what it cost."""
    if of.variant.is_baseline:
        return await _baseline(of.hole, of.cursor, asked, of.now.settings)
    found = await complete(of.now, of.cursor, asked.engine, of.ledger, ASKED)
    return ("", found.reason, found.usage) if isinstance(found, Nothing) else (found.text, "", found.usage)


def _goes_on(last: Question, hole: Hole) -> bool:
    """Whether the window of the last question is the one that asks now: later in the same commit, nothing unwritten.

    What an editor closed behind a block is not there yet for a hole inside of it, so that window is not this one.
    """
    if not depends(last.variant) or last.hole.commit != hole.commit:
        return False
    if last.hole.kind == "block" and last.hole.after.lstrip().startswith(_CLOSING):
        return False
    return last.hole.path == hole.path or last.variant.context_tokens > 0


def _snapshots(hole: Hole, variant: Variant, root: Path, settings: Settings) -> tuple[Snapshot, Snapshot]:
    """The open files before the commit's changes, and now. Without the log nothing but the hole's file was opened.

    A file that the commit adds was opened as it is: there is no edit to tell.
    """
    is_told = variant.log and not variant.is_baseline
    earlier = hole.earlier if is_told else ()
    opened = hole.opened if is_told and hole.opened else hole.text
    then = {each.path: each.before for each in earlier if each.before} | {hole.path: opened}
    now = {each.path: each.after for each in earlier} | {hole.path: hole.text}
    return _snapshot(then, hole, root, settings), _snapshot(now, hole, root, settings)


def _snapshot(texts: Mapping[str, str], hole: Hole, root: Path, settings: Settings) -> Snapshot:
    documents = {_uri(root, path): _document(root, path, text) for path, text in texts.items()}
    here = _uri(root, hole.path)
    recent = (here, *(uri for uri in reversed(documents) if uri != here))
    return Snapshot(documents, recent, (root,), settings)


def _document(root: Path, path: str, text: str) -> Document:
    language = language_of(path)
    return Document(_uri(root, path), language.name if language else "plaintext", 1, text)


def _uri(root: Path, path: str) -> str:
    return (root / path).as_uri()


def _ledger(
    hole: Hole, before: Snapshot, now: Snapshot, cursor: Cursor, tree: Tree, old: Ledger | None
) -> Ledger | None:
    """The old one, grown to here; else a base from before the commit, and the commit's earlier changes in the log."""
    if not is_possible(now, cursor):
        return None
    found = retrieved(now, cursor, tree) if now.settings.completion_context_tokens else ()
    if old is not None:
        return grown(old, now, cursor, found)
    opened = before.documents[cursor.document.uri]
    base = compacted(before, Cursor(opened, max(0, len(opened.text) - len(hole.after))), found)
    return turned(base, now, cursor, found)


async def _baseline(hole: Hole, cursor: Cursor, asked: Asked, settings: Settings) -> tuple[str, str, Usage]:
    recent = [(each.path, each.after) for each in hole.earlier]
    if asked.server is not None:
        text, usage = await asked.server.infill(llama_vim.body(hole.before, hole.after, recent, asked.seed))
    else:
        prompt = llama_vim.prompt(hole.path, hole.before, hole.after, recent)
        answer = await whole_answer(asked.engine, Request(prompt, settings.completion_max_tokens, "action"))
        text, usage = answer.text, answer.usage
    trimmed = finish(place(hole.before, hole.after), text)
    if not trimmed.text:
        return "", trimmed.reason, usage
    document = cursor.document
    kept = sound(around(document.language_id, document.text, cursor.offset, cursor.offset), trimmed.text)
    return kept, "" if kept else "the suggestion would add a syntax error", usage


def _scored(hole: Hole, variant: Variant, said: str, reason: str, usage: Usage | None, ms: float) -> Answer:
    language = language_of(hole.path)
    name = language.name if language else "plaintext"
    parses = not said or faults(name, hole.before + said + hole.after) <= faults(name, hole.text)
    found = score(said, hole.answer, parses=parses)
    return Answer(
        hole=hole.id,
        kind=hole.kind,
        path=hole.path,
        time=hole.time,
        variant=variant.name,
        line=hole.before.rpartition("\n")[2],
        wanted=hole.answer,
        said=said,
        reason=reason,
        exact=found.exact,
        similarity=round(found.similarity, 4),
        first_line=found.first_line,
        parses=found.parses,
        ms=round(ms, 1),
        prompt=usage.prompt_tokens if usage else 0,
        cached=usage.cached_tokens if usage else None,
        evaluated=usage.evaluated_tokens if usage else None,
    )


def is_passing(error: Exception) -> bool:
    """Whether the same question may be answered a moment later."""
    return isinstance(error, EngineBusy | EngineLoading)
