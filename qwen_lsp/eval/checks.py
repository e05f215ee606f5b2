"""A repository's own tests as judges of an answer: which of them touch its place, and whether they pass with it.

They run in a copy of the tree that the hole was cut from, behind the sandbox of `verify`, and only where the user
trusts the repository. What they can not tell is None: tests that fail with the person's own text, or pass without any.
"""

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.holes import Hole
from qwen_lsp.index.grammars import encode
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.symbols import extract
from qwen_lsp.settings import Settings
from qwen_lsp.text.edits import digest
from qwen_lsp.verify.check import verify_in
from qwen_lsp.verify.choose import known
from qwen_lsp.verify.command import run
from qwen_lsp.verify.sandbox import guard
from qwen_lsp.verify.shadow import SHARED_FOLDERS, Shadow, shadowed
from qwen_lsp.verify.trust import is_trusted
from qwen_lsp.verify.verdict import Baseline, Changes, Check, Limits, Verdict

MOST_TEST_FILES = 4  # for one place
LIMITS = Limits(wall_s=90.0, cpu_s=180.0)  # what takes longer is no test of one place
_TEST_FILE = re.compile(
    r"(^|/)(tests?|spec|__tests__)/.*\.\w+$|(^|/)(test_[^/]*\.py|conftest\.py|[^/]*([._]test|[._]spec|_spec|Test)\.\w+)$"
)
_RUNS_TESTS = re.compile(r"\b(pytest|unittest|go test|cargo test|vitest|jest|mocha|tests?)\b")


def is_test(path: str) -> bool:
    """Whether a file's place says that it holds tests."""
    return _TEST_FILE.search(path) is not None


def touching(path: str, names: Collection[str], tests: Mapping[str, str]) -> tuple[str, ...]:
    """Of the test files those for this place: named after the file, or with one of the names; most mentions first."""
    stem = re.escape(PurePosixPath(path).stem)
    named = re.compile(rf"(^|/)(test_{stem}|{stem}([._]test|[._]spec|_spec|Test))\.\w+$")
    words = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b") if names else None
    found: list[tuple[int, int, str]] = []
    for test, text in tests.items():
        own = named.search(test) is not None
        n_mentions = len(words.findall(text)) if words is not None else 0
        if test == path or own or n_mentions:
            found.append((0 if test == path else 1 if own else 2, -n_mentions, test))
    return tuple(test for _, _, test in sorted(found)[:MOST_TEST_FILES] if not test.endswith("conftest.py"))


def narrowed(check: Check, path: str, tests: Collection[str]) -> Check:
    """The check for these files only, where its program takes files; else all of it."""
    if re.search(r"\bpytest\b", check.command):
        return replace(check, command=f"{check.command} {shlex.join(tests)}")
    if "go test ./..." in check.command:
        folder = PurePosixPath(path).parent
        return replace(check, command=check.command.replace("./...", f"./{folder}"))
    return check


def check_for(top: Path, settings: Settings, command: str = "") -> Check:
    """The command that runs this repository's tests. Raises NotDone where none may run, or none is known."""
    if not is_trusted(top):
        raise NotDone(f"tests run only in folders that you trust: `qwen-lsp trust {top}`")
    if command:
        return Check(command)
    found = [check for check in known(top, settings) if _RUNS_TESTS.search(check.command)]
    if not found:
        raise NotDone("no command is known that runs this repository's tests: name one")
    return found[0]


@contextmanager
def copied(top: Path, checkout: Path) -> Iterator[Shadow]:
    """A copy of a checkout that stands, for commands, where the repository is: with its environments beside it."""
    with shadowed(checkout, limits=LIMITS) as shadow:
        shadow.root = top.resolve()
        shared = [name for name in sorted(SHARED_FOLDERS) if (top / name).is_dir() and not (top / name).is_symlink()]
        shadow.shared = tuple(name for name in shared if not (shadow.tree / name).exists())
        yield shadow


class OwnTests:
    """The tests of one tree. A text that was tried is not tried again, and what a command said before any change is
    asked once."""

    def __init__(self, shadow: Shadow, check: Check | None) -> None:
        self._shadow = shadow
        self._check = check
        self._passed: dict[tuple[str, str], bool] = {}
        self._bases: dict[str, Baseline] = {}
        self._tests = {
            path: (shadow.tree / path).read_bytes().decode("utf-8", "replace")
            for path in sorted(shadow.files)
            if is_test(path)
        }

    async def hold(self, hole: Hole, said: str) -> bool | None:
        """Whether they pass with the answer; None where that would say nothing."""
        tests = touching(hole.path, names_around(hole), self._tests)
        if not tests or self._check is None:
            return None
        check = narrowed(self._check, hole.path, tests)
        if not await self._pass(check, hole, hole.answer) or await self._pass(check, hole, ""):
            return None
        return await self._pass(check, hole, said)

    async def hold_with(self, changes: Changes, names: Collection[str]) -> bool | None:
        """Whether those that touch any of the files say nothing new with them changed; None where they tell nothing.

        Some fail before: in a copy without network and without keys, say. Those that pass still tell.
        """
        check = self.touched_by(changes, names)
        verdict = None if check is None else await self.verdict(check, changes)
        if verdict is None or verdict.base is None:
            return None
        (before,), (now,) = verdict.base.outcomes, verdict.outcomes
        if before.ended != "exit" or not (before.passed or before.findings):
            return None
        return verdict.holds and (now.passed or bool(now.findings))

    def touched_by(self, paths: Iterable[str], names: Collection[str]) -> Check | None:
        """The tests that touch any of the files; None where none do."""
        paths = list(paths)
        found = dict.fromkeys(test for path in paths for test in touching(path, names, self._tests))
        if not found or self._check is None:
            return None
        return narrowed(self._check, paths[0], list(found)[:MOST_TEST_FILES])

    async def verdict(self, check: Check, changes: Changes) -> Verdict:
        """What any command newly says with the files changed."""
        found = await verify_in(self._shadow, changes, (check,), self._bases.get(check.command), LIMITS)
        if found.base is not None:
            self._bases[check.command] = found.base
        return found

    async def _pass(self, check: Check, hole: Hole, said: str) -> bool:
        """Blanks at the end of the answer make no other text."""
        earlier = {each.path: each.after for each in hole.earlier}
        return await self._passes(check, {**earlier, hole.path: hole.before + said.rstrip() + hole.after})

    async def _passes(self, check: Check, changes: Changes) -> bool:
        key = check.command, digest(repr(sorted(changes.items())))
        if key not in self._passed:
            self._shadow.apply(changes)
            self._passed[key] = (await run(check, self._shadow, guard(), LIMITS)).passed
        return self._passed[key]


def names_around(hole: Hole) -> frozenset[str]:
    """The definitions that hold the place, from the outermost to the innermost."""
    whole = hole.before + hole.answer + hole.after
    found = extract(encode(whole), language_of(hole.path)).definitions
    return frozenset(each.name for each in found if each.start <= hole.offset <= each.end)
