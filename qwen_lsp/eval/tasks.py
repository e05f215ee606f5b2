"""Mechanical refactors cut from real Python files, each with its answer and a post-condition on the syntax tree.

Rename a function, move one to a new module, add a parameter, name a constant. Pure: a file's text in, tasks out. Knows
no model; a text that the post-condition refuses is wrong, whoever wrote it. Nothing is executed here.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

Kind = Literal["rename", "move", "signature", "constant"]
KINDS: tuple[Kind, ...] = ("rename", "move", "signature", "constant")


@dataclass(frozen=True, slots=True)
class Task:
    """`before` and `after` are whole files by path; a path that only `after` has is made."""

    kind: Kind
    instruction: str
    before: Mapping[str, str] = field(repr=False)
    after: Mapping[str, str] = field(repr=False)

    @property
    def names(self) -> frozenset[str]:
        """The functions and classes that its instruction names."""
        return frozenset(re.findall(r"(?:function|class) (\w+)", self.instruction))

    def is_done(self, texts: Mapping[str, str]) -> bool:
        """Whether the files have the answer's syntax trees: comments and layout may differ, code may not."""
        try:
            return texts.keys() == self.after.keys() and all(
                ast.dump(ast.parse(texts[path])) == ast.dump(ast.parse(text)) for path, text in self.after.items()
            )
        except (SyntaxError, ValueError, RecursionError):
            return False


def tasks(path: str, text: str, *, is_package: bool = False) -> Iterator[Task]:
    """The tasks of one file, at most one of each kind. `is_package`: its folder is one, so imports are relative."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    if not text.isascii() or "\r" in text or "\f" in text:  # offsets of `ast` count bytes and its own line ends
        return
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
    lead = "." if is_package else ""
    for made in (
        _rename(path, text, functions),
        _move(path, text, lead, tree, functions),
        _signature(path, text, functions),
    ):
        if made is not None:
            yield made
    constant = _constant(path, text, tree)
    if constant is not None:
        yield constant


def task(kind: Kind, instruction: str, before: Mapping[str, str], after: Mapping[str, str]) -> Task | None:
    """The task, if its answer is Python and its beginning does not count as done."""
    made = Task(kind, instruction, before, after)
    return made if made.is_done(after) and not made.is_done(before) else None


def _rename(path: str, text: str, functions: list[ast.FunctionDef]) -> Task | None:
    for node in functions:
        new = f"{node.name}_renamed"
        # As a whole word it is that function everywhere: not an attribute, a keyword or a part of a string.
        if new in text or len(node.name) < 4 or re.search(rf"[.'\"]{node.name}\b|\b{node.name}\s*=", text):
            continue
        after = re.sub(rf"\b{node.name}\b", new, text)
        return task("rename", f"Rename the function {node.name} to {new}.", {path: text}, {path: after})
    return None


def _move(path: str, text: str, lead: str, tree: ast.Module, functions: list[ast.FunctionDef]) -> Task | None:
    lines = text.splitlines(keepends=True)
    for node in functions:
        imports = _imports_for(node, tree)
        body = "".join(lines[node.lineno - 1 : node.end_lineno])
        if imports is None or not body.endswith("\n"):
            continue
        module = f"{node.name}_moved"
        here = f"from {lead}{module} import {node.name}"
        rest = "".join((*lines[: node.lineno - 1], f"{here}\n", *lines[node.end_lineno :]))
        head = "".join("".join(lines[each.lineno - 1 : each.end_lineno]) for each in imports)
        new = str(PurePosixPath(path).parent / f"{module}.py")
        told = f"Move the function {node.name} of {path} to the new file {new}, and in its place write: {here}"
        return task("move", told, {path: text}, {path: rest, new: f"{head}\n\n{body}" if head else body})
    return None


def _imports_for(function: ast.FunctionDef, tree: ast.Module) -> list[ast.stmt] | None:
    """The file's imports that go with the function; None where it needs something else of the file."""
    names = [each for each in ast.walk(function) if isinstance(each, ast.Name)]
    own = {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}
    own |= {each.id for each in names if isinstance(each.ctx, ast.Store)}
    needed = {each.id for each in names} - own - _BUILTINS
    found: list[ast.stmt] = []
    for each in tree.body:
        if not isinstance(each, _IMPORTS):
            continue
        bound = {alias.asname or alias.name.partition(".")[0] for alias in each.names}
        if bound & needed or (isinstance(each, ast.ImportFrom) and each.module == "__future__"):
            found.append(each)
            needed -= bound
    return None if needed else found


def _signature(path: str, text: str, functions: list[ast.FunctionDef]) -> Task | None:
    lines = text.splitlines(keepends=True)
    for node in functions:
        head = lines[node.lineno - 1]
        if node.args.kwarg or node.args.kwonlyargs or node.args.vararg or "quiet" in text:
            continue
        found = re.fullmatch(r"(def \w+\()([^()]*)(\)[^()]*:\n)", head)
        if found is None:
            continue
        more = f"{found[2]}, quiet=False" if found[2].strip() else "quiet=False"
        lines[node.lineno - 1] = f"{found[1]}{more}{found[3]}"
        told = f"Give the function {node.name} one more parameter at the end: quiet=False."
        return task("signature", told, {path: text}, {path: "".join(lines)})
    return None


def _constant(path: str, text: str, tree: ast.Module) -> Task | None:
    lines = text.splitlines(keepends=True)
    last_import = max((node.end_lineno or 0 for node in tree.body if isinstance(node, _IMPORTS)), default=0)
    if not last_import or "EXTRACTED" in text:
        return None
    for node in ast.walk(tree):
        is_number = isinstance(node, ast.Constant) and type(node.value) is int and node.value > 2
        if not is_number or not isinstance(node, ast.Constant) or node.lineno <= last_import:
            continue
        row = lines[node.lineno - 1]
        shown = row[node.col_offset : node.end_col_offset]
        if not shown.isdecimal() or "f'" in row or 'f"' in row:
            continue
        lines[node.lineno - 1] = f"{row[: node.col_offset]}EXTRACTED{row[node.end_col_offset :]}"
        lines.insert(last_import, f"EXTRACTED = {shown}\n")
        told = f"Name the {shown} in line {node.lineno} of {path} by a constant EXTRACTED, defined below the imports."
        return task("constant", told, {path: text}, {path: "".join(lines)})
    return None


_IMPORTS = (ast.Import, ast.ImportFrom)
_BUILTINS = frozenset(dir(builtins))
