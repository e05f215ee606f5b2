"""One suggestion for one place, or a reason: what inline completion and completion items have in common.

Takes the snapshot before the first await; what comes back is rebased onto the text of then, or dropped. What is known
already is answered at once; else the model is asked after a short pause, and goes on when the editor stops waiting.
Knows no prompt and no engine beyond handing them on.
"""

import asyncio
from dataclasses import dataclass

from lsprotocol import types as t

from qwen_lsp.errors import EngineSuperseded, QwenError
from qwen_lsp.features import ahead
from qwen_lsp.features.complete import Completion, Manner, Nothing
from qwen_lsp.features.making import AHEAD, LEFT_BEHIND, StillMaking, Work
from qwen_lsp.features.pace import DEADLINE_S, pause_s
from qwen_lsp.features.recent import NO_USAGE
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.convert import Suggestion
from qwen_lsp.lsp.flight import Superseded
from qwen_lsp.lsp.session import Session
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.edits import typed_since
from qwen_lsp.text.snapshot import Snapshot

READ_S = 0.25  # nobody has read a suggestion and taken it earlier, and who types along has come to the next key
NEARLY = 8  # characters left of one that is typed along: the next one should be there at its end
N_OTHERS = 2  # suggestions beside the best one, where somebody pressed a key for them
PAUSED = Nothing("paused: the command qwen.pause goes on")
UNWANTED = Nothing("you did not want this suggestion here a moment ago")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: who asks, where, when.

    `automatic`: nobody pressed a key for it. `hurries`: the editor does not wait for a late answer.
    """

    feature: str
    snapshot: Snapshot
    cursor: Cursor
    began: float
    automatic: bool
    hurries: bool

    @property
    def n_others(self) -> int:
        """A menu shows one, and what comes by itself is the best."""
        return 0 if self.automatic or self.feature == "completion" else N_OTHERS

    @property
    def key(self) -> tuple[str, str]:
        return self.feature, self.cursor.document.uri


@dataclass(frozen=True, slots=True)
class Made:
    """What was found, and the cursor that it was made for. `paused_s`: before the model was asked."""

    cursor: Cursor
    found: Completion | Nothing
    paused_s: float = 0.0


@dataclass(slots=True)
class _Stage:
    """How far a request has come: the pause that it waits for, None once the model is asked."""

    pause_s: float | None = 0.0


async def suggest(
    session: Session, feature: str, params: t.InlineCompletionParams | t.CompletionParams, *, automatic: bool
) -> Suggestion | Superseded | None:
    """What could stand at the position; None with a reason in the status. Superseded: the text has moved on."""
    uri = params.text_document.uri
    snapshot = session.snapshot().at(convert.path_of(uri))
    document = snapshot.documents.get(uri)
    if document is None:
        session.status.nothing(feature, uri, "the editor has not opened this file with us")
        return None
    cursor = Cursor(document, convert.offset(document, params.position, session.client.encoding))
    return await suggest_at(session, asked_at(session, feature, snapshot, cursor, automatic))


def asked_at(session: Session, feature: str, snapshot: Snapshot, cursor: Cursor, automatic: bool) -> Asked:
    """A request of this moment. Menus wait for all their servers, and VS Code for nobody but who pressed a key.

    There an empty answer to a key would be final: VS Code does not ask again for the same place.
    """
    hurries = (session.client.refreshes and automatic) or feature == "completion"
    return Asked(feature, snapshot, cursor, session.suggestions.clock(), automatic, hurries)


async def suggest_at(session: Session, asked: Asked) -> Suggestion | Superseded | None:
    """The same at a cursor. What is found is for the document as it is by then."""
    if session.suggestions.paused:
        _nothing(session, asked, PAUSED)
        return None
    session.prompts.came(asked.cursor, wanted=not asked.automatic)
    known = session.suggestions.recent.at(asked.cursor)
    if known is not None and not _wants_more(session, asked, known):
        session.flight.cancel(asked.key)
        return _shown(session, asked, Made(asked.cursor, known), is_known=True)
    stage = _Stage()
    try:
        made = await session.flight.run(asked.key, lambda: _made(session, asked, stage))
    except EngineSuperseded:
        made = Superseded()
    except QwenError as error:
        session.suggestions.answered(asked.began, known=False, empty=True)
        session.status.failed(*asked.key, error)
        return None
    if isinstance(made, Superseded):
        _nothing(session, asked, Nothing(_replaced(stage)), shown=False)
        return made
    if isinstance(made, StillMaking):
        _nothing(session, asked, Nothing(_still(session)))
    elif made.found is LEFT_BEHIND:
        _nothing(session, asked, LEFT_BEHIND, shown=False)
        return Superseded()
    elif isinstance(made.found, Nothing):
        _nothing(session, asked, made.found, paused_s=made.paused_s)
    elif asked.automatic and session.suggestions.recent.is_rejected(made.cursor, made.found.text):
        _nothing(session, asked, UNWANTED)
    else:
        return _shown(session, asked, made, is_known=False)
    return None


async def _made(session: Session, asked: Asked, stage: _Stage) -> Made | StillMaking:
    """The model's answer: of work that fits already, else of new work after a pause."""
    making, cursor = session.suggestions.making, asked.cursor
    work = making.fitting(asked.key, cursor)
    if work is not None:
        stage.pause_s = None
        found = await work.wait(_left(session, asked))
        if isinstance(found, StillMaking):
            return found
        if isinstance(found, Completion) and typed_through(work.cursor, found, cursor.document) is not None:
            return Made(work.cursor, found)
        if session.document(cursor.document.uri) is not cursor.document:
            return Made(cursor, LEFT_BEHIND)
    ledger, engine, complete = session.turn_ledger(cursor), session.engine, session.features.complete
    if stage.pause_s is not None:
        least_s = asked.snapshot.settings.completion_debounce_ms / 1000
        stage.pause_s = pause_s(session.suggestions.pace, least_s) if asked.automatic else 0.0
        await asyncio.sleep(stage.pause_s)
    paused_s, stage.pause_s = stage.pause_s or 0.0, None
    making.cancel((AHEAD, cursor.document.uri))
    work = making.begin(
        asked.key,
        cursor,
        lambda work: complete(asked.snapshot, cursor, engine, ledger, _manner(asked, work)),
    )
    found = await work.wait(_left(session, asked))
    return found if isinstance(found, StillMaking) else Made(cursor, found, paused_s)


