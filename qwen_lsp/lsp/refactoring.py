"""An instruction carried out for an editor: workspace, checks, progress with a cancel, then the edit's delivery.

What clients do with an edit differs: some apply a part and say that all was applied, some show no annotation. So
versions are compared before, risky edits are confirmed, and buffers and files are looked at afterwards.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lsprotocol import types as t

from qwen_lsp.errors import NotDone, QwenError, StaleDocument, UserCancelled
from qwen_lsp.features.actions import Action
from qwen_lsp.features.fill import Nothing
from qwen_lsp.features.refactor.report import report
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import Asked, Plan, Progress, Refactored, Verify
from qwen_lsp.features.refactor.workspace import Refused, Workspace, workspace
from qwen_lsp.features.wishes import place_of_tests
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.indexing import Located
from qwen_lsp.lsp.session import Session
from qwen_lsp.text.diff import rebased
from qwen_lsp.text.document import Document
from qwen_lsp.text.edits import EditSet, FileEdit, digest
from qwen_lsp.verify.rounds import checking

FEATURE = "refactor"
INDEX_S = 5.0  # the event loop is never busy for that long
SETTLE_S = 3.0  # until an editor has told us what it did
APPLY, CANCEL = "Apply", "Cancel"
SHOWN_NAMES = 8  # files, in a question
SHOWN_FINDINGS, FINDING_CHARS = 3, 300  # of checks, in a remark or a question


@dataclass(frozen=True, slots=True)
class Made:
    """A change, and the workspace that it was made in."""

    title: str
    done: Refactored
    place: Workspace

    @property
    def documents(self) -> Mapping[str, Document]:
        """The open files as they were read, by URI: what the edits count in."""
        return {document.uri: document for document in self.place.documents.values()}


def asked_by(action: Action, place: Workspace, document: Document) -> Asked:
    """An action's instruction, and how far it reaches."""
    path = place.path_of(document)
    around = Asked(action.instruction, path, action.start, action.end, cut=action.cut)
    if action.id.startswith("tests:"):
        tests = place_of_tests(path, document.language_id)
        exists = place.exists(tests)
        plan = Plan({tests: ()}) if exists else Plan({}, (tests,))
        return replace(around, plan=plan, scope=(tests,))
    return around if action.across else replace(around, scope=(path,), plan=Plan({path: ()}))


async def workspace_of(session: Session, document: Document) -> Workspace:
    """The root that holds a document; a file outside of all roots is alone in its folder."""
    snapshot = session.snapshot()
    path = convert.path_of(document.uri)
    if path is None:
        raise NotDone("only files on the disk can be changed like this")
    around = [root for root in snapshot.roots if path.is_relative_to(root)]
    root = max(around, key=lambda each: len(each.parts), default=path.parent)
    index = partial(_asked_on_loop, session, document.uri, asyncio.get_running_loop())
    return await asyncio.to_thread(workspace, root, snapshot.documents, index)


def _asked_on_loop(
    session: Session, uri: str, loop: asyncio.AbstractEventLoop
) -> AbstractContextManager[Located] | None:
    """The index for another thread: taken and given back on the event loop, which alone may do that."""

    async def locate() -> Located | None:
        return session.index(uri)

    asked = asyncio.run_coroutine_threadsafe(locate(), loop)
    try:
        located = asked.result(INDEX_S)
    except TimeoutError:
        asked.cancel()
        return None
    return None if located is None else _lent(located, loop)


@contextmanager
def _lent(located: Located, loop: asyncio.AbstractEventLoop) -> Iterator[Located]:
    try:
        yield located
    finally:
        with suppress(RuntimeError):  # the loop has ended, and the connection with it
            loop.call_soon_threadsafe(located.symbols.close)


async def make(session: Session, title: str, asked: Asked, place: Workspace) -> Made:
    """Have it done, with progress. Every way to get nothing is a QwenError whose reason is in the status."""
    uri = place.uri(asked.path) if asked.path else place.root.as_uri()
    engine, settings = session.engine, session.settings
    asked = replace(asked, rounds=settings.refactor_rounds)
    with _told(session, title, uri):
        async with _progress(session, title) as tell, _checks(session, place, tell) as verify:
            found = await refactor(asked, place, engine, verify, tell, settings.ctx)
        if isinstance(found, Nothing):
            session.status.nothing(FEATURE, uri, found.reason, found.usage)
            raise NotDone(found.reason)
    session.status.done(FEATURE, uri, found.usage)
    return Made(title, found, place)


