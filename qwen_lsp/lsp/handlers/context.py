"""The command `qwen.context`: what a prompt would hold at a place, row by row, and why. Shows; changes nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from qwen_lsp.context.pack import ContextFile, Item, estimate
from qwen_lsp.context.rank import excluded
from qwen_lsp.errors import BadPosition, UnknownDocument
from qwen_lsp.lsp.session import Session
from qwen_lsp.prompt.ledger import Ledger
from qwen_lsp.text.document import Cursor

type Row = dict[str, object]


async def context(session: Session, arguments: Sequence[object]) -> list[Row]:
    """Rows in the prompt's order; the whole also as a message, for editors that drop a command's result.

    Each has `part` (base, log, tail), `path`, `n_tokens`; a file of the base also `symbols`, where the index chose them
    and would again. Where there is no prompt, one row with a `reason`.
    """
    cursor = _cursor(session, arguments[0] if arguments else None)
    ledger, found = await session.prompts.shown(cursor)
    if ledger is None:
        reason = excluded(cursor.document) or "the context that the settings allow is too short"
        _tell(session, f"nothing is shown to the model: {reason}")
        return [{"part": "none", "path": "", "n_tokens": 0, "reason": reason}]
    rows = list(rows_of(ledger, found or ()))
    total = sum(row["n_tokens"] for row in rows if isinstance(row["n_tokens"], int))
    names = ", ".join(f"{row['path']} {row['n_tokens']}" for row in rows if row["part"] == "base")
    index = "" if found is not None else "; no index here, open files only"
    _tell(session, f"the prompt holds about {total} tokens: {names}{index}")
    return rows


def _tell(session: Session, message: str) -> None:
    if not session.client.takes_markdown:
        session.editor.show("info", message)


def rows_of(ledger: Ledger, found: Iterable[Item]) -> Iterator[Row]:
    symbols: dict[str, list[Mapping[str, object]]] = {}
    for item in found:
        symbols.setdefault(item.symbol.path, []).append(item.as_json())
    for file in ledger.base:
        yield _row("base", file) | ({"symbols": symbols[file.path]} if file.path in symbols else {})
    for entry in ledger.log:
        if isinstance(entry, str):
            entry = ContextFile(entry.removeprefix("@@ ").partition("\n")[0].removesuffix(" @@"), entry)
        yield _row("log", entry)
    if ledger.tail is not None:
        yield _row("tail", ContextFile(ledger.tail.path, ledger.tail.before + ledger.tail.after))


def _row(part: str, file: ContextFile) -> Row:
    return {"part": part, "path": file.path, "n_tokens": estimate(file.text)}


def _cursor(session: Session, argument: object) -> Cursor:
    """The place that `{uri, position}` names, in a file that is open."""
    match argument:
        case {"uri": str(uri), "position": {"line": int(line), "character": int(character)}}:
            document = session.snapshot().documents.get(uri)
        case _:
            raise BadPosition("the command needs {uri, position}")
    if document is None:
        raise UnknownDocument("the editor has not opened this file with us")
    return Cursor(document, document.lines.offset(max(line, 0), max(character, 0), session.client.encoding))
