"""eslint's stylish format; errors with a stack under them: Node, its test runners, Go."""

import re
from collections.abc import Sequence

from qwen_lsp.verify.output.seen import Seen
from qwen_lsp.verify.verdict import Severity

_STYLISH = re.compile(
    r"\s+(?P<line>\d+):(?P<column>\d+)\s+(?P<level>error|warning)\s+(?P<message>\S.*?)(?:\s{2,}(?P<rule>\S+))?"
)
_ERROR = re.compile(r"\s*(?:Uncaught )?(?P<message>(?:\w*Error|AssertionError)(?: \[\w+\])?: .+)")
_FRAME = re.compile(r"\s+at (?:.*\()?(?:file://)?(?P<path>[^()\s][^()]*?):(?P<line>\d+):(?P<column>\d+)\)?")
_GO_TEST = re.compile(r"\s*--- FAIL: (?P<test>\S+) \(.*\)")
_GO_SAID = re.compile(r"\s+(?P<path>[^\s:]+\.go):(?P<line>\d+): (?P<message>.+)")
_GO_PANIC = re.compile(r"panic: (?P<message>.+)")
_GO_FRAME = re.compile(r"\s+(?P<path>\S+\.go):(?P<line>\d+)(?: \+0x[0-9a-f]+)?")
# Jest draws a dot and small arrows, vitest an ornament.
_TITLE = re.compile(r"\s+\u25cf (?P<test>.+ \u203a .+|[^\u203a]+)| FAIL  (?P<path>\S+) > (?P<inside>.+)")
_TITLED_FRAME = re.compile(r"\s+(?:at (?:.*\()?|\u276f )(?P<path>[^()\s][^()]*?):(?P<line>\d+):\d+\)?")
_TAP = re.compile(r"\s*not ok \d+(?: -)? (?P<test>.+)")
_TAP_PLACE = re.compile(r"\s+location: '(?P<path>.+):(?P<line>\d+):\d+'")
_TAP_ERROR = re.compile(r"\s+error: (?:\|-|'(?P<message>.*)')")
FRAMES = 60  # of a stack


def stylish(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> set[int]:
    """A file's name on a row of its own, its messages under it."""
    taken: set[int] = set()
    path: str | None = None
    for number, row in enumerate(rows):
        found = _STYLISH.fullmatch(row)
        if found is None:
            path = row if row and not row[0].isspace() and seen.place(row) is not None else None
        elif path is not None:
            level: Severity = "warning" if found["level"] == "warning" else "error"
            seen.add(path, int(found["line"]), int(found["column"]), level, found["message"], found["rule"] or "")
            taken.add(number)
    return taken


def stacks(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> set[int]:
    """An error with its first frame in the workspace: Node's, and Go's tests and panics."""
    taken: set[int] = set()
    for number, row in enumerate(rows):
        if number in used:
            continue
        titled = _titled(rows, number, seen)
        if titled:
            taken |= titled
            continue
        error, test, panic = _ERROR.fullmatch(row), _GO_TEST.fullmatch(row), _GO_PANIC.fullmatch(row)
        if test is not None:
            taken |= _go_test(rows, number, test["test"], seen)
        elif error is not None or panic is not None:
            frame = _FRAME if error is not None else _GO_FRAME
            message = (error or panic)["message"].removesuffix(" [recovered]")  # type: ignore[index]
            taken |= _stack(rows, number, frame, message, seen)
    return taken


def _titled(rows: Sequence[str], start: int, seen: Seen) -> set[int]:
    """A test's name on a row of its own, what it expected, and where: jest, vitest, TAP."""
    title, tap = _TITLE.fullmatch(rows[start]), _TAP.fullmatch(rows[start])
    if title is None and tap is None:
        return set()
    test = tap["test"] if tap is not None else title["test"] or f"{title['path']} > {title['inside']}"  # type: ignore[index]
    message = ""
    for number in range(start + 1, min(start + FRAMES, len(rows))):
        row = rows[number]
        said = _TAP_ERROR.fullmatch(row) if tap is not None else None
        if said is not None:
            message = said["message"] or rows[min(number + 1, len(rows) - 1)].strip()
        elif tap is None and not message:
            message = row.strip()
        place = (_TAP_PLACE if tap is not None else _TITLED_FRAME).fullmatch(row)
        if place is not None and seen.place(place["path"]) is not None:
            if tap is not None:
                message = message or _said_below(rows, number)
            seen.add_test(test, place["path"], int(place["line"]), message or "failed")
            return set(range(start, number + 1))
    return set()


def _said_below(rows: Sequence[str], start: int) -> str:
    for number in range(start + 1, min(start + FRAMES, len(rows) - 1)):
        said = _TAP_ERROR.fullmatch(rows[number])
        if said is not None:
            return said["message"] or rows[number + 1].strip()
    return ""


def _go_test(rows: Sequence[str], start: int, test: str, seen: Seen) -> set[int]:
    """What the test logged stands under its name; a parent of failed tests has nothing of its own."""
    said = _GO_SAID.fullmatch(rows[start + 1]) if start + 1 < len(rows) else None
    if said is None:
        seen.add_test(test, "", 0, "failed")
        return {start}
    seen.add_test(test, said["path"], int(said["line"]), said["message"])
    end = start + 1
    while end < len(rows) and _GO_SAID.fullmatch(rows[end]):
        end += 1
    return set(range(start, end))


def _stack(rows: Sequence[str], start: int, frame: re.Pattern[str], message: str, seen: Seen) -> set[int]:
    for number in range(start + 1, min(start + FRAMES, len(rows))):
        found = frame.fullmatch(rows[number])
        if found is not None and seen.place(found["path"]) is not None:
            column = found.groupdict().get("column")
            seen.add(found["path"], int(found["line"]), int(column or 0), "error", message)
            return set(range(start, number + 1))
    return set()
