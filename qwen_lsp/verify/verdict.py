"""What goes into a check and what comes out of it: plain values. Knows no process, no folder and no tool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning", "note"]

# A path below the root, with /, and the file's whole new text; None: the file is gone.
type Changes = Mapping[str, str | None]

NO_CHANGES: Changes = MappingProxyType({})

# How a command ended: by itself, or by which limit of ours; or it never began.
Ended = Literal["exit", "time", "cpu", "output", "processes", "memory", "disk", "stopped", "not started"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """One command of the project's, as a shell reads it. `folder` is where it runs, below the root."""

    command: str
    name: str = ""  # for people; the command, where none is given
    folder: str = ""
    why: str = ""  # where it comes from: `pyproject.toml: [tool.mypy]`

    @property
    def title(self) -> str:
        """What a person knows it by."""
        return self.name or self.command


@dataclass(frozen=True, slots=True)
class Limits:
    """What one command may take before all of it is killed."""

    wall_s: float = 300.0  # a test suite that takes longer is not one to wait for between two rounds
    cpu_s: float = 1200.0  # of all its processes together
    output_bytes: int = 4 * MIB  # a thousand failing tests fit
    processes: int = 512  # a build on a large machine starts two for each core
    memory_bytes: int = 8192 * MIB  # of all its processes together, their own pages
    file_bytes: int = 2048 * MIB  # one file; a linker's output is the largest there is
    disk_bytes: int = 8192 * MIB  # what may be written in all
    copy_bytes: int = 4096 * MIB  # a workspace larger than that is not copied
    copy_files: int = 200_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One message of a tool. `line` and `column` count from 1; 0 and an empty `path` are unknown."""

    path: str
    line: int
    column: int
    severity: Severity
    message: str = field(repr=False)  # quotes source text
    rule: str = ""  # the tool's own name for it: E501, TS2322, tests/test_a.py::test_b
    is_test: bool = False  # then `rule` is the test's name, and the message may differ from run to run
    check: str = ""

    def place(self) -> str:
        """`path:line:column`, as far as known."""
        parts = [self.path, *(str(number) for number in (self.line, self.column) if number)]
        return ":".join(parts) if self.path else ""

    def shown(self) -> str:
        """One line for a person or a model."""
        text = f"{self.severity}: {self.message}" + (f" [{self.rule}]" if self.rule else "")
        return f"{self.place()}: {text}" if self.path else text


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one command did: how it ended, what it said."""

    check: Check
    ended: Ended
    code: int = 0  # its exit status where `ended` is "exit"; negative: the signal that killed it
    wall_s: float = 0.0
    findings: tuple[Finding, ...] = ()
    tail: str = field(default="", repr=False)  # the last lines of its output, for where nothing was understood
    detail: str = ""  # a limit in words

    @property
    def passed(self) -> bool:
        """It says that all is well."""
        return self.ended == "exit" and self.code == 0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the checks said before the edits; to be handed to the next round, which then need not ask again."""

    outcomes: tuple[Outcome, ...]

    def of(self, check: Check) -> Outcome | None:
        """What this check said."""
        return next((outcome for outcome in self.outcomes if outcome.check == check), None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the edits did to what the checks say. `reason` tells why nothing could be run; then there is no verdict."""

    new: tuple[Finding, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    base: Baseline | None = None
    guard: str = ""  # what kept the commands to the copy, in words
    reason: str = ""

    @property
    def holds(self) -> bool:
        """All was run, and nothing is worse than it was."""
        return not self.reason and not self.new

    @property
    def passed(self) -> tuple[str, ...]:
        """The checks that are content with the edits."""
        return tuple(outcome.check.title for outcome in self.outcomes if outcome.passed)

    @property
    def failing(self) -> tuple[str, ...]:
        """Those that fail and say nothing new: they failed before, and tell less than people may think."""
        loud = {finding.check for finding in self.new}
        return tuple(o.check.title for o in self.outcomes if not o.passed and o.check.title not in loud)
