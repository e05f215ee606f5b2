"""What is asked for, what comes of it, and the two helpers that are handed in. Plain values."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from qwen_lsp.engine.client import Usage
from qwen_lsp.text.edits import EditSet

NO_USAGE = Usage(0, 0, 0, 0, 0.0)
MAX_INSTRUCTION_CHARS = 4_000

# Paths are below the workspace's root, with forward slashes.
type Texts = Mapping[str, str | None]  # new texts by path; None: the file is gone
type Progress = Callable[[str], None]  # a line for people


def silent(_line: str) -> None:
    """Nobody watches."""


class Finding(Protocol):
    """A message of a tool. is_test: a test that fails, at whichever place."""

    @property
    def path(self) -> str: ...

    @property
    def is_test(self) -> bool: ...

    def shown(self) -> str: ...


class Verdict(Protocol):
    """What checks say of a change: what is new, which were content, which fail as before. `reason`: why none ran."""

    @property
    def new(self) -> Sequence[Finding]: ...

    @property
    def passed(self) -> tuple[str, ...]: ...

    @property
    def failing(self) -> tuple[str, ...]: ...

    @property
    def reason(self) -> str: ...


type Verify = Callable[[Texts], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which files change, and in them which symbols if that is known. `leaves`: what is not touched, in words."""

    changes: Mapping[str, tuple[str, ...]]
    creates: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    deletes: tuple[str, ...] = ()
    leaves: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that it names."""
        return tuple(
            dict.fromkeys((*self.changes, *self.creates, *self.renames, *self.renames.values(), *self.deletes))
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """An instruction, and the place in a file that it is about.

    scope: the only files that may change, and folders, with a / at the end; None: those that the plan names.
    plan: where it is known already.
    cut: a part of the file that goes first: the comment that asked. rounds: how often findings of checks go back.
    """

    instruction: str
    path: str = ""
    start: int = 0
    end: int = 0
    scope: tuple[str, ...] | None = None
    plan: Plan | None = None
    cut: tuple[int, int] | None = None
    rounds: int = 2

    def reaches(self, path: str) -> bool:
        """Whether the scope has this file, or a folder that it would be in."""
        if self.scope is None:
            return True
        return any(path == each or (each.endswith("/") and path.startswith(each)) for each in self.scope)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file before and after; None where it is not there. `old_path`: its name before."""

    path: str
    old_path: str
    before: str | None = field(repr=False)
    after: str | None = field(repr=False)


def new_texts(changes: Iterable[FileChange]) -> Texts:
    """What the files hold afterwards, by path; None for what is gone."""
    found = tuple(changes)
    gone = {change.old_path: None for change in found if change.path != change.old_path}
    return {**gone, **{change.path: change.after for change in found}}


Rule = Literal["scope", "path", "excluded", "size", "syntax", "definition", "block"]


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a change may not be. The message is for people and the model, and quotes no source."""

    rule: Rule
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Refactored:
    """The change as one value, and what is to be known before it is taken.

    passed, failing, findings: what checks say of it, `failing` those that fail as before; unchecked: why none ran.
    risks: why somebody should look at it first.
    """

    edits: EditSet
    changes: tuple[FileChange, ...]
    usage: Usage
    plan: Plan
    passed: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    unchecked: str = ""
    risks: tuple[str, ...] = ()
    n_rounds: int = 0  # in which something was written
    failing: tuple[str, ...] = ()

    @property
    def texts(self) -> Texts:
        """New texts by path; None for what is gone."""
        return new_texts(self.changes)
