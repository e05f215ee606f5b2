"""rustc and cargo, as text and as JSON, and what Rust's test harness says; ruff's long format, which looks alike."""

import json
import re
from collections.abc import Mapping, Sequence

from qwen_lsp.verify.output.seen import Seen
from qwen_lsp.verify.verdict import Severity

_MESSAGE = re.compile(r"(?P<level>error|warning)(?:\[(?P<rule>[\w:]+)\])?: (?P<message>.+)")
_RUFF = re.compile(r"(?P<rule>[A-Z]{1,7}\d{2,5}|invalid-syntax|SyntaxError):? (?:\[\*\] )?(?P<message>.+)")
_PLACE = re.compile(r"\s*(?:-->|╭▸) (?P<path>.+?):(?P<line>\d+):(?P<column>\d+)")
_FAILED = re.compile(r"(?:test )?(?P<test>\S+)(?: - should panic)? (?:\.\.\.|---) FAILED")
_PANIC = re.compile(r"thread '(?P<thread>[^']+)' (?:\(\d+\) )?panicked at (?P<path>[^'].*?):(?P<line>\d+):\d+:")
_OLD_PANIC = re.compile(r"thread '(?P<thread>[^']+)' panicked at '(?P<message>.*)', (?P<path>.+?):(?P<line>\d+):\d+")
ROWS_BETWEEN = 3  # a message of several lines comes before its place


def messages(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> set[int]:
    """A message and the arrow under it; or a line of JSON that is both."""
    taken: set[int] = set()
    for number, row in enumerate(rows):
        if row.startswith("{") and _json(row, seen):
            taken.add(number)
            continue
        found = _MESSAGE.fullmatch(row)
        if found is None:
            found = _RUFF.fullmatch(row)
        if found is None:
            continue
        for below in range(number + 1, min(number + 1 + ROWS_BETWEEN, len(rows))):
            place = _PLACE.fullmatch(rows[below])
            if place is None:
                continue
            parts = found.groupdict()
            severity: Severity = "warning" if parts.get("level") == "warning" else "error"
            line, column = int(place["line"]), int(place["column"])
            if seen.add(place["path"], line, column, severity, found["message"], parts["rule"] or ""):
                taken |= {number, below}
            break
    return taken


def _json(row: str, seen: Seen) -> bool:
    """One message of `cargo --message-format=json` or `rustc --error-format=json`."""
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return False
    message = value.get("message") if isinstance(value, Mapping) else None
    if isinstance(message, str):
        message = value
    if not isinstance(message, Mapping) or message.get("level") not in ("error", "warning"):
        return False
    spans = message.get("spans")
    code = message.get("code")
    rule = code.get("code") if isinstance(code, Mapping) else None
    for span in spans if isinstance(spans, list) else ():
        if not isinstance(span, Mapping) or not span.get("is_primary"):
            continue
        path, line, column = (span.get(key) for key in ("file_name", "line_start", "column_start"))
        if isinstance(path, str) and isinstance(line, int) and isinstance(column, int):
            text = str(message.get("message", ""))
            level: Severity = "warning" if message["level"] == "warning" else "error"
            return seen.add(path, line, column, level, text, rule if isinstance(rule, str) else "")
    return False


def panics(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> set[int]:
    """Tests that failed, with the panic of their thread where one is printed."""
    failed = {found["test"] for row in rows if (found := _FAILED.fullmatch(row)) is not None}
    taken: set[int] = set()
    for number, row in enumerate(rows):
        found = _PANIC.fullmatch(row) or _OLD_PANIC.fullmatch(row)
        if found is None:
            continue
        said = found.groupdict().get("message") or (rows[number + 1] if number + 1 < len(rows) else "")
        taken.add(number)
        if found["thread"] in failed:
            seen.add_test(found["thread"], found["path"], int(found["line"]), said or "panicked")
            failed.discard(found["thread"])
        else:
            seen.add(found["path"], int(found["line"]), 0, "error", said or "panicked")
    for test in sorted(failed):
        seen.add_test(test, "", 0, "failed")
    return taken
