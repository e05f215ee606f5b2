"""Formats of one row for each message, as a table: mypy, gcc, clang, tsc, javac, go, ruff, eslint, Maven, make."""

import re
from collections.abc import Sequence

from qwen_lsp.verify.output.seen import Seen
from qwen_lsp.verify.verdict import Severity

# No path begins with a space, and a colon in one is a drive's.
_PATH = r"(?P<path>(?:[A-Za-z]:[\\/])?[^\s:][^:]{0,400}?)"
_ANY = r"(?P<path>\S.{0,400}?)"
_AT = _PATH + r":(?P<line>\d+)"
_COLUMN = r":(?P<column>\d+)"
_LEVEL = r"(?P<level>fatal error|error|warning|note|info|help)"
_TSC = r"(?P<level>error|warning) (?P<rule>TS\d+): (?P<message>.+)"

# The first that fits a row reads it.
FORMATS: tuple[tuple[str, str], ...] = (
    ("tsc", rf"{_ANY}\((?P<line>\d+),(?P<column>\d+)\): {_TSC}"),
    ("tsc --pretty", rf"{_AT}{_COLUMN} - {_TSC}"),
    ("rustc --error-format=short", rf"{_AT}{_COLUMN}: (?P<level>error|warning)\[(?P<rule>\w+)\]: (?P<message>.+)"),
    ("gcc, clang, mypy, javac", rf"{_AT}(?:{_COLUMN})?: {_LEVEL}: (?P<message>.+)"),
    ("ruff, flake8, pylint", rf"{_AT}(?:{_COLUMN})?: (?P<rule>[A-Z]{{1,7}}\d{{2,5}}):? (?:\[\*\] )?(?P<message>.+)"),
    ("eslint compact", rf"{_ANY}: line (?P<line>\d+), col (?P<column>\d+), (?P<level>Error|Warning) - (?P<message>.+)"),
    ("Maven", rf"\[(?P<level>ERROR|WARNING)\] {_ANY}:\[(?P<line>\d+),(?P<column>\d+)\] (?P<message>.+)"),
    ("kotlinc", rf"(?P<level>[ew]): {_ANY}:(?P<line>\d+):(?P<column>\d+):? (?P<message>.+)"),
    ("ld", rf"(?:.*: )?{_PATH}:(?:\d+|\(\.\w[^)]*\)): (?P<message>(?:undefined ref|multiple def).+)"),
    ("go vet", rf"vet: {_AT}{_COLUMN}: (?P<message>.+)"),
    ("go build, eslint unix, ruff", rf"{_AT}{_COLUMN}: (?P<message>.+)"),
    ("make", _AT + r": \*\*\* (?P<message>.+)"),
    ("go test", r"\s+" + _AT + r": (?P<message>.+)"),
)  # fmt: skip
_FORMATS = tuple(re.compile(pattern) for _, pattern in FORMATS)
_HAS_PLACE = re.compile(r":\d|\(\d|\[\d|line \d|:\(\.")  # nearly no row of a log has one: one look tells
_RULE_BEHIND = re.compile(r"\s+(?:\[(?P<rule>-?[\w@/=,+-]{2,60})\]|\((?P<plain>[@\w/-]+/[\w-]+|[a-z]+(?:-[a-z]+)+)\))$")

_SEVERITIES: dict[str, Severity] = {
    "warning": "warning",
    "w": "warning",
    "note": "note",
    "info": "note",
    "help": "note",
}


def read(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> None:
    """Hand in what rows of their own say. Notes belong to the message above them, and are left out."""
    for number, row in enumerate(rows):
        if number in used or not _HAS_PLACE.search(row):
            continue
        for pattern in _FORMATS:
            found = pattern.fullmatch(row)
            if found is not None and _hand_in(found, seen):
                break


def _hand_in(found: re.Match[str], seen: Seen) -> bool:
    parts = found.groupdict()
    severity = _SEVERITIES.get((parts.get("level") or "error").lower(), "error")
    if severity == "note":
        return seen.place(parts["path"]) is not None
    message, rule = parts["message"], parts.get("rule") or ""
    behind = None if rule else _RULE_BEHIND.search(message)
    if behind is not None:
        rule = behind["rule"] or behind["plain"]
        message = message[: behind.start()]
        if rule.startswith(("Warning/", "Error/")):  # eslint's unix format
            severity = "warning" if rule.startswith("W") else "error"
            rule = rule.partition("/")[2]
    line, column = int(parts.get("line") or 0), int(parts.get("column") or 0)
    return seen.add(parts["path"], line, column, severity, message, rule)
