"""pytest, unittest and bare tracebacks: which test failed, where in the workspace, and with what."""

import re
from collections.abc import Iterator, Sequence

from qwen_lsp.verify.output.seen import Seen

_SUMMARY = re.compile(r"(?P<kind>FAILED|ERROR) (?P<test>\S[^ ]*(?:\[.*\])?)(?: - (?P<message>.+))?")
_HEADER = re.compile(r"_{3,} (?P<name>.+?) _{3,}")
_RULE = re.compile(r"[=_]{3,} .* [=_]{3,}|[=_]{10,}")
_COLLECTING = re.compile(r"ERROR collecting (?P<path>.+)")
_SETUP = re.compile(r"ERROR at (?:setup|teardown) of (?P<name>.+)")
_RAISED = re.compile(r"(?P<path>[^\s:][^:]*\.py):(?P<line>\d+): (?:in .+|[A-Z][\w.]*.*)?")
_SAID = re.compile(r"E\s{2,}(?P<message>\S.*)")
_FRAME = re.compile(r'\s*File "(?P<path>[^"]+)", line (?P<line>\d+)(?P<inside>, in .+)?')
_UNITTEST = re.compile(r"(?:FAIL|ERROR): (?P<name>\w+) \((?P<where>[\w.]+)\)(?: .*)?")
_ERROR = re.compile(
    r"(?P<message>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning|Iteration|Group|Failed|[A-Z]\w*)(?::.*)?)"
)
_TRACEBACK = "Traceback (most recent call last):"


def tests(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> set[int]:
    """pytest's failures: names from the summary, places and messages from the sections above it."""
    sections: dict[str, list[tuple[str, int, str]]] = {}  # two files may have tests of one name
    for name, section in _sections(rows, seen):
        sections.setdefault(name, []).append(section)
    named: set[str] = set()
    taken: set[int] = set()
    for number, row in enumerate(rows):
        summary = _SUMMARY.fullmatch(row)
        if summary is None:
            continue
        test = summary["test"]
        path, _, inside = test.partition("::")
        if seen.place(path) is None:
            continue
        taken.add(number)
        name = inside.replace("::", ".") if inside else path
        named.add(name)
        place, line, said = sections[name].pop(0) if sections.get(name) else ("", 0, "")
        message = said or summary["message"] or ("failed" if summary["kind"] == "FAILED" else "could not be run")
        seen.add_test(test, place or path, line, message)
    if not named:  # no summary (-rN, or it was cut off)
        for name, many in sections.items():
            for place, line, message in many:
                if place:
                    seen.add_test(name, place, line, message or "failed")
    return taken | _inside(rows) if sections or taken else taken


def _inside(rows: Sequence[str]) -> set[int]:
    """Rows of pytest's sections: the places in them are frames, not messages of their own."""
    inside: set[int] = set()
    within = False
    for number, row in enumerate(rows):
        if _RULE.fullmatch(row):
            within = bool(_HEADER.fullmatch(row)) or "FAILURES" in row or "ERRORS" in row
        elif within:
            inside.add(number)
    return inside


def _sections(rows: Sequence[str], seen: Seen) -> Iterator[tuple[str, tuple[str, int, str]]]:
    """Name, file, line and message of each section with a header; the last frame in the workspace is the place."""
    name, place, line, message = "", "", 0, ""
    for row in (*rows, "=" * 20):
        header = _HEADER.fullmatch(row)
        if header is not None or (row.startswith("===") and _RULE.fullmatch(row)):
            if name:
                yield name, (place, line, message)
            name, place, line, message = _named(header["name"]) if header is not None else "", "", 0, ""
            continue
        if not name:
            continue
        raised = _RAISED.fullmatch(row) or _FRAME.fullmatch(row)
        said = _SAID.match(row)
        if raised is not None and seen.place(raised["path"]) is not None:
            place, line = raised["path"], int(raised["line"])
        elif said is not None and not message:
            message = said["message"]


def _named(header: str) -> str:
    collecting, setup = _COLLECTING.fullmatch(header), _SETUP.fullmatch(header)
    if collecting is not None:
        return collecting["path"]
    return setup["name"] if setup is not None else header


def tracebacks(rows: Sequence[str], seen: Seen, used: frozenset[int]) -> set[int]:
    """A traceback's last frame in the workspace, with the error under it; unittest's are its tests'."""
    taken: set[int] = set()
    test, number = "", 0
    while number < len(rows):
        row = rows[number]
        header = _UNITTEST.fullmatch(row)
        if header is not None:
            where = header["where"]
            test = where if where.endswith("." + header["name"]) else f"{where}.{header['name']}"
        begins = row.strip() == _TRACEBACK or (_FRAME.fullmatch(row) is not None and ", in " not in row)
        if number in used or not begins:
            number += 1
            continue
        end, place, line, message = _traceback(rows, number, seen)
        taken |= set(range(number, end))
        number = max(end, number + 1)
        if test:
            seen.add_test(test, place, line, message)
            test = ""
        elif place:
            seen.add(place, line, 0, "error", message)
    return taken


def _traceback(rows: Sequence[str], start: int, seen: Seen) -> tuple[int, str, int, str]:
    """Where it ends, its place and its message."""
    place, line = "", 0
    margin = len(rows[start]) - len(rows[start].lstrip()) if _TRACEBACK in rows[start] else 0
    number = start
    for number in range(start, len(rows)):
        row = rows[number]
        frame = _FRAME.fullmatch(row)
        if frame is not None:
            if seen.place(frame["path"]) is not None:
                place, line = frame["path"], int(frame["line"])
            continue
        is_error = row[margin : margin + 1].strip() and _ERROR.fullmatch(row[margin:])
        if number > start and is_error:
            return number + 1, place, line, row[margin:]
        if number > start and row and not row[margin : margin + 1].isspace() and not is_error:
            break  # something else is printed here
    return number, place, line, "an exception"
