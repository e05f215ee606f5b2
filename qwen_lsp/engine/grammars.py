"""Forms that answers must have, as values and as requests name it. What each promises: `inference/grammar.py`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from qwen_lsp.text.secrets import masked


@dataclass(frozen=True, slots=True)
class EditBlocks:
    """Search-and-replace blocks in `files`, path to text: a SEARCH can only be lines that stand there once."""

    files: Mapping[str, str] = field(repr=False)
    max_blocks: int = 64


@dataclass(frozen=True, slots=True)
class Lark:
    """A grammar in llguidance's dialect of Lark."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """`schema` as JSON text."""

    schema: str


Grammar = EditBlocks | Lark | JsonSchema


def wire(grammar: Grammar) -> dict[str, object]:
    """The request's field `grammar`."""
    match grammar:
        case EditBlocks(files, max_blocks):
            shown = {path: masked(text) for path, text in files.items()}  # as the prompt has them
            return {"type": "edit_blocks", "files": shown, "max_blocks": max_blocks}
        case Lark(text):
            return {"type": "lark", "grammar": text}
        case JsonSchema(schema):
            return {"type": "json_schema", "schema": json.loads(schema)}
