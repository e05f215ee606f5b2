"""refactor(): an instruction becomes one EditSet that passed every rule, or the reason why there is none.

plan -> each file's edit blocks -> rules, once more where one is broken -> the project's checks, a bounded number of
rounds -> EditSet. Writes nothing. Cancelling leaves nothing behind: all is values until the end.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.features.fill import Nothing
from qwen_lsp.features.refactor import wording
from qwen_lsp.features.refactor.ask import plus
from qwen_lsp.features.refactor.plan import planned
from qwen_lsp.features.refactor.rules import violations
from qwen_lsp.features.refactor.values import (
    Asked,
    FileChange,
    Plan,
    Progress,
    Refactored,
    Verdict,
    Verify,
    Violation,
    new_texts,
    silent,
)
from qwen_lsp.features.refactor.workspace import Refused, Source, Workspace
from qwen_lsp.features.refactor.write import Job, told, write
from qwen_lsp.text.diff import changes
from qwen_lsp.text.edits import Create, EditSet, FileEdit, Rename

RULE_ROUNDS = 1  # a broken rule is told once, then shown
MOST_TOLD = 5  # violations and findings in one reason
NO_FILE = "the model names no file that should change: say which symbol or file you mean"


async def refactor(
    asked: Asked,
    workspace: Workspace,
    engine: Engine,
    verify: Verify | None = None,
    progress: Progress = silent,
    n_ctx: int | None = None,
) -> Refactored | Nothing:
    """`verify`: run the project's checks on new texts. `n_ctx`: the engine's context in tokens. Raises EngineError."""
    progress("looking for the files that change")
    plan, usage = await planned(asked, workspace, engine)
    if not plan.paths:
        return Nothing(f"no file may change for that: {plan.leaves}" if plan.leaves else NO_FILE, usage)
    n_read = len({*plan.changes, *plan.renames, *plan.deletes})
    progress(f"reading {n_read} file{'s' if n_read != 1 else ''}")
    sources = await asyncio.to_thread(_sources, plan, asked, workspace)
    if isinstance(sources, Refused):
        return Nothing(f"{sources.path}: {sources.reason}", usage)
    state = _State(asked, plan, workspace, sources, usage, _cut(sources, asked))
    failure = await _write_all(state, engine, progress, n_ctx, dict.fromkeys((*plan.changes, *plan.creates), ""))
    broken = () if failure else await _broken(state)
    for _ in range(RULE_ROUNDS if broken else 0):
        failure = await _write_all(state, engine, progress, n_ctx, _by_path(state, broken))
        broken = () if failure else await _broken(state)
    if failure or broken:
        return Nothing(failure or "; ".join(each.message for each in broken[:MOST_TOLD]), state.usage)
    verdict = None if verify is None else await _checked(state, verify, engine, progress, n_ctx)
    if isinstance(verdict, str):
        return Nothing(verdict, state.usage)
    return _result(state, verdict)


@dataclass(slots=True)
class _State:
    """One run. `texts`: what the files that change hold by now, under their old names; new files as well."""

    asked: Asked
    plan: Plan
    workspace: Workspace
    sources: Mapping[str, Source]
    usage: Usage
    texts: dict[str, str]
    n_rounds: int = 0

    def changes(self) -> tuple[FileChange, ...]:
        """What is different now, by the plan's order."""
        found = []
        for path, source in self.sources.items():
            new = self.plan.renames.get(path, path)
            after = None if path in self.plan.deletes else self.texts.get(path, source.text)
            if after != source.text or new != path:
                found.append(FileChange(new, path, source.text, after))
        found += [FileChange(path, path, None, self.texts[path]) for path in self.plan.creates if path in self.texts]
        return tuple(found)


def _sources(plan: Plan, asked: Asked, workspace: Workspace) -> dict[str, Source] | Refused:
    """Every file that is there and changes; the one that holds the comment that asked is always among them."""
    own = (asked.path,) if asked.cut is not None else ()
    found: dict[str, Source] = {}
    for path in dict.fromkeys((*plan.changes, *plan.renames, *plan.deletes, *own)):
        source = workspace.source(path)
        if isinstance(source, Refused):
            return source
        found[path] = source
    return found


def _cut(sources: Mapping[str, Source], asked: Asked) -> dict[str, str]:
    """The text without the comment that asked."""
    if asked.cut is None:
        return {}
    text, (start, end) = sources[asked.path].text, asked.cut
    return {asked.path: text[:start] + text[end:]}


def _span(asked: Asked, path: str) -> tuple[int, int] | None:
    """The place that is meant, in the text after the cut."""
    if path != asked.path or asked.start == asked.end:
        return None
    if asked.cut is None or asked.end <= asked.cut[0]:
        return asked.start, asked.end
    gone = asked.cut[1] - asked.cut[0]
    return (asked.start - gone, asked.end - gone) if asked.start >= asked.cut[1] else None


