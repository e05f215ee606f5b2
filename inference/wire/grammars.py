"""What a request says about the form of its answer -> a grammar: `grammar`, or OpenAI's `response_format`.

Checks sizes and types; whether a grammar makes sense is found when it is compiled.
"""

import json

from inference.grammar import MAX_BLOCKS, EditBlocks, Grammar, JsonSchema, Lark, StartsWith
from inference.wire.fields import Fields, Whole

MAX_GRAMMAR_CHARS = 100_000  # of a Lark text, or of a schema
MAX_FILES = 64
MAX_PATH_CHARS = 1_000
MAX_FILE_CHARS = 2_000_000  # of all paths and texts together
BLOCKS = Whole(default=MAX_BLOCKS, low=1, high=MAX_BLOCKS)
ANY_OBJECT = JsonSchema('{"type":"object"}')
MAX_BEGINNING_CHARS = 256
_TYPES = ("lark", "json_schema", "edit_blocks", "starts_with")


def grammar(fields: Fields) -> Grammar | None:
    """None where the request leaves the form open; an empty string does, as llama-server has it."""
    asked = _grammar(fields) if fields.get("grammar") not in (None, "") else None
    formed = _response_format(fields.inner("response_format"))
    if asked is not None and formed is not None:
        raise fields.refuse("grammar", "and response_format exclude each other")
    return asked or formed


def _grammar(fields: Fields) -> Grammar:
    if isinstance(fields.get("grammar"), str):
        return Lark(fields.text("grammar", max_chars=MAX_GRAMMAR_CHARS))
    if not isinstance(fields.get("grammar"), dict):
        raise fields.refuse("grammar", "must be a string or an object")
    inner = fields.inner("grammar")
    match inner.get("type"):
        case "lark":
            return Lark(inner.text("grammar", max_chars=MAX_GRAMMAR_CHARS))
        case "json_schema":
            return _schema(inner)
        case "edit_blocks":
            creates = _creates(inner)
            files = _files(inner) if inner.get("files") or not creates else {}
            return EditBlocks(files, inner.whole("max_blocks", BLOCKS) or MAX_BLOCKS, creates)
        case "starts_with":
            return _beginning(inner)
    raise inner.refuse("type", "must be one of " + ", ".join(_TYPES))


def _response_format(fields: Fields) -> Grammar | None:
    match fields.get("type"):
        case None | "text":
            return None
        case "json_object":
            return ANY_OBJECT
        case "json_schema":
            return _schema(fields.inner("json_schema"))
    raise fields.refuse("type", "must be one of text, json_object, json_schema")


def _schema(fields: Fields) -> JsonSchema:
    schema = fields.get("schema")
    if not isinstance(schema, dict):
        raise fields.refuse("schema", "must be an object")
    try:
        text = json.dumps(schema, ensure_ascii=False)
    except RecursionError:
        raise fields.refuse("schema", "is nested too deeply") from None
    return JsonSchema(fields.checked_text("schema", text, MAX_GRAMMAR_CHARS))


def _beginning(fields: Fields) -> StartsWith:
    text = fields.text("text", max_chars=MAX_BEGINNING_CHARS)
    if not text:
        raise fields.refuse("text", "must not be empty")
    return StartsWith(text)


def _creates(fields: Fields) -> tuple[str, ...]:
    """Paths of files that the answer may make."""
    paths = fields.get("creates") or []
    if not isinstance(paths, list) or len(paths) > MAX_FILES:
        raise fields.refuse("creates", f"must be a list of at most {MAX_FILES} paths")
    return tuple(fields.checked_text("creates", path, MAX_PATH_CHARS) for path in paths)


def _files(fields: Fields) -> dict[str, str]:
    files = fields.get("files")
    if not isinstance(files, dict) or not files:
        raise fields.refuse("files", "must be an object of path to text")
    if len(files) > MAX_FILES:
        raise fields.refuse("files", f"must hold at most {MAX_FILES} files")
    checked = {fields.checked_text("files", path): fields.checked_text("files", files[path]) for path in files}
    if sum(len(path) + len(text) for path, text in checked.items()) > MAX_FILE_CHARS:
        raise fields.refuse("files", f"must have at most {MAX_FILE_CHARS} characters together")
    return checked
