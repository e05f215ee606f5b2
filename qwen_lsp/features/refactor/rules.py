"""Whether a change as a whole may be: scope, sizes, syntax, definitions that others still use. Pure but for `index`.

Names of paths are `jail.py`'s, the disk is `workspace.py`'s. Parses files: not for the event loop.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from qwen_lsp.context.impact import Symbols, impact
from qwen_lsp.features.refactor.values import Asked, FileChange, Plan, Violation
from qwen_lsp.index.languages import language_named, language_of
from qwen_lsp.index.rules import bytes_rule
from qwen_lsp.index.symbols import Definition, FileSymbols, extract, references
from qwen_lsp.post.syntax import GATE_CHARS, faults

MAX_FILES = 60
MAX_NEW_CHARS = 400_000  # written in all: nobody reads more than that before saying yes
MAX_LOST_SHARE = 0.6  # of a file that is not deleted: what goes further is a rewrite that lost something
LEAST_CHARS_FOR_SHARE = 2_000
MAX_JUDGED_NAMES = 40

# Kinds that others use by name. Fields and variables come and go with the code around them.
_USED = {"function", "method", "class", "interface", "enum", "constant", "type", "macro", "module"}
_HALF = re.compile("[\ud800-\udfff]")
_REMOVES = re.compile(r"\b(remov|delet|drop|eliminat|get rid|strip)", re.IGNORECASE)
_SHRINKS = re.compile(r"\b(remov|delet|drop|eliminat|get rid|strip|simplif|mov|split|extract|inline)", re.IGNORECASE)


def violations(
    asked: Asked, plan: Plan, changes: Sequence[FileChange], index: Symbols | None, read: Callable[[str], str | None]
) -> tuple[Violation, ...]:
    """All that is wrong, in the order of the files."""
    found = [*_scope(asked, plan, changes), *_sizes(asked, changes)]
    for change in changes:
        found += _syntax(change)
    if not found and index is not None:
        found += _definitions(asked, changes, index, read)
    return tuple(found)


def _scope(asked: Asked, plan: Plan, changes: Sequence[FileChange]) -> Iterator[Violation]:
    for change in changes:
        for path in {change.path, change.old_path}:
            if not asked.reaches(path) or (asked.scope is None and path not in plan.paths):
                yield Violation("scope", path, f"{path} is not among the files that may change")


def _sizes(asked: Asked, changes: Sequence[FileChange]) -> Iterator[Violation]:
    if len(changes) > MAX_FILES:
        yield Violation("size", "", f"{len(changes)} files change; the limit is {MAX_FILES}")
    n_new = sum(max(0, len(change.after or "") - len(change.before or "")) for change in changes)
    if n_new > MAX_NEW_CHARS:
        yield Violation("size", "", f"{n_new:,} characters are new; the limit is {MAX_NEW_CHARS:,}")
    for change in changes:
        before, after = change.before, change.after
        rule = bytes_rule(after.encode("utf-8", "replace")) if after is not None else None
        if rule is not None:
            yield Violation("size", change.path, f"{change.path} would be {rule[0]}: {rule[1]}")
        if _HALF.search(after or "") and not _HALF.search(before or ""):
            yield Violation("block", change.path, f"{change.path} would hold half of a character, which no file can")
        if before is None or after is None or len(before) < LEAST_CHARS_FOR_SHARE:
            continue
        if len(after) < len(before) * (1 - MAX_LOST_SHARE) and not _SHRINKS.search(asked.instruction):
            lost = 100 - 100 * len(after) // len(before)
            yield Violation("size", change.path, f"{change.path} would lose {lost} % of its text")


def _syntax(change: FileChange) -> Iterator[Violation]:
    after = change.after
    if after is None or len(after) > GATE_CHARS:
        return
    language_id = language_id_of(change.path, after)
    now = faults(language_id, after)
    was = faults(language_id, change.before) if change.before is not None else 0
    if now > was:
        errors = "syntax error" if now == 1 else "syntax errors"
        message = f"{change.path} would have {now} {errors}" + (f", it has {was}" if was else "")
        yield Violation("syntax", change.path, message)


def language_id_of(path: str, text: str) -> str:
    """By the name, or the first line."""
    language = language_of(PurePosixPath(path), text[: text.find("\n") + 1])
    return language.name if language is not None else "plaintext"


def _definitions(
    asked: Asked, changes: Sequence[FileChange], index: Symbols, read: Callable[[str], str | None]
) -> Iterator[Violation]:
    """What is gone though somebody still uses it."""
    after = {change.path: _symbols(change.path, change.after) for change in changes if change.after is not None}
    by_path = {change.path: change for change in changes}
    gone_files = {change.old_path for change in changes if change.path != change.old_path or change.after is None}
    n_judged = 0
    for change in changes:
        if change.before is None:
            continue
        left = after.get(change.path)
        for definition in _removed(_symbols(change.old_path, change.before), left):
            n_judged += 1
            if n_judged > MAX_JUDGED_NAMES or says_removal(asked.instruction, definition.name):
                continue
            users = _users(change, definition, after, by_path, index, read) - gone_files
            # Who changes anyway can follow; for the others the definition has to stay.
            for path in sorted(users & after.keys()):
                yield _gone(definition.name, change, path, path)
            others = sorted(users - after.keys())
            if others:
                yield _gone(
                    definition.name, change, ", ".join(others[:3]) + (" …" if len(others) > 3 else ""), change.path
                )


def _gone(name: str, change: FileChange, users: str, path: str) -> Violation:
    return Violation("definition", path, f"{name} is gone from {change.old_path}, and {users} still uses it")


def says_removal(instruction: str, name: str) -> bool:
    """Whether the instruction names the symbol in a breath with taking it away."""
    return _REMOVES.search(instruction) is not None and name in re.findall(r"\w+", instruction)


def _symbols(path: str, text: str) -> FileSymbols:
    return extract(text.encode("utf-8", "replace"), language_named(language_id_of(path, text)))


def _removed(before: FileSymbols, after: FileSymbols | None) -> Iterator[Definition]:
    """Definitions that the file has no more, each name once; one that it imports instead is still there."""
    left = {(each.container, each.name) for each in after.definitions} if after is not None else set()
    imported = {name for each in after.imports for name in each.names} if after is not None else set()
    seen: set[tuple[str, str]] = set()
    for each in before.definitions:
        key = each.container, each.name
        if each.kind in _USED and key not in left and key not in seen and each.name not in imported:
            seen.add(key)
            yield each


def _users(
    change: FileChange,
    definition: Definition,
    after: Mapping[str, FileSymbols],
    changes: Mapping[str, FileChange],
    index: Symbols,
    read: Callable[[str], str | None],
) -> set[str]:
    """Files that still mean it: unchanged ones by the index's judgement, changed ones by what they import or use."""
    name = definition.name
    users = set()
    own = [each for each in index.definitions_of(name) if each.path == change.old_path]
    if own:
        uses = impact(own[0], index, read).uses
        users |= {use.path for use in uses if use.standing in ("own", "imported") and use.path not in after}
    defined = {each.name for symbols in after.values() for each in symbols.definitions}
    for path, symbols in after.items():
        imports = any(name in each.names and _names_file(each.module, change.old_path) for each in symbols.imports)
        own_use = path == change.path and name not in defined and _uses(change, name, definition)
        if imports or own_use or _left_over(changes[path], symbols, change.old_path, definition):
            users.add(path)
    return users


def _left_over(changed: FileChange, symbols: FileSymbols, path: str, definition: Definition) -> bool:
    """Whether a file that imported the name from there does so no more, and still says it."""
    name = definition.name
    if changed.before is None or changed.old_path == path:
        return False
    is_bound = any(name in each.names for each in symbols.imports) or any(
        name == each.name for each in symbols.definitions
    )
    before = _symbols(changed.old_path, changed.before).imports
    imported = any(name in each.names and _names_file(each.module, path) for each in before)
    return imported and not is_bound and _uses(changed, name, definition)


def _names_file(module: str, path: str) -> bool:
    """Whether an import's module may be this file: by its last name."""
    last = re.split(r"[./\\:]+", module.rstrip("/"))[-1]
    stem = PurePosixPath(path).stem
    return last in (stem, PurePosixPath(path).parent.name if stem in ("__init__", "index", "mod") else stem)


def _uses(change: FileChange, name: str, definition: Definition) -> bool:
    """Whether the file itself still says the name; of methods that is not known without types."""
    if definition.container or change.after is None:
        return False
    language = language_named(language_id_of(change.path, change.after))
    return language is not None and bool(references(change.after.encode("utf-8", "replace"), language, {name}))
