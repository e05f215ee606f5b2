"""Mechanical refactors over all Python files of a repository: rename, change a signature with its callers, move. Pure.

A name counts only where each mention of it in each file is certain to mean the one definition: no attribute, keyword,
variable or string has it. So the answer is known without types. Texts in, tasks out; nothing is executed here.
"""

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from qwen_lsp.eval.checks import is_test
from qwen_lsp.eval.tasks import Kind, Task, task, tasks

LEAST_NAME_CHARS = 4
MOST_FILES = 12  # of one task: a name that is everywhere is not what one instruction changes
_WORD = re.compile(r"[^\W\d]\w*")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class _File:
    """One file, parsed. `starts`: where its lines begin, in characters; `lines` as bytes, which `ast` counts in."""

    path: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)
    starts: Sequence[int] = field(repr=False)
    lines: Sequence[bytes] = field(repr=False)
    names: Mapping[str, Sequence[int]] = field(repr=False)  # where each name stands as a token
    calls: Mapping[str, Sequence[ast.Call]] = field(repr=False)  # of plain names
    n_uses: Mapping[str, int] = field(repr=False)  # of each name as a value, called or not

    def at(self, line: int | None, column: int | None) -> int:
        """A place of `ast`'s as an offset."""
        row = (line or 1) - 1
        return self.starts[row] + len(self.lines[row][: column or 0].decode("utf-8", "replace"))

    def end(self, node: ast.expr | ast.arg) -> int:
        return self.at(node.end_lineno, node.end_col_offset)


def across(texts: Mapping[str, str]) -> Iterator[Task]:
    """The tasks of a repository, file by file; of each kind at most one for a definition's file, none for a test's.

    `texts`: all of its Python files, tests too: where a name is mentioned elsewhere, its task would be wrong.
    """
    files = {path: file for path, text in sorted(texts.items()) if (file := _read(path, text)) is not None}
    unsure = {word for path, text in texts.items() if path not in files for word in _WORD.findall(text)}
    for file in files.values():
        unsure |= _unsure(file)
    defined = Counter(node.name for file in files.values() for node in file.tree.body if isinstance(node, _DEFINITIONS))
    for path, file in files.items():
        if is_test(path):
            continue
        sure = [each for each in _plain(file) if defined[each.name] == 1 and each.name not in unsure]
        sure = [each for each in sure if _width(each.name, files.values()) <= MOST_FILES]
        sure.sort(key=lambda each: -_width(each.name, files.values()))
        for make in (_rename, _signature):
            made = (
                make(file, each, files.values()) for each in sure if _width(each.name, files.values()) <= MOST_FILES
            )
            yield from islice(filter(None, made), 1)
        is_package = str(PurePosixPath(path).parent / "__init__.py") in texts
        yield from (each for each in tasks(path, file.text, is_package=is_package) if each.kind in ("move", "constant"))


def _read(path: str, text: str) -> _File | None:
    """None where Python can not read it, or counts its lines otherwise."""
    if "\r" in text or "\f" in text:
        return None
    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    found: dict[str, list[int]] = {}
    try:
        tree = ast.parse(text)
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                found.setdefault(token.string, []).append(starts[token.start[0] - 1] + token.start[1])
    except (SyntaxError, ValueError, RecursionError, tokenize.TokenError):
        return None
    calls: dict[str, list[ast.Call]] = {}
    uses = Counter(each.id for each in ast.walk(tree) if isinstance(each, ast.Name))
    for each in ast.walk(tree):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name):
            calls.setdefault(each.func.id, []).append(each)
    return _File(path, text, tree, starts, text.encode("utf-8", "replace").split(b"\n"), found, calls, uses)


def _plain(file: _File) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    """Definitions at the top that nothing is done to; a decorator may look at the name."""
    for node in file.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.decorator_list:
            continue
        if len(node.name) >= LEAST_NAME_CHARS and not node.name.startswith("__"):
            yield node


def _unsure(file: _File) -> set[str]:
    """Words that stand there as something else than a definition at the top, the use of a name or an import."""
    top = {id(node) for node in file.tree.body}
    return {word for node in ast.walk(file.tree) for word in _other(node, is_top=id(node) in top)}


def _other(node: ast.AST, *, is_top: bool) -> Iterable[str]:
    match node:
        case ast.arg(arg=str(name)) | ast.keyword(arg=str(name)) | ast.Attribute(attr=name):
            return (name,)
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return (name,)
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            return names
        case ast.Constant(value=str(text)):
            return _WORD.findall(text)
        case ast.alias(name=name, asname=alias):
            return (*_WORD.findall(name if "." in name or alias else ""), alias or "")
        case ast.Import(names=aliases):
            return [word for each in aliases for word in _WORD.findall(each.name)]
        case ast.ImportFrom(module=str(module)):
            return _WORD.findall(module)
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return (name,)
        case ast.ExceptHandler(name=str(name)):
            return (name,)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) if not is_top:
            return (name,)
    return ()


def _width(name: str, files: Iterable[_File]) -> int:
    """How many files have the name."""
    return sum(name in each.names for each in files)


def _rename(file: _File, node: ast.FunctionDef | ast.ClassDef, files: Iterable[_File]) -> Task | None:
    name, new = node.name, f"{node.name}_renamed"
    places = {each.path: [(at, at + len(name), new) for at in each.names.get(name, ())] for each in files}
    if any(new in each.names for each in files):
        return None
    what = "class" if isinstance(node, ast.ClassDef) else "function"
    return _changed("rename", f"Rename the {what} {name} of {file.path} to {new}, wherever it is used.", files, places)


def _signature(file: _File, node: ast.FunctionDef | ast.ClassDef, files: Iterable[_File]) -> Task | None:
    if isinstance(node, ast.ClassDef) or node.args.vararg or node.args.kwonlyargs or node.args.kwarg:
        return None
    own = [*node.args.posonlyargs, *node.args.args]
    if any(each.arg == "quiet" for each in own):
        return None
    places: dict[str, list[tuple[int, int, str]]] = {}
    for each in files:
        calls = each.calls.get(node.name, ())
        if len(calls) != each.n_uses.get(node.name, 0):
            return None
        places[each.path] = [_more(each, call) for call in calls]
    if own:
        at = max([*map(file.end, own), *map(file.end, node.args.defaults)])
        places[file.path].append((at, at, ", quiet=False"))
    else:
        at = file.text.index("(", file.at(node.lineno, node.col_offset)) + 1
        places[file.path].append((at, at, "quiet=False"))
    told = f"Give the function {node.name} of {file.path} one more parameter at the end, quiet=False, and pass "
    return _changed("signature", told + "quiet=False in each call of it.", files, places)


def _more(file: _File, call: ast.Call) -> tuple[int, int, str]:
    """One more argument behind the last one. Where brackets hide that place, the answer will not parse."""
    given = [*call.args, *(each.value for each in call.keywords)]
    at = max((file.end(each) for each in given), default=file.end(call) - 1)
    return at, at, ", quiet=False" if given else "quiet=False"


def _changed(
    kind: Kind, told: str, files: Iterable[_File], places: Mapping[str, list[tuple[int, int, str]]]
) -> Task | None:
    touched = [file for file in files if places.get(file.path)]
    before = {file.path: file.text for file in touched}
    return task(kind, told, before, {file.path: _spliced(file.text, places[file.path]) for file in touched})


def _spliced(text: str, places: Iterable[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(places, reverse=True):
        text = text[:start] + new + text[end:]
    return text
