"""What the model may look at while it plans: read-only, bounded, and never a file that may not be shown. No engine.

The calls have Qwen's own form: `<function=NAME>`, then `<parameter=NAME>`s on lines of their own.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qwen_lsp.context.impact import impact
from qwen_lsp.features.refactor.excerpt import full_name
from qwen_lsp.features.refactor.workspace import Refused, Workspace
from qwen_lsp.index.languages import language_named
from qwen_lsp.index.snapshot import IndexSnapshot
from qwen_lsp.index.symbols import extract
from qwen_lsp.text.diff import split
from qwen_lsp.text.secrets import masked

MAX_RESULT_CHARS = 6_000
MAX_HITS = 60
MAX_SEARCHED_FILES = 200
MAX_LINE_CHARS = 200

_CALL = re.compile(r"<function=(\w+)>")
_PARAMETER = re.compile(r"<parameter=(\w+)>\n?(.*?)\n?(?=</parameter>|<parameter=|</function>|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Call:
    """What the model asks for."""

    name: str
    arguments: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets to see, and the files that it knows of from now on."""

    text: str = field(repr=False)
    paths: tuple[str, ...] = ()


def _tool(name: str, description: str, /, **parameters: str) -> dict[str, Any]:
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


PATH = "below the root, with /"
TOOLS = (
    _tool("read_symbol", "The source of a symbol in a file.", path=PATH, name="Name or Container.name"),
    _tool("find_references", "The files and lines that use a name.", name="the bare name"),
    _tool("list_folder", "The files and folders in a folder.", path=f"{PATH}; empty for the root"),
    _tool("search_text", "The lines that hold a text.", text="letters as they stand there"),
)


def described(extra: Iterable[dict[str, Any]]) -> str:
    """The tools as Qwen's template writes them into the system turn."""
    rows = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in (*TOOLS, *extra))
    return (
        f"# Tools\n\nYou have access to the following functions:\n\n<tools>\n{rows}\n</tools>\n\nIf you choose to call "
        "a function ONLY reply in the following format with NO suffix:\n\n<tool_call>\n"
        "<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n</function>\n</tool_call>"
    )


def call_in(answer: str) -> Call | None:
    """The first call of an answer, however carelessly written; None where there is none."""
    found = _CALL.search(answer)
    if found is None:
        return None
    end = answer.find("</function>", found.end())
    body = answer[found.end() : end if end >= 0 else len(answer)]
    return Call(found[1], {name: value.strip("\n") for name, value in _PARAMETER.findall(body)})


def run(call: Call, workspace: Workspace) -> Answer:
    """Do what a call asks for. Reads files: not on the event loop."""
    arguments = call.arguments
    match call.name:
        case "read_symbol":
            return _cut(_symbol(arguments.get("path", ""), arguments.get("name", ""), workspace))
        case "find_references":
            return _cut(_references(arguments.get("name", ""), workspace))
        case "list_folder":
            return _cut(_folder(arguments.get("path", ""), workspace))
        case "search_text":
            return _cut(_search(arguments.get("text", ""), workspace))
    return Answer("There is no such function.")


def _symbol(path: str, name: str, workspace: Workspace) -> Answer:
    source = workspace.source(path)
    if isinstance(source, Refused):
        return Answer(f"This file can not be read: {source.reason}")
    language = language_named(source.language_id)
    definitions = extract(source.text.encode("utf-8", "replace"), language).definitions
    found = [each for each in definitions if name in (each.name, full_name(each))]
    if not found:
        names = ", ".join(dict.fromkeys(full_name(each) for each in definitions[:60]))
        return Answer(f"{path} does not define {name}. It defines: {names}", (path,))
    text = masked(source.text)
    return Answer("\n\n".join(text[each.start : each.end] for each in found[:4]), (path,))


def _references(name: str, workspace: Workspace) -> Answer:
    with_index = _with_index(name, workspace)
    if with_index is not None:
        return with_index
    return _search(name, workspace)


def _with_index(name: str, workspace: Workspace) -> Answer | None:
    opened = workspace.index()
    if opened is None:
        return None
    with opened as located:
        index = located.symbols
        definitions = index.definitions_of(name)
        if not definitions:
            return Answer(f"Nothing here defines {name}.")
        return uses_of(name, index, workspace)


def uses_of(name: str, index: IndexSnapshot, workspace: Workspace) -> Answer:
    """Definitions and uses, by file and line, with the line."""
    lines: list[str] = []
    paths: list[str] = []
    defined = [each for each in index.definitions_of(name) if workspace.refusal(each.path) is None]
    for found in defined[:4]:
        of = impact(found, index, lambda path: _text(path, workspace))
        lines.append(f"{found.path}: defines {full_name(found.definition)}: {found.definition.signature}")
        paths.append(found.path)
        for use in of.uses:
            text = _text(use.path, workspace)
            if use.standing == "other" or text is None:
                continue
            start = text.rfind("\n", 0, use.start) + 1
            row = text[start : start + MAX_LINE_CHARS].split("\n", 1)[0].strip()
            lines.append(f"{use.path}:{text.count('\n', 0, use.start) + 1}: {use.standing}: {row}")
            paths.append(use.path)
        others = [path for path in of.texts if workspace.refusal(path) is None]
        lines += [f"{path}: has the word, in a language that is not parsed" for path in others[:5]]
        if len(lines) > MAX_HITS:
            break
    return Answer("\n".join(dict.fromkeys(lines[:MAX_HITS])), tuple(dict.fromkeys(paths)))


def _text(path: str, workspace: Workspace) -> str | None:
    source = workspace.source(path)
    return None if isinstance(source, Refused) else masked(source.text)


def _folder(path: str, workspace: Workspace) -> Answer:
    folder = path.strip().strip("/").removeprefix("./")
    if folder in ("", "."):
        folder = ""
    elif workspace.refusal(f"{folder}/x") is not None:
        return Answer("This folder can not be read.")
    names = workspace.listed(folder)
    return Answer("\n".join(names) or "There is nothing to show in it.", tuple(n for n in names if n[-1] != "/"))


def _search(text: str, workspace: Workspace) -> Answer:
    if len(text.strip()) < 2 or "\n" in text:
        return Answer("Search for at least two letters on one line.")
    lines: list[str] = []
    paths: list[str] = []
    for path in _candidates(text, workspace):
        content = _text(path, workspace)
        if content is None or text not in content:
            continue
        paths.append(path)
        for number, line in enumerate(split(content), 1):
            if text in line and len(lines) < MAX_HITS:
                lines.append(f"{path}:{number}: {line.strip()[:MAX_LINE_CHARS]}")
        if len(lines) >= MAX_HITS:
            break
    return Answer("\n".join(lines) or "No line holds that.", tuple(paths))


def _candidates(text: str, workspace: Workspace) -> Iterable[str]:
    """Files that may hold the text: by its longest word where there is an index, else all, up to a limit."""
    opened = workspace.index()
    words = sorted(re.findall(r"[^\W\d]\w+", text), key=len)
    if opened is not None and words:
        with opened as located:
            return located.symbols.files_with(words[-1])[:MAX_SEARCHED_FILES]
    walked = [path for path in workspace.walked() if path not in workspace.documents]
    return [*workspace.documents, *walked]


def _cut(answer: Answer) -> Answer:
    if len(answer.text) <= MAX_RESULT_CHARS:
        return answer
    return Answer(answer.text[: answer.text.rfind("\n", 0, MAX_RESULT_CHARS) + 1] + "…", answer.paths)
