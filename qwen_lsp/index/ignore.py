"""Patterns of ignore files, as git reads them: text -> patterns -> does this one path match, and by which line?

A translation of git's wildmatch into regular expressions over bytes, held against `git check-ignore` by a property
test. Why not a library: rignore only walks (it neither judges one path nor names the line), and pathspec departs from
git where folders are judged one by one (`dir/**` with `!dir/keep`, `[!a]` and `/`, POSIX classes, tabs at the end).
Pure; knows no files and no repository.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_STAR = b"*"  # stands for itself until the whole glob is read
_SPECIAL = re.compile(rb"[*?\[\\]")
# What git's wildmatch knows in [[:name:]], in the C locale.
_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": b"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": b"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    b"space": rb" \t\n\r\f\v",
    b"upper": b"A-Z",
    b"xdigit": b"0-9A-Fa-f",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file. `regex` is to match the whole bare name, or with `anchored` the whole path."""

    place: str  # for people: `.gitignore:3: build/`
    excludes: bool  # False behind a `!`
    folders_only: bool
    anchored: bool
    regex: bytes


class PatternFile:
    """An ignore file's patterns; the last one that matches decides. `base` is its folder, absolute, ending in /."""

    __slots__ = ("_any_name", "_any_path", "_n_base", "_rows")

    def __init__(self, base: bytes, patterns: Sequence[Pattern], *, ignore_case: bool) -> None:
        flags = re.DOTALL | (re.IGNORECASE if ignore_case else 0)
        self._n_base = len(base)
        self._rows = [(pattern, re.compile(pattern.regex, flags)) for pattern in reversed(patterns)]
        # Nearly all paths match nothing: one look by one expression tells.
        self._any_name = _any([pattern for pattern in patterns if not pattern.anchored], flags)
        self._any_path = _any([pattern for pattern in patterns if pattern.anchored], flags)

    def match(self, path: bytes, name: bytes, is_folder: bool) -> Pattern | None:
        """The pattern that decides about the absolute `path`, whose last part is `name`; None: this file is silent."""
        below = path[self._n_base :]
        if not (self._any_name and self._any_name.fullmatch(name)) and not (
            self._any_path and self._any_path.fullmatch(below)
        ):
            return None
        for pattern, regex in self._rows:
            if (is_folder or not pattern.folders_only) and regex.fullmatch(below if pattern.anchored else name):
                return pattern
        return None


def parse(text: bytes, shown: str) -> Iterator[Pattern]:
    """The patterns of an ignore file that is called `shown`, in order, without the lines that can match nothing."""
    lines = text.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, 1):
        raw = line.removesuffix(b"\r") if number < len(lines) or line.endswith(b"\r") else line
        pattern = _pattern(raw.split(b"\0", 1)[0], f"{shown}:{number}: {raw.decode('utf-8', 'replace')}")
        if pattern is not None:
            yield pattern


def _any(patterns: Sequence[Pattern], flags: int) -> re.Pattern[bytes] | None:
    return re.compile(b"|".join(b"(?:" + pattern.regex + b")" for pattern in patterns), flags) if patterns else None


def _pattern(line: bytes, place: str) -> Pattern | None:
    if line.startswith(b"#"):
        return None
    glob = _without_trailing_spaces(line)
    excludes = not glob.startswith(b"!")
    glob = glob.removeprefix(b"!")
    folders_only = glob.endswith(b"/")
    glob = glob.removesuffix(b"/")
    anchored = b"/" in glob
    glob = glob.removeprefix(b"/")
    regex = _translate(glob, anchored) if glob else None
    return None if regex is None else Pattern(place, excludes, folders_only, anchored, regex)


def _without_trailing_spaces(line: bytes) -> bytes:
    """Spaces at the end do not count unless a backslash stands before them; tabs do."""
    end = len(line.rstrip(b" "))
    n_backslashes = end - len(line[:end].rstrip(b"\\"))
    return line[: end + 1] if n_backslashes % 2 else line[:end]


