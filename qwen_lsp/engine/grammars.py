"""Forms that answers must have, as values and as requests name it. What each promises: `inference/grammar.py`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from qwen_lsp.text.secrets import masked


@dataclass(frozen=True, slots=True)
class EditBlocks:
    """Search-and-replace blocks in `files`, path to text: a SEARCH can only be lines that stand there once.

    `creates`: files that may be made.
    """

    files: Mapping[str, str] = field(repr=False)
    max_blocks: int = 64
    creates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lark:
    """A grammar in llguidance's dialect of Lark."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """`schema` as JSON text."""

    schema: str


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Anything that begins with `text`."""

    text: str = field(repr=False)


Grammar = EditBlocks | Lark | JsonSchema | StartsWith


def wire(grammar: Grammar) -> dict[str, object]:
    """The request's field `grammar`."""
    match grammar:
        case EditBlocks(files, max_blocks, creates):
            shown = {path: masked(text) for path, text in files.items()}  # as the prompt has them
            made = {"creates": list(creates)} if creates else {}
            return {"type": "edit_blocks", "files": shown, "max_blocks": max_blocks, **made}
        case Lark(text):
            return {"type": "lark", "grammar": text}
        case JsonSchema(schema):
            return {"type": "json_schema", "schema": json.loads(schema)}
        case StartsWith(text):
            return {"type": "starts_with", "text": masked(text)}
