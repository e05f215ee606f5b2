"""What could be asked for at a place, as instructions: offered without the model. One parse, no reading.

Carried out by `features/refactor`. Knows no LSP.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from qwen_lsp.features.directive import directive_at
from qwen_lsp.features.stubs import SCAN_CHARS, Function, function_at
from qwen_lsp.index.languages import language_named
from qwen_lsp.text.document import Document

MAX_MESSAGE_CHARS = 400
TITLE_CHARS = 60
MAX_FIXES = 4
_NO_TYPES = {"html", "css", "json", "yaml", "toml", "markdown", "shellscript", "lua"}


@dataclass(frozen=True, slots=True)
class Problem:
    """A diagnostic of any server's, in offsets. The message comes from outside: it is data."""

    start: int
    end: int
    message: str


@dataclass(frozen=True, slots=True)
class Wish:
    """`instruction` about `start` to `end`; without one the place is explained, and nothing changes.

    across: other files may change, too. cut: the comment that asked. problem: which of them is to be fixed.
    """

    kind: str
    title: str
    what: str  # for its id
    instruction: str
    start: int
    end: int
    across: bool = False
    cut: tuple[int, int] | None = None
    problem: int | None = None


def wishes(document: Document, start: int, end: int, problems: Sequence[Problem] = ()) -> tuple[Wish, ...]:
    """In the order in which they are shown."""
    text, language_id = document.text, document.language_id
    found: list[Wish] = []
    asked = directive_at(language_id, text, start, end)
    if asked is not None:
        title = f"Qwen: {short(asked.instruction)}"
        cut, below = (asked.start, asked.end), text.find("\n", asked.end)
        place = asked.end, below if below >= 0 else len(text)  # what a comment is about stands under it
        found.append(Wish("refactor.rewrite", title, "directive", asked.instruction, *place, across=True, cut=cut))
    found += [_fix(problem, number) for number, problem in enumerate(problems[:MAX_FIXES])]
    if text[start:end].strip():
        found += _of_selection(start, end)
    language = language_named(language_id)
    if language is not None and language.functions and len(text) <= SCAN_CHARS:
        function = function_at(language_id, text, start, end)
        found += _of_function(document, function) if function is not None else ()
    return tuple(found)


def _fix(problem: Problem, number: int) -> Wish:
    message = " ".join(problem.message.split())[:MAX_MESSAGE_CHARS]
    told = f"Fix this diagnostic, which a tool reports at the selected place: {message}"
    title, place = f"Qwen: fix “{short(message)}”", (problem.start, problem.end)
    return Wish("quickfix", title, f"fix{number}", told, *place, problem=number)


def _of_selection(start: int, end: int) -> Iterator[Wish]:
    told = "Simplify the selected lines. They must do the same as before."
    yield Wish("refactor.rewrite", "Qwen: simplify the selection", "simplify", told, start, end)
    yield Wish("source", "Qwen: explain the selection", "explain", "", start, end)
    told = "Extract the selected lines into a new function with a telling name, and call it in their place."
    yield Wish("refactor.extract", "Qwen: extract a function", "extract", told, start, end)


def _of_function(document: Document, function: Function) -> Iterator[Wish]:
    name, place = function.name, (function.start, function.end)
    told = f"Document {name}: what it does, its parameters, what it returns and raises, in the style of this file."
    yield Wish("refactor.rewrite", f"Qwen: document {name}", "document", told, *place)
    if document.language_id not in _NO_TYPES:
        told = f"Add type annotations to {name}, and nothing else."
        yield Wish("refactor.rewrite", f"Qwen: add types to {name}", "types", told, *place)
    yield Wish("source", f"Qwen: explain {name}", "explain", "", *place)
    told = f"Write tests for {name}: the usual case, the borders, what it refuses. Use the project's test framework."
    yield Wish("source", f"Qwen: write tests for {name}", "tests", told, *place, across=True)


def place_of_tests(path: str, language_id: str) -> str:
    """Where tests of a file stand by the language's custom."""
    file = PurePosixPath(path)
    match language_id:
        case "go":
            return str(file.with_name(f"{file.stem}_test.go"))
        case "python":
            return f"tests/test_{file.stem}.py"
        case "javascript" | "typescript" | "javascriptreact" | "typescriptreact":
            return str(file.with_name(f"{file.stem}.test{file.suffix}"))
        case "java" | "kotlin":
            return path.replace("src/main/", "src/test/").removesuffix(file.suffix) + f"Test{file.suffix}"
        case "ruby":
            return f"spec/{file.stem}_spec.rb"
    return f"tests/{file.stem}_test{file.suffix}"


def short(text: str) -> str:
    """As much as a title holds."""
    return text if len(text) <= TITLE_CHARS else text[: TITLE_CHARS - 1].rstrip() + "…"