def _translate(glob: bytes, anchored: bool) -> bytes | None:
    """The expression for a glob; None where it can match nothing (an open bracket, a backslash at the end)."""
    special = _SPECIAL.search(glob)
    if special is None:
        return re.escape(glob)
    # git compares what stands before the first special character apart, so `**` there is at a start: `a**/b`.
    start = at = special.start()
    one = rb"[^/]" if anchored else b"."
    parts = [re.escape(glob[:start])]
    while at < len(glob):
        byte = glob[at : at + 1]
        if byte == b"*":
            end = at + len(glob[at:]) - len(glob[at:].lstrip(b"*"))
            whole = anchored and end - at > 1 and (at == start or glob[at - 1 : at] == b"/")
            if whole and glob[end : end + 1] == b"/":
                parts.append(rb"(?:.*/)?")
                end += 1
            else:
                parts.append(b".*" if whole and glob[end : end + 2] in (b"", b"\\/") else _STAR)
            at = end
        elif byte == b"[":
            found = _bracket(glob, at + 1, anchored)
            if found is None:
                return None
            expression, at = found
            parts.append(expression)
        elif byte == b"\\":
            if at + 1 == len(glob):
                return None
            parts.append(re.escape(glob[at + 1 : at + 2]))
            at += 2
        else:
            parts.append(one if byte == b"?" else re.escape(byte))
            at += 1
    return b"".join(_without_backtracking(parts, one))


def _without_backtracking(parts: Sequence[bytes], one: bytes) -> Iterator[bytes]:
    """The parts with an expression for each `*`, that takes `one` byte any number of times.

    Where another `*` follows in the same name, it takes the least it can and keeps that: no match is lost, and no
    repository can stop us with `*a*a*a*a*a*a*b`.
    """
    held: list[bytes] | None = None  # what stands behind the last `*`
    for part in parts:
        if part is _STAR:
            if held is not None:
                yield b"(?>" + one + b"*?" + b"".join(held) + b")"
            held = []
        elif held is None:
            yield part
        else:
            held.append(part)
            if part == b"/":
                yield one + b"*" + b"".join(held)
                held = None
    if held is not None:
        yield one + b"*" + b"".join(held)


def _bracket(glob: bytes, at: int, anchored: bool) -> tuple[bytes, int] | None:
    """The expression for the set that begins at `at`, behind its bracket, and where the glob goes on."""
    negated = glob[at : at + 1] in (b"!", b"^") and at < len(glob)
    at += negated
    members: list[bytes] = []
    first, low = True, -1  # `low`: the byte that a hyphen would start a range from
    while first or glob[at : at + 1] != b"]":
        first = False
        if at >= len(glob):
            return None
        byte = glob[at]
        if byte == ord("-") and low > 0 and at + 1 < len(glob) and glob[at + 1] != ord("]"):
            at += 1
            if glob[at] == ord("\\"):
                at += 1
                if at >= len(glob):
                    return None
            if low <= glob[at]:
                members.append(b"\\x%02x-\\x%02x" % (low, glob[at]))
            low = -1
        elif glob[at : at + 2] == b"[:":
            end = glob.find(b"]", at + 2)
            if end < 0:
                return None
            if glob[end - 1] == ord(":") and end - 1 >= at + 2:
                if glob[at + 2 : end - 1] not in _CLASSES:
                    return None
                members.append(_CLASSES[glob[at + 2 : end - 1]])
                low, at = -1, end
            else:  # no ":]": an ordinary set that has a bracket in it
                low = byte
                members.append(rb"\[")
        else:
            if byte == ord("\\"):
                at += 1
                if at >= len(glob):
                    return None
                byte = glob[at]
            low = byte
            members.append(b"\\x%02x" % byte)
        at += 1
    body = b"".join(members)
    if negated:
        return (rb"[^/" if anchored else b"[^") + body + b"]" if body or anchored else b".", at + 1
    allowed = b"[" + body + b"]" if body else rb"(?!)"
    return (rb"(?!/)" if anchored else b"") + allowed, at + 1