def _wants_more(session: Session, asked: Asked, known: Completion) -> bool:
    """Somebody looks at this one and presses a key. One that came late is shown first: editors ask for it so, too."""
    return known.others is None and asked.n_others > 0 and session.suggestions.is_shown(asked.cursor, known.text)


def _manner(asked: Asked, work: Work) -> Manner:
    return Manner(latest_of=asked.feature, heard=work.hear, n_others=asked.n_others)


def _left(session: Session, asked: Asked) -> float | None:
    """Seconds until the editor stops waiting."""
    return max(0.0, asked.began + DEADLINE_S - session.suggestions.clock()) if asked.hurries else None


def _replaced(stage: _Stage) -> str:
    if stage.pause_s:
        return f"typing too fast: the next key came within the pause of {stage.pause_s * 1000:.0f} ms"
    return "a newer request took its place"


def _still(session: Session) -> str:
    state = session.engine.state
    if state.kind == "starting":
        return f"the model is loading: {state.detail}"
    return f"the model still thinks after {DEADLINE_S * 1000:.0f} ms; what it finds is kept"


def _nothing(session: Session, asked: Asked, found: Nothing, *, shown: bool = True, paused_s: float = 0.0) -> None:
    session.suggestions.answered(asked.began, known=False, empty=True)
    session.status.nothing(*asked.key, found.reason, found.usage, shown=shown)
    if found.usage is not None:
        what = f"{asked.feature} {asked.key[1]} version {asked.cursor.document.version}, nothing"
        session.editor.trace(what, found.usage, paused_s * 1000)


def _shown(session: Session, asked: Asked, made: Made, *, is_known: bool) -> Suggestion | Superseded:
    """The suggestion in the document as it is now."""
    found = made.found
    assert isinstance(found, Completion)
    uri = asked.cursor.document.uri
    now = asked.cursor.document if _imagined(asked) else session.document(uri)
    typed = typed_through(made.cursor, found, now)
    if now is None or typed is None:
        _nothing(session, asked, Nothing(LEFT_BEHIND.reason, found.usage), shown=False)
        return Superseded()
    session.suggestions.answered(asked.began, known=is_known, empty=False)
    offer = session.status.offered(asked.feature, uri, found.usage)
    what = f"{asked.feature} {uri} version {now.version}" + (", known" if is_known else "")
    session.editor.trace(what, found.usage, made.paused_s * 1000)
    offset = made.cursor.offset + len(typed)
    session.suggestions.offered(offer, Cursor(now, offset), found.text[len(typed) :])
    rest, as_of = found.text[len(typed) :], session.document(uri)
    # Never before this answer is out: what begins now would run before the loop comes to write it.
    after_s = 0.0 if is_known and len(rest) <= NEARLY else READ_S
    asyncio.get_running_loop().call_later(after_s, _look_ahead, session, asked, as_of, Cursor(now, offset), rest)
    others: list[tuple[str, str]] = []
    for text in (found.others or ()) if asked.n_others else ():
        if text.startswith(found.text[: len(typed)]):
            others.append((session.status.next_id(), text))
            session.suggestions.offered_too(others[-1][0], Cursor(now, offset), text[len(typed) :])
    return Suggestion(offer, now, offset, found.text, found.start, found.end + len(typed), tuple(others))


def _imagined(asked: Asked) -> bool:
    """Whether the request is about a text that the editor does not have: with a menu's item taken."""
    return asked.snapshot.documents[asked.cursor.document.uri] is not asked.cursor.document


def _look_ahead(session: Session, asked: Asked, as_of: Document | None, cursor: Cursor, text: str) -> None:
    """Have the next suggestion made as if this one were accepted, when the engine has nothing else to do.

    Not where somebody types on, and the document is no longer `as_of` the time when it was shown.
    """
    suggestions, engine, complete = session.suggestions, session.engine, session.features.complete
    if session.document(cursor.document.uri) is not as_of:
        return
    if not asked.snapshot.settings.completion_prefetch or engine.state.kind != "ready":
        return
    found = Completion(text, cursor.offset, cursor.offset, NO_USAGE)
    snapshot, there = ahead.after(asked.snapshot, cursor, found)
    key = AHEAD, there.document.uri
    if suggestions.recent.knows(there) or suggestions.making.fitting(key, there) is not None:
        return
    ledger = session.ledger_ahead(snapshot, there)
    manner = Manner("warm-up", latest_of=AHEAD)
    suggestions.making.begin(key, there, lambda work: complete(snapshot, there, engine, ledger, manner))


def typed_through(cursor: Cursor, found: Completion, now: Document | None) -> str | None:
    """What was typed since, if that is how the suggestion begins; then it still holds."""
    if now is None:
        return None
    if now is cursor.document:
        return ""
    typed = typed_since(cursor, now)
    before = cursor.document.text[found.start : cursor.offset]
    if typed is None or (typed and not found.text.startswith(before + typed)) or before + typed == found.text:
        return None
    return typed
