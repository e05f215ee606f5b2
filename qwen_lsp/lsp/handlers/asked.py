"""The commands that ask in words: qwen.refactor and qwen.explain. Arguments come from outside and are checked here."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from lsprotocol import types as t

from qwen_lsp import private
from qwen_lsp.errors import BadPosition, QwenError, UnknownDocument
from qwen_lsp.features import explain as feature
from qwen_lsp.features.refactor.report import report
from qwen_lsp.features.refactor.values import MAX_INSTRUCTION_CHARS, Asked
from qwen_lsp.features.wishes import short
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.refactoring import deliver, make, workspace_of
from qwen_lsp.lsp.session import Session
from qwen_lsp.settings import user_file
from qwen_lsp.text.document import Document

EXPLANATION, REPORT = "explanation.md", "refactor.md"


async def refactor(session: Session, arguments: Sequence[object]) -> dict[str, object]:
    """[{instruction, uri, range?, dryRun?}]: what it says, across files; the answer has a report in Markdown.

    A dry run changes nothing: the report is all of it.
    """
    given = _table(arguments)
    instruction = given.get("instruction")
    if not isinstance(instruction, str) or not instruction.strip():
        raise BadPosition("the command needs an instruction")
    if len(instruction) > MAX_INSTRUCTION_CHARS:
        raise BadPosition(f"the instruction is longer than {MAX_INSTRUCTION_CHARS:,} characters")
    document = _document(session, given)
    start, end = _range(session, document, given)
    place = await workspace_of(session, document)
    path = place.path_of(document)
    title = f"Qwen: {short(' '.join(instruction.split()))}"
    made = await make(session, title, Asked(instruction, path, start, end), place)
    if given.get("dryRun") is not True:
        return await deliver(session, made)
    markdown = report(title, made.done)
    await _shown(session, markdown, REPORT)
    return {"applied": False, "reason": "a dry run changes nothing", "markdown": markdown}


async def explain(session: Session, arguments: Sequence[object]) -> dict[str, object]:
    """[{uri, range?}]: what it does, in Markdown; editors that drop a command's result get a file opened."""
    given = _table(arguments)
    document = _document(session, given)
    start, end = _range(session, document, given)
    try:
        markdown = await feature.explain(session.snapshot(), document, start, end, session.engine)
    except QwenError as error:
        session.status.nothing("explain", document.uri, error.message)
        session.editor.show("warning", f"explain: {error.message}")
        raise
    await _shown(session, markdown, EXPLANATION)
    return {"markdown": markdown}


async def _shown(session: Session, markdown: str, name: str) -> None:
    """Opened as a file by editors that drop a command's result."""
    if not session.client.takes_markdown and session.client.opens_files:
        file = await asyncio.to_thread(_written, markdown, name)
        await session.editor.open_file(file.as_uri())


def _written(markdown: str, name: str) -> Path:
    """A file of the user's own, mode 0600, beside the settings; there is one of the name, and it is replaced."""
    file = user_file().with_name(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    private.write(file, markdown)
    return file


def _table(arguments: Sequence[object]) -> Mapping[str, object]:
    given = arguments[0] if arguments else None
    if not isinstance(given, Mapping):
        raise BadPosition("the command needs a table of arguments")
    return given


def _document(session: Session, given: Mapping[str, object]) -> Document:
    uri = given.get("uri")
    document = session.document(uri) if isinstance(uri, str) else None
    if document is None:
        raise UnknownDocument("the editor has not opened this file with us")
    return document


def _range(session: Session, document: Document, given: Mapping[str, object]) -> tuple[int, int]:
    """Offsets; the start of the file where no range is given."""
    where = given.get("range")
    if where is None:
        return 0, 0
    places = [where.get(end) for end in ("start", "end")] if isinstance(where, Mapping) else []
    found = []
    for place in places:
        line, column = (place.get("line"), place.get("character")) if isinstance(place, Mapping) else (None, None)
        if not isinstance(line, int) or not isinstance(column, int) or line < 0 or column < 0:
            raise BadPosition("the range is none")
        found.append(convert.offset(document, t.Position(line, column), session.client.encoding))
    if len(found) != 2:
        raise BadPosition("the range is none")
    return min(found), max(found)
