"""`qwen-lsp eval`: cut holes from a repository's past, ask them in several ways, write what that says.

A stopped run goes on; the same seed asks the same holes. The repository is only read: trees are laid out in a folder
of the run's own, beside a window that typing is replayed in.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qwen_lsp import __version__, private
from qwen_lsp.engine.client import Engine
from qwen_lsp.errors import NotDone
from qwen_lsp.eval import llama_server, refactoring
from qwen_lsp.eval.ask import Asked
from qwen_lsp.eval.checks import check_for
from qwen_lsp.eval.earlier import compared
from qwen_lsp.eval.facts import Facts, facts
from qwen_lsp.eval.history import PARTIAL, Change, Commit, Repository
from qwen_lsp.eval.holes import Hole
from qwen_lsp.eval.judged import judge
from qwen_lsp.eval.llama_server import LlamaServer
from qwen_lsp.eval.plan import Plan
from qwen_lsp.eval.progress import Tell
from qwen_lsp.eval.refactors import totals
from qwen_lsp.eval.replay import Typing, read_typing, trace
from qwen_lsp.eval.report import Found, page
from qwen_lsp.eval.results import Results, Variant
from qwen_lsp.eval.sample import sample
from qwen_lsp.eval.scratch import scratch
from qwen_lsp.eval.summary import summary
from qwen_lsp.eval.trees import Questions, ask_all
from qwen_lsp.eval.typed import replayed
from qwen_lsp.index.scan import why
from qwen_lsp.settings import KEYS, Settings

PAGE, FIGURES, TYPED = "report.html", "figures.json", "typing.json"
ON_SERVER = Variant("llama.vim on llama-server", is_baseline=True)
ITS_PROMPT = Variant("llama.vim's prompt", is_baseline=True)
SMALL_BYTES = 256 << 20  # of a model: two threads would only wait for each other; our engine takes one there, too
NOT_INSTALLED = (
    "llama-server is not installed here (pip install 'qwen-lsp[bench]'): what llama.vim sends was asked of this engine"
)
DEMONSTRATOR = (
    "the embedded model is a demonstrator of a few million parameters: low scores are to be expected, and a larger "
    "model (qwen-lsp setup brings one) may want other settings"
)
# What makes answers others: a run that is gone on with has the same.
ANSWERING = ("ctx", "completion.layout", "completion.max_tokens", "completion.comments", "completion.strings")
NO_FILE = "there is no .gguf of this model here for llama-server: what llama.vim sends was asked of this engine"


async def run(plan: Plan, engine: Engine, tell: Tell) -> Found:
    """Ask all holes that are not answered yet, then write report and figures. Raises NotDone or EngineError."""
    repository = Repository(plan.repository)
    tell(0, 0, "cutting holes")
    holes = sample(repository, plan.holes, plan.seed, plan.since, plan.kinds, _admitted(repository))
    if not holes:
        raise NotDone(_why_none(repository, plan))
    check = None if plan.tests is None else check_for(repository.top, plan.settings, plan.tests)
    await engine.start()
    known = await facts(plan.settings, engine.state.model)
    baseline, of_baseline = _baseline(plan, known)
    chosen = replace(plan, variants=(*plan.variants, *baseline), released=plan.released or known.released)
    about = _about(chosen, engine, repository, holes, known)
    with Results(plan.out, about) as results, scratch() as folder:
        left_out = await _ask(chosen, engine, repository, holes, results, (folder, known, tell))
        if check is not None:
            tell(0, 0, "running the repository's own tests")
            await judge(holes, results, repository, folder, check)
        typed, of_typing = await _typed(chosen, repository, about, folder, tell)
        rows = await refactoring.ask(plan, repository, engine, check, folder, tell) if plan.refactors else None
        answers = list(results.answers.values())
    if not any(answer.prompt for answer in answers):
        raise NotDone(f"the engine refuses every question: {answers[0].reason}")
    told = summary(answers, chosen.variants, chosen.released, plan.seed)
    against = compared(plan.against, about, answers, chosen.variants, plan.seed) if plan.against else None
    refactors = None if rows is None else totals(rows, plan.seed)
    of_model = DEMONSTRATOR if engine.state.model == "embedded" else ""
    notes = tuple(filter(None, (of_model, of_baseline, *left_out, of_typing)))
    report = Found(about, chosen.variants, told, typed, against, refactors, notes)
    private.write(plan.out / PAGE, page(report, answers))
    private.write(plan.out / FIGURES, json.dumps(figures(report), indent=1) + "\n")
    return report


def figures(found: Found) -> dict[str, Any]:
    """All that the page tells but for the texts."""
    values = asdict(found)
    del values["variants"]  # `about` names them
    return values


async def _ask(
    plan: Plan,
    engine: Engine,
    repository: Repository,
    holes: Sequence[Hole],
    results: Results,
    place: tuple[Path, Facts, Tell],
) -> list[str]:
    """With llama-server beside the engine for as long as it is asked. Returns what was left out, and why."""
    folder, known, tell = place
    async with AsyncExitStack() as stack:
        server = None
        if ON_SERVER in plan.variants and len(results.answers) < len(holes) * len(plan.variants):
            assert known.gguf is not None
            tell(0, 0, "starting llama-server")
            threads = 1 if known.gguf.stat().st_size < SMALL_BYTES else None
            server = await LlamaServer.start(known.gguf, folder, threads)
            stack.callback(server.stop)
        questions = Questions(holes, plan.variants, Asked(engine, server, plan.seed), plan.settings)
        left_out = await ask_all(questions, repository, results, folder, tell)
    told = [f"{n:,} of the holes were not asked: {reason}" for reason, n in left_out.items()]
    if not results.answers:
        raise NotDone(told[0])
    return told


async def _typed(
    plan: Plan, repository: Repository, about: dict[str, Any], folder: Path, tell: Tell
) -> tuple[Typing | None, str]:
    """From the file of an earlier part of this run where it is there; where nothing was typed, why."""
    path = plan.out / TYPED
    kept = read_typing(path, about)
    if kept is not None or not plan.keys:
        return kept, ""
    played = trace(repository, plan.keys, plan.seed, plan.since, _admitted(repository))
    if played is None:
        return None, f"no commit has at most {plan.keys:,} keys to replay: typing was not replayed"
    first, n_keys = plan.variants[0], played.n_keys
    try:
        found = await replayed(
            repository, played, plan.settings, first, folder, lambda n: tell(0, 0, f"typing, {n:,} of {n_keys:,} keys")
        )
    except NotDone as error:  # the answers are there: the page comes all the same
        return None, f"typing was not replayed: {error.message}"
    private.write(path, json.dumps({"about": about, "typing": asdict(found)}, indent=1) + "\n")
    return found, ""


def _baseline(plan: Plan, known: Facts) -> tuple[tuple[Variant, ...], str]:
    """Whom the baseline is asked of, and what is to be said about that."""
    if not plan.baseline:
        return (), ""
    if not llama_server.is_installed():
        return (ITS_PROMPT,), NOT_INSTALLED
    if known.gguf is None:
        return (ITS_PROMPT,), NO_FILE
    return (ON_SERVER,), ""


def _admitted(repository: Repository) -> Callable[[Commit, Change], bool]:
    """What the repository's own ignore rules leave out is not asked about either."""

    def admitted(commit: Commit, change: Change) -> bool:
        skipped = why(repository.top, repository.top / change.path)
        return skipped is None or skipped.reason == "unreadable"  # it may be gone by now

    return admitted