@contextmanager
def _told(session: Session, title: str, uri: str) -> Iterator[None]:
    """Somebody chose this and waits for it, and not every editor shows a request's error."""
    try:
        yield
    except QwenError as error:
        session.status.nothing(FEATURE, uri, error.message)
        if not isinstance(error, UserCancelled):
            session.editor.show("warning", f"{title}: {error.message}")
        raise


@asynccontextmanager
async def _checks(session: Session, place: Workspace, tell: Progress) -> AsyncIterator[Verify]:
    buffers = {path: document.text for path, document in place.documents.items()}
    async with checking(place.root, session.settings, buffers, tell) as verify:
        yield verify


@asynccontextmanager
async def _progress(session: Session, title: str) -> AsyncIterator[Progress]:
    """Lines of a display whose cancel button ends the work, as `qwen.cancel` does; the request then fails so."""
    task = asyncio.current_task()
    token = session.next_token(FEATURE)
    cancelled = False

    def cancel() -> None:
        nonlocal cancelled
        cancelled = True
        if task is not None:
            task.cancel()

    shown = session.client.progress and await session.editor.create_progress(token)
    session.cancels[token] = cancel
    if shown:
        session.editor.begin_progress(token, title, cancellable=True)
    end = "failed"
    try:
        yield lambda line: session.editor.report_progress(token, line) if shown else None
        end = "done"
    except asyncio.CancelledError:
        end = "cancelled"
        if cancelled and task is not None:
            task.uncancel()
            raise UserCancelled("you cancelled it") from None
        raise
    finally:
        session.cancels.pop(token, None)
        if shown:
            session.editor.end_progress(token, end)


async def edit_of(session: Session, made: Made) -> t.WorkspaceEdit:
    """The change as the client takes it, in the texts of now. Raises StaleDocument where that can not be."""
    now = session.snapshot().documents
    with _told(session, made.title, made.place.root.as_uri()):
        edits = _fitting(made.done.edits, made.documents, now)
        closed = await asyncio.to_thread(_closed, made, edits)
        return convert.workspace_edit(edits, {**closed, **now}, session.client, _annotation(made))


def _fitting(edits: EditSet, then: Mapping[str, Document], now: Mapping[str, Document]) -> EditSet:
    """The edits counted in the documents of now: over changes elsewhere in a file they are moved."""
    found: list[FileEdit] = []
    for uri, version in edits.versions.items():
        own = edits.of(uri)
        if version is None:
            if uri in now:
                raise StaleDocument("a file was opened while the edit was made")
            found += own
            continue
        document = now.get(uri)
        if document is None:
            raise StaleDocument("an edited file was closed meanwhile")
        moved = own if document.version == version else rebased(own, then[uri].text, document.text, document.version)
        if moved is None:
            raise StaleDocument("a file changed at a place that the edit changes, too")
        found += moved
    for uri in edits.deletes:
        if uri in now and digest(now[uri].text) != (digest(then[uri].text) if uri in then else edits.digests[uri]):
            raise StaleDocument("a file that the edit deletes was changed meanwhile")
        if uri in then and uri not in now:
            raise StaleDocument("a file that the edit deletes was closed meanwhile")
    return replace(edits, edits=tuple(found))


def _closed(made: Made, edits: EditSet) -> dict[str, Document]:
    """Files that nobody has open, as they must still be on the disk."""
    found: dict[str, Document] = {}
    for change in made.done.changes:
        uri = made.place.uri(change.old_path)
        if uri not in edits.digests:
            continue
        source = made.place.source(change.old_path)
        if isinstance(source, Refused) or source.digest != edits.digests[uri]:
            raise StaleDocument(f"{change.old_path} changed on the disk meanwhile")
        # A byte order mark is no part of the text, and a character of its first line to an editor without one.
        found[uri] = Document(uri, source.language_id, 0, source.text)
    for change in made.done.changes:
        if (change.before is None or change.path != change.old_path) and made.place.exists(change.path):
            raise StaleDocument(f"{change.path} was made meanwhile")
    return found


