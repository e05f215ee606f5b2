"""Mechanical refactors cut from real Python files, each with its answer and a post-condition on the syntax tree.

Rename a function, move one to a new module, add a parameter, name a constant. Pure: a file's text in, tasks out. Knows
no model; a text that the post-condition refuses is wrong, whoever wrote it. Nothing is executed here.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

type Kind = Literal["rename", "move", "signature", "constant"]


@dataclass(frozen=True, slots=True)
class Task:
    """`before` and `after` are whole files by path; a path that only `after` has is made."""

    kind: Kind
    instruction: str
    before: Mapping[str, str] = field(repr=False)
    after: Mapping[str, str] = field(repr=False)

    def is_done(self, texts: Mapping[str, str]) -> bool:
        """Whether the files have the answer's syntax trees: comments and layout may differ, code may not."""
        try:
            return texts.keys() == self.after.keys() and all(
                ast.dump(ast.parse(texts[path])) == ast.dump(ast.parse(text)) for path, text in self.after.items()
            )
        except (SyntaxError, ValueError, RecursionError):
            return False


def tasks(path: str, text: str) -> Iterator[Task]:
    """The tasks of one file, at most one of each kind."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    if not text.isascii() or "\r" in text or "\f" in text:  # offsets of `ast` count bytes and its own line ends
        return
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list]
    for made in (_rename(path, text, functions), _move(path, text, functions), _signature(path, text, functions)):
        if made is not None:
            yield made
    constant = _constant(path, text, tree)
    if constant is not None:
        yield constant


def _task(kind: Kind, instruction: str, before: Mapping[str, str], after: Mapping[str, str]) -> Task | None:
    """The task, if its answer is Python and its beginning does not count as done."""
    task = Task(kind, instruction, before, after)
    return task if task.is_done(after) and not task.is_done(before) else None


def _rename(path: str, text: str, functions: list[ast.FunctionDef]) -> Task | None:
    for node in functions:
        new = f"{node.name}_renamed"
        # As a whole word it is that function everywhere: not an attribute, a keyword or a part of a string.
        if new in text or len(node.name) < 4 or re.search(rf"[.'\"]{node.name}\b|\b{node.name}\s*=", text):
            continue
        after = re.sub(rf"\b{node.name}\b", new, text)
        return _task("rename", f"Rename the function {node.name} to {new}.", {path: text}, {path: after})
    return None


def _move(path: str, text: str, functions: list[ast.FunctionDef]) -> Task | None:
    lines = text.splitlines(keepends=True)
    for node in functions:
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        own = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
        own |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        if not names <= own | _BUILTINS:  # what it uses goes with it
            continue
        module = f"{node.name}_moved"
        body = "".join(lines[node.lineno - 1 : node.end_lineno])
        if not body.endswith("\n"):
            continue
        rest = "".join((*lines[: node.lineno - 1], f"from {module} import {node.name}\n", *lines[node.end_lineno :]))
        new = str(PurePosixPath(path).parent / f"{module}.py")
        told = f"Move the function {node.name} to the new file {new} and import it from {module} in its place."
        return _task("move", told, {path: text}, {path: rest, new: body})
    return None


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
        return _task("signature", told, {path: text}, {path: "".join(lines)})
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
        told = f"Name the {shown} in line {node.lineno} by a constant EXTRACTED that is defined below the imports."
        return _task("constant", told, {path: text}, {path: "".join(lines)})
    return None


_IMPORTS = (ast.Import, ast.ImportFrom)
_BUILTINS = frozenset(("len", "str", "int", "sum", "min", "max", "sorted", "range", "list", "dict", "set", "tuple"))