def _why_none(repository: Repository, plan: Plan) -> str:
    newer = f" newer than {plan.since!r}" if plan.since else ""
    if repository.commits(plan.since, 1):
        if repository.is_partial:
            return PARTIAL
        return f"no commit{newer} has a place to cut a hole of kind {' or '.join(plan.kinds)} from"
    if repository.is_shallow:
        return f"there is no commit{newer} here: the clone is shallow, git fetch --unshallow brings its past"
    return f"there is no commit{newer} to cut holes from: one with a parent is needed, and merges do not count"


def _about(plan: Plan, engine: Engine, repository: Repository, holes: Sequence[Hole], known: Facts) -> dict[str, Any]:
    """What makes a run this one and no other."""
    day = "%Y-%m-%d"
    return {
        "repository": repository.name,
        "newest": max(hole.id for hole in holes if hole.time == max(each.time for each in holes)),
        "holes": len(holes),
        "commits": len({hole.commit for hole in holes}),
        "from": time.strftime(day, time.gmtime(min(hole.time for hole in holes))),
        "to": time.strftime(day, time.gmtime(max(hole.time for hole in holes))),
        "engine": _engine(plan.settings, known),
        "model": engine.state.model,
        "released": None if plan.released is None else time.strftime(day, time.gmtime(plan.released)),
        "released_by": "the option --released" if plan.released != known.released else known.source,
        "settings": {key: getattr(plan.settings, KEYS[key].field) for key in ANSWERING},
        "seed": plan.seed,
        "keys": plan.keys,
        "version": __version__,
        "variants": [each.name for each in plan.variants],
    }


def _engine(settings: Settings, known: Facts) -> str:
    if settings.engine == "openai":
        return f"openai at {settings.remote_url}"
    return known.engine if settings.engine == "auto" else settings.engine
