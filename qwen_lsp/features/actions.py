"""Code actions: offered without the model, carried out with it. No LSP, no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from qwen_lsp.context.rank import excluded
from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.features.fill import Nothing, Task, fill
from qwen_lsp.features.stubs import stub_at
from qwen_lsp.features.wishes import Problem, Wish, wishes
from qwen_lsp.text.document import Document
from qwen_lsp.text.edits import EditSet, FileEdit
from qwen_lsp.text.lines import line_end
from qwen_lsp.text.snapshot import Snapshot

__all__ = ["Action", "Done", "Nothing", "carry_out", "offer"]

ACTION_TOKENS = 256  # a function of some thirty lines
ACTION_LINES = 60
MAX_SELECTED_CHARS = 8_000  # more than the answer could ever replace


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do with `start` to `end` of one version of a file. `disabled`: why it can not be done."""

    kind: str
    title: str
    id: str
    uri: str
    version: int
    start: int
    end: int
    disabled: str | None = None
    instruction: str = ""  # carried out by a refactor
    across: bool = False  # in which other files may change
    cut: tuple[int, int] | None = None  # the comment that asked
    explains: bool = False  # words come of it, no edit
    problem: int | None = None  # which of the problems it fixes


@dataclass(frozen=True, slots=True)
class Done:
    """What an action does, and what it cost."""

    edits: EditSet
    usage: Usage


def offer(snapshot: Snapshot, uri: str, start: int, end: int, problems: Sequence[Problem] = ()) -> tuple[Action, ...]:
    """What could be done at this cursor or selection. Quick: no model is asked."""
    document = snapshot.documents.get(uri)
    if document is None:
        return ()
    start, end = sorted((_within(document, start), _within(document, end)))
    reason = excluded(document)
    found: list[Action] = []
    stub = stub_at(document.language_id, document.text, start, end) if reason is None else None
    if stub is not None:
        found.append(_action(document, "fill", f"Qwen: fill in {stub.name}", stub.start, stub.end, None))
    if document.text[start:end].strip():
        first, last = _whole_lines(document.text, start, end)
        found.append(
            _action(document, "rewrite", "Qwen: rewrite the selected lines", first, last, _bar(reason, last - first))
        )
    return (*found, *(_wished(document, wish, reason) for wish in wishes(document, start, end, problems)))


def _bar(reason: str | None, n_chars: int) -> str | None:
    """Why a selection can not be rewritten."""
    if reason is None and n_chars > MAX_SELECTED_CHARS:
        return f"the selection is too long ({n_chars:,} characters; the limit is {MAX_SELECTED_CHARS:,})"
    return reason


def _wished(document: Document, wish: Wish, disabled: str | None) -> Action:
    name = f"{wish.what}:{document.version}:{wish.start}:{wish.end}"
    asked = wish.instruction, wish.across, wish.cut
    place = document.uri, document.version, wish.start, wish.end
    return Action(
        wish.kind, wish.title, name, *place, disabled, *asked, explains=not wish.instruction, problem=wish.problem
    )


async def carry_out(snapshot: Snapshot, action: Action, engine: Engine) -> Done | Nothing:
    """The edit that does it, in the version that it was offered for. Raises EngineError."""
    document = snapshot.documents.get(action.uri)
    if document is None or document.version != action.version:
        return Nothing("the file changed since the action was offered")
    if action.disabled is not None:
        return Nothing(action.disabled)
    tail = _tail(document, action)
    task = Task(document, action.start, action.end, ACTION_TOKENS, "action", ACTION_LINES, tail)
    filled = await fill(snapshot, task, engine)
    if isinstance(filled, Nothing):
        return filled
    text = filled.text + (tail if "\n" in filled.text else "")
    if text == document.text[action.start : action.end]:
        return Nothing("the model would leave it as it is", filled.usage)
    edit = FileEdit(action.uri, action.version, action.start, action.end, text)
    return Done(EditSet((edit,)), filled.usage)


def _action(document: Document, what: str, title: str, start: int, end: int, disabled: str | None) -> Action:
    name = f"{what}:{document.version}:{start}:{end}"
    return Action("refactor.rewrite", title, name, document.uri, document.version, start, end, disabled)


def _within(document: Document, offset: int) -> int:
    return min(max(offset, 0), len(document.text))


def _whole_lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The selection's lines without the first one's indentation and the last one's line end."""
    if text[end - 1] in "\r\n":  # a selection of whole lines ends at the start of the next one
        end = start + len(text[start:end].rstrip())
    first = max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1
    line_ends = [place for place in (text.find("\r", end), text.find("\n", end)) if place >= 0]
    last = min(line_ends, default=len(text))
    lines = text[first:last]
    return first + len(lines) - len(lines.lstrip()), last


def _tail(document: Document, action: Action) -> str:
    """Braces on one line: a body of several lines puts the closing one on a line of its own."""
    if document.text[action.end : action.end + 1] != "}" or not action.id.startswith("fill:"):
        return ""
    line = document.text[document.text.rfind("\n", 0, action.start) + 1 : action.start]
    return line_end(document.text) + line[: len(line) - len(line.lstrip())]
