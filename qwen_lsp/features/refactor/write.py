"""One file's edit blocks: asked for, applied, and those that did not fit asked for again. Knows no plan."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from qwen_lsp.context.pack import estimate
from qwen_lsp.context.rank import shown_text
from qwen_lsp.engine.client import Engine, Request, Usage
from qwen_lsp.engine.grammars import EditBlocks
from qwen_lsp.features.refactor import wording
from qwen_lsp.features.refactor.ask import ask, plus
from qwen_lsp.features.refactor.excerpt import excerpt
from qwen_lsp.features.refactor.values import NO_USAGE
from qwen_lsp.post.answers import DIVIDE, REPLACE, SEARCH, Failure, parse
from qwen_lsp.post.blocks import Target, applied
from qwen_lsp.prompt.layouts.chat import chat
from qwen_lsp.text.secrets import masked

MAX_ROUNDS = 3  # a model that has failed that often fails on
FILE_TOKENS = 8_000  # of a file in a prompt; a longer one is shown by its symbols
LEAST_ANSWER_TOKENS = 512
MOST_ANSWER_TOKENS = 8_192
CREATED_TOKENS = 4_096
MAX_BLOCKS = 24  # in one answer


@dataclass(frozen=True, slots=True)
class Job:
    """A file and what is to happen to it. `text` None: it is to be made. `trouble`: what was wrong before, in words."""

    path: str
    text: str | None = field(repr=False)
    language_id: str
    names: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    trouble: str = ""
    instruction: str = ""  # what of a long file it says by name is shown


@dataclass(frozen=True, slots=True)
class Written:
    """The file's new text, None where the model wrote none that fits; what did not fit in the end; what it cost."""

    text: str | None = field(repr=False)
    failures: tuple[Failure, ...]
    usage: Usage
    n_rounds: int


async def write(job: Job, about: str, so_far: str, engine: Engine, n_ctx: int | None = None) -> Written:
    """`about` and `so_far` are what the prompt has before the file. Raises EngineError."""
    text, trouble, usage = job.text, job.trouble, NO_USAGE
    failures: tuple[Failure, ...] = ()
    for number in range(1, MAX_ROUNDS + 1):
        request, target = request_for(job, text, trouble, about, so_far, n_ctx)
        said = await ask(engine, request)
        usage = plus(usage, said.usage)
        blocks, unread = parse(said.text, job.path)
        creates = (job.path,) if target is None else ()
        found = applied(blocks, {} if target is None else {job.path: target}, creates)
        text = found.texts.get(job.path, text)
        failures = (*unread, *found.failures)
        if not failures:
            return Written(text, (), usage, number)
        trouble = job.trouble + wording.failed(failures)
    return Written(text, failures, usage, MAX_ROUNDS)


def request_for(
    job: Job, text: str | None, trouble: str, about: str, so_far: str, n_ctx: int | None
) -> tuple[Request, Target | None]:
    """What is asked next, and the file that the answer is for."""
    budget = FILE_TOKENS if n_ctx is None else min(FILE_TOKENS, max(n_ctx // 3, 256))
    if text is None:
        turns = wording.edit_turns(about, so_far, wording.to_create(job.path, trouble))
        limit = CREATED_TOKENS if n_ctx is None else min(CREATED_TOKENS, n_ctx // 3)
        prompt = chat(turns, stop_controls=("<tool_call>",))
        return Request(prompt, limit, "refactor", grammar=EditBlocks({}, 1, (job.path,))), None
    span = job.span if text == job.text else None  # later its offsets count no more
    shown = excerpt(job.language_id, text, job.names, (span,) if span else (), budget, job.instruction)
    selected = masked(text)[slice(*span)] if span else ""
    note = "Only these parts of the file are shown; only they can be changed.\n" if shown.lines else ""
    turns = wording.edit_turns(
        about, so_far, wording.to_change(wording.Shown(job.path, shown.text, note), selected, trouble)
    )
    limit = min(MOST_ANSWER_TOKENS, LEAST_ANSWER_TOKENS + 2 * estimate(shown.text))
    limit = limit if n_ctx is None else min(limit, max(n_ctx // 3, 64))
    files, creates = ({job.path: shown.searchable}, ()) if shown.searchable.strip() else ({}, (job.path,))
    return (
        Request(
            chat(turns, stop_controls=("<tool_call>",)),
            limit,
            "refactor",
            prediction=_prediction(job.path, shown.searchable, selected),
            grammar=EditBlocks(files, MAX_BLOCKS, creates),
        ),
        Target(text, shown.lines),
    )


def _prediction(path: str, searchable: str, selected: str) -> str:
    """A block that changes nothing around the place that is meant, then the file: drafts come from both."""
    lines = shown_text(selected)
    lines = lines if lines.endswith("\n") or not lines else lines + "\n"
    head = f"{path}\n{SEARCH}\n{lines}{DIVIDE}\n{lines}{REPLACE}\n"
    return head + shown_text(searchable)


def told(failures: Sequence[Failure]) -> str:
    """The reasons, for people: they quote nothing of the file."""
    return "; ".join(dict.fromkeys(failure.reason for failure in failures))
