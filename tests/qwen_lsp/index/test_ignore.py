"""Ignore files, line by line, and against the real git on random ones."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_lsp.index.ignore import PatternFile, parse
from tests.qwen_lsp.index.trees import git, repository


def check(text: bytes, path: str, *, is_folder: bool = False, ignore_case: bool = False) -> str | None:
    """The line that excludes the path, or None; the ignore file lies in /w/."""
    file = PatternFile(b"/w/", tuple(parse(text, ".gitignore")), ignore_case=ignore_case)
    raw = path.encode()
    found = file.match(b"/w/" + raw, raw.rsplit(b"/", 1)[-1], is_folder)
    return found.place if found is not None and found.excludes else None


def test_the_last_line_that_matches_decides_and_is_told() -> None:
    text = b"# logs\n*.log\n!keep.log\n\n/keep.log\n"
    assert check(text, "a/b.log") == ".gitignore:2: *.log"
    assert check(text, "a/keep.log") is None
    assert check(text, "keep.log") == ".gitignore:5: /keep.log"


def test_a_slash_at_the_end_is_for_folders() -> None:
    assert check(b"build/", "build", is_folder=True) == ".gitignore:1: build/"
    assert check(b"build/", "build") is None


@pytest.mark.parametrize(
    ("text", "path", "excluded"),
    [
        (b"\xef\xbb\xbfa", "a", True),  # a byte order mark is no part of the first line
        (b"a\r\n", "a", True),
        (b"a ", "a", True),
        (b"a\\ ", "a ", True),
        (b"a\t", "a", False),
        (b"\\#a", "#a", True),
        (b"\\!a", "!a", True),
        (b"a\\", "a", False),
        (b"a[", "a[", False),
        (b"d/**", "d", False),
        (b"d/**", "d/a", True),
        (b"d/**/e", "d/e", True),
        (b"d/**/e", "d/a/b/e", True),
        (b"d/*", "d/a/b", False),
        (b"d/[!a]e", "d/be", True),
        (b"d[!a]e", "d/e", False),
        (b"[[:digit:]x]", "7", True),
        (b"[]-]", "-", True),
        (b"???", "é?", True),  # git counts bytes
        (b"a\0b", "a", True),
    ],
)
def test_odd_lines(text: bytes, path: str, excluded: bool) -> None:
    assert (check(text, path) is not None) is excluded


def test_case_where_the_file_system_has_none() -> None:
    assert check(b"Build", "build") is None
    assert check(b"Build", "build", ignore_case=True) is not None


@pytest.mark.parametrize("glob", [b"*a" * 30 + b"b", b"/d/" + b"*a" * 30 + b"b/c"])
def test_no_pattern_takes_long(glob: bytes) -> None:
    """Trying all ways for the stars would take longer than there is time."""
    started = time.process_time()
    assert check(glob, "d/" + "a" * 250 + "/c") is None
    assert check(glob, "a" * 250) is None
    assert time.process_time() < started + 1


NAMES = ["a", "b", "foo", "ba", "foo.c", "é", "A", "]", "a ", "#a", "!a", "-", "a-c", ".c", "x\ny"]
PIECES = [*"ab*?/!]#-.[ \\\t", "foo", "**", "/**", "**/", "[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[[:alpha:]]", "\\*"]
PIECES += ["[[:no:]]", "[[:x]", "[a-]", "[c-a]", "[\\]]", "\\ ", "é", "*.c", "A", "[a\\-c]", "***"]
texts = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join), min_size=1, max_size=6)
paths = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join), min_size=1, max_size=25)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, st.dictionaries(st.sampled_from(NAMES), texts, max_size=3), paths, st.sampled_from(["\n", "\r\n"]))
def test_judges_as_git_does(top: list[str], below: dict[str, list[str]], files: list[str], end: str) -> None:
    """The same paths, and for each the same line of the same file."""
    with tempfile.TemporaryDirectory() as folder:
        root = repository(Path(folder))
        for path in files:
            # A file where another path has a folder gives way.
            if not any(parent.is_file() for parent in (root / path).parents) and not (root / path).is_dir():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).touch()
        ignores = {"": end.join(top)}
        ignores |= {f"{name}/": end.join(lines) for name, lines in below.items() if (root / name).is_dir()}
        for place, text in ignores.items():
            (root / place / ".gitignore").write_bytes(text.encode())
        there = sorted(str(path.relative_to(root)) for path in root.rglob("*") if ".git" not in path.parts)
        rules = {
            place: PatternFile(os.fsencode(f"{root}/{place}"), tuple(parse(text.encode(), place)), ignore_case=False)
            for place, text in ignores.items()
        }
        ours = {path: line for path in there if (line := judged(root, rules, path)) is not None}
        assert ours == git_says(root, there)


def judged(root: Path, rules: dict[str, PatternFile], path: str) -> str | None:
    """`.gitignore`'s place and the line's number, for a path in a folder that is itself excluded that of the folder."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        at = "/".join(parts[:depth])
        for above in range(depth - 1, -1, -1):
            place = "".join(f"{part}/" for part in parts[:above])
            raw = os.fsencode(parts[depth - 1])
            found = (
                rules[place].match(os.fsencode(f"{root}/{at}"), raw, (root / at).is_dir()) if place in rules else None
            )
            if found is not None:
                if found.excludes:
                    return ":".join(found.place.split(":")[:2])
                break
    return None


def git_says(root: Path, paths: Sequence[str]) -> dict[str, str]:
    given = b"".join(path.encode() + b"\0" for path in paths)
    out = git(root, "check-ignore", "--no-index", "--stdin", "-z", "-v", given=given).decode().split("\0")
    rows = [out[at : at + 4] for at in range(0, len(out) - 3, 4)]
    return {
        path: f"{file.removesuffix('.gitignore')}:{line}" for file, line, pattern, path in rows if pattern[:1] != "!"
    }