async def _write_all(
    state: _State, engine: Engine, progress: Progress, n_ctx: int | None, troubles: Mapping[str, str]
) -> str:
    """Have each file of `troubles` written, with what was wrong with it before; the reason where one can not be."""
    about = wording.task(state.asked.instruction, state.plan)
    state.n_rounds += 1
    for number, (path, trouble) in enumerate(troubles.items(), 1):
        progress(f"writing {path} ({number} of {len(troubles)})")
        source = state.sources.get(path)
        text = state.texts.get(path, source.text if source is not None else None)
        before = {each.old_path: each.before for each in state.changes() if each.path != path}
        after = {each.old_path: each.after for each in state.changes() if each.path != path}
        language_id = source.language_id if source is not None else "plaintext"
        names = state.plan.changes.get(path, ())
        span, instruction = _span(state.asked, path), state.asked.instruction
        job = Job(path, text, language_id, names, span, trouble, instruction)
        written = await write(job, about, wording.diff(before, after), engine, n_ctx)
        state.usage = plus(state.usage, written.usage)
        if written.failures:
            return f"{path}: {told(written.failures)}"
        if written.text is not None:
            state.texts[path] = written.text
    return ""


async def _broken(state: _State) -> tuple[Violation, ...]:
    """The rules that the change breaks. Parses and reads: elsewhere."""
    found = state.changes()
    if not found:
        return (Violation("block", "", "the model would leave everything as it is"),)
    return await asyncio.to_thread(_violations, state, found)


def _violations(state: _State, found: tuple[FileChange, ...]) -> tuple[Violation, ...]:
    def text_of(path: str) -> str | None:
        source = state.workspace.source(path)
        return None if isinstance(source, Refused) else source.text

    asked = state.asked
    if asked.scope is not None and asked.cut is not None:
        asked = replace(asked, scope=(*asked.scope, asked.path))
    plan = replace(state.plan, changes={**state.plan.changes, **dict.fromkeys(state.sources, ())})
    opened = state.workspace.index()
    if opened is None:
        return violations(asked, plan, found, None, text_of)
    with opened as located:
        return violations(asked, plan, found, located.symbols, text_of)


def _by_path(state: _State, broken: tuple[Violation, ...]) -> dict[str, str]:
    """What to tell about each file that is to be written again."""
    writable = (*state.plan.changes, *state.plan.creates)
    found: dict[str, list[str]] = {}
    for each in broken:
        for path in (each.path,) if each.path in writable else writable:
            found.setdefault(path, []).append(each.message)
    return {path: wording.found(messages) for path, messages in found.items()}


async def _checked(
    state: _State, verify: Verify, engine: Engine, progress: Progress, n_ctx: int | None
) -> Verdict | str:
    """The last verdict; a reason where mending broke a rule. New findings go back to the files that they are in.

    Those of tests, and those that mending there left standing, go to all files: what is wrong may be in any.
    """
    told: set[str] = set()
    progress("checking, round 1")
    verdict = await verify(new_texts(state.changes()))
    for number in range(state.asked.rounds):
        if verdict.reason or not verdict.new:
            break
        progress(f"mending {len(verdict.new)} new finding{'s' if len(verdict.new) > 1 else ''} (round {number + 1})")
        far = {each.shown() for each in verdict.new if each.is_test or each.shown() in told}
        told |= {each.shown() for each in verdict.new}
        messages = [Violation("block", "" if each.shown() in far else each.path, each.shown()) for each in verdict.new]
        failure = await _write_all(state, engine, progress, n_ctx, _by_path(state, tuple(messages)))
        broken = () if failure else await _broken(state)
        if failure or broken:
            return failure or "; ".join(each.message for each in broken[:MOST_TOLD])
        progress(f"checking, round {number + 2}")
        verdict = await verify(new_texts(state.changes()))
    return verdict


def _result(state: _State, verdict: Verdict | None) -> Refactored:
    found = state.changes()
    return Refactored(
        _edit_set(state, found),
        found,
        state.usage,
        state.plan,
        passed=() if verdict is None else verdict.passed,
        failing=() if verdict is None else verdict.failing,
        findings=() if verdict is None else tuple(finding.shown() for finding in verdict.new),
        unchecked="" if verdict is None else verdict.reason,
        risks=_risks(found, verdict),
        n_rounds=state.n_rounds,
    )


def _risks(found: tuple[FileChange, ...], verdict: Verdict | None) -> tuple[str, ...]:
    risks = [f"{len(found)} files change"] if len(found) > 1 else []
    risks += [f"deletes {each.old_path}" for each in found if each.after is None]
    risks += [f"renames {each.old_path}" for each in found if each.path != each.old_path]
    risks += [f"creates {each.path}" for each in found if each.before is None]
    n_new = len(verdict.new) if verdict is not None else 0
    risks += [f"{n_new} new finding{'s' if n_new > 1 else ''} of checks"] if n_new else []
    return tuple(risks)


def _edit_set(state: _State, found: tuple[FileChange, ...]) -> EditSet:
    """The smallest differences, in the versions that were read."""
    edits: list[FileEdit] = []
    digests: dict[str, str] = {}
    renames, creates, deletes = [], [], []
    for each in found:
        if each.before is None:
            creates.append(Create(state.workspace.uri(each.path), each.after or ""))
            continue
        source = state.sources[each.old_path]
        if source.version is None:
            digests[source.uri] = source.digest
        if each.after is None:
            deletes.append(source.uri)
            continue
        edits += [
            FileEdit(source.uri, source.version, start, end, text)
            for start, end, text in changes(each.before, each.after)
        ]
        if each.path != each.old_path:
            renames.append(Rename(source.uri, state.workspace.uri(each.path)))
    return EditSet(tuple(edits), tuple(renames), tuple(creates), tuple(deletes), digests)