def _annotation(made: Made) -> convert.Annotation:
    done = made.done
    told = [*done.risks, *_found(done), *(f"passed: {check}" for check in done.passed)]
    told += [f"fails as before: {check}" for check in done.failing]
    told += [f"not checked: {done.unchecked}"] if done.unchecked else []
    told += [f"left alone: {done.plan.leaves}"] if done.plan.leaves else []
    return convert.Annotation(made.title, "; ".join(told), confirm=bool(done.risks))


def _found(done: Refactored) -> list[str]:
    """The first findings, each in one line."""
    rows = [" ".join(finding.split()) for finding in done.findings[:SHOWN_FINDINGS]]
    return [row if len(row) <= FINDING_CHARS else f"{row[:FINDING_CHARS]}…" for row in rows]


async def deliver(session: Session, made: Made) -> dict[str, object]:
    """Have the editor apply it, confirmed where it is risky; afterwards buffers and files say whether it did."""
    if not session.client.applies_edits:
        raise NotDone("this editor applies no edits from a language server")
    markdown = report(made.title, made.done)
    edit = await edit_of(session, made)
    if made.done.risks and not session.client.annotates:
        if await session.editor.ask(_question(made), (APPLY, CANCEL)) != APPLY:
            return _ended(session, made, "you refused it", markdown)
        edit = await edit_of(session, made)  # while the question stood there, texts may have changed
    with _told(session, made.title, made.place.root.as_uri()):
        expected = _expected(made, session.snapshot().documents)
    metadata = t.WorkspaceEditMetadata(is_refactoring=True) if session.client.knows_refactorings else None
    refusal = await session.editor.apply(made.title, edit, metadata)
    if refusal is not None:
        return _ended(session, made, refusal, markdown)
    settled = await session.until(lambda documents: not _missing(expected, documents), SETTLE_S)
    missing = () if settled else _missing(expected, session.snapshot().documents)
    if missing:
        names = ", ".join(Path(uri).name for uri in missing)
        return _ended(session, made, f"not applied to {names}: the texts are not as the edit leaves them", markdown)
    return {"applied": True, "markdown": markdown}


def _question(made: Made) -> str:
    """For an editor that shows nothing of the edit: at least which files it changes, and what checks say of it."""
    names = [change.path for change in made.done.changes if change.before is not None and change.after is not None]
    told = ", ".join(names[:SHOWN_NAMES]) + (f" and {len(names) - SHOWN_NAMES} more" if names[SHOWN_NAMES:] else "")
    return f"{made.title}: {'; '.join([*made.done.risks, *_found(made.done), *([f'changes {told}'] if told else [])])}"


def _ended(session: Session, made: Made, reason: str, markdown: str) -> dict[str, object]:
    session.status.nothing(FEATURE, made.place.root.as_uri(), reason)
    session.editor.show("warning", f"{made.title}: {reason}")
    return {"applied": False, "reason": reason, "markdown": markdown}


def _expected(made: Made, now: Mapping[str, Document]) -> Mapping[str, str | None]:
    """What each file holds afterwards, by URI; None: it is gone. Open files hold what was typed meanwhile as well."""
    edits = _fitting(made.done.edits, made.documents, now)
    found: dict[str, str | None] = {}
    for change in made.done.changes:
        old, new = made.place.uri(change.old_path), made.place.uri(change.path)
        after = edits.apply(old, now[old].text) if old in now and change.after is not None else change.after
        if old != new:
            found[old] = None
        found[new] = after
    return found


def _missing(expected: Mapping[str, str | None], documents: Mapping[str, Document]) -> tuple[str, ...]:
    """Files that are not as expected. What is open counts; what is not is read."""
    return tuple(uri for uri, text in expected.items() if not _is(uri, text, documents))


def _is(uri: str, text: str | None, documents: Mapping[str, Document]) -> bool:
    document = documents.get(uri)
    if document is not None:
        return text is not None and document.text.replace("\r\n", "\n") == text.replace("\r\n", "\n")
    path = convert.path_of(uri)
    if path is None or text is None:
        return path is None or not path.exists()
    try:
        return path.read_bytes().decode("utf-8", "replace").removeprefix("\ufeff") == text
    except OSError:
        return False
