"""A change on the disk: byte for byte, all of it or nothing, and nothing left beside it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_lsp.disk import apply
from qwen_lsp.errors import NotDone, StaleDocument
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import NO_USAGE, Asked, FileChange, Plan, Refactored
from qwen_lsp.features.refactor.workspace import workspace
from qwen_lsp.text.edits import EditSet
from tests.qwen_lsp.features.refactor.saying import Saying, block

MADE = FileChange("new/deep/c.py", "new/deep/c.py", None, "c = '🧺'\n")
CHANGED = FileChange("a.py", "a.py", "a = 1\n", "a = 2\n")
MOVED = FileChange("sub/b2.py", "sub/b.py", "b = 1\n", "b = 2\n")
GONE = FileChange("d.py", "d.py", "d = 1\n", None)
ALL = (MADE, CHANGED, MOVED, GONE)
BEFORE = {"a.py": b"a = 1\n", "sub/b.py": "\ufeffb = 1\n".encode(), "d.py": b"d = 1\n"}
AFTER = {"a.py": b"a = 2\n", "sub/b2.py": "\ufeffb = 2\n".encode(), "new/deep/c.py": "c = '🧺'\n".encode()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "w"
    for path, octets in BEFORE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(octets)
    return root


def put(root: Path, *changes: FileChange) -> None:
    apply(workspace(root, {}), Refactored(EditSet(), changes, NO_USAGE, Plan({})))


def held(root: Path) -> dict[str, bytes]:
    """All files; folders end in a slash where nothing is in them."""
    paths = sorted(root.rglob("*"))
    empty = {f"{path.relative_to(root)}/": b"" for path in paths if path.is_dir() and not any(path.iterdir())}
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.is_file()} | empty


def test_all_of_it_is_put_there(root: Path) -> None:
    (root / "a.py").chmod(0o751)
    put(root, *ALL)
    assert held(root) == AFTER
    assert (root / "a.py").stat().st_mode & 0o777 == 0o751


CALLS = {"replace": Path.replace, "unlink": Path.unlink, "chmod": Path.chmod}


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> Iterator[int]:
    """The call with this number fails, as on a full or broken disk; those after it work."""
    calls = iter(range(1_000))
    real = CALLS[name]

    def call(path: Path, *arguments: object, **named: object) -> object:
        if next(calls) == number:
            raise OSError(28, "No space left on device")
        return real(path, *arguments, **named)  # type: ignore[operator]

    monkeypatch.setattr(Path, name, call)
    return calls


@pytest.mark.parametrize(
    ("name", "number"), [("replace", 0), ("replace", 1), ("replace", 2), ("unlink", 0), ("unlink", 1), ("chmod", 1)]
)
def test_what_fails_half_way_leaves_all_as_it_was(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    with monkeypatch.context() as patch:
        calls = failing(patch, name, number)
        with pytest.raises(OSError, match="No space left"):
            put(root, *ALL)
    assert next(calls) > number
    assert held(root) == BEFORE


def test_a_disk_that_fills_up_while_texts_are_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdopen

    def full(descriptor: int, mode: str) -> object:
        if "b" in mode:
            os.close(descriptor)
            raise OSError(28, "No space left on device")
        return real(descriptor, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(OSError, match="No space left"):
            put(root, *ALL)
    assert held(root) == BEFORE


def test_half_a_character_is_no_text_of_a_file(root: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        put(root, CHANGED, FileChange("d.py", "d.py", "d = 1\n", "d = '\ud800'\n"))
    assert held(root) == BEFORE


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (lambda root: (root / "a.py").write_text("a = 3\n"), r"a\.py changed meanwhile"),
        (lambda root: (root / "a.py").unlink(), r"a\.py changed meanwhile"),
        (lambda root: (root / "a.py").chmod(0o444), r"a\.py: it is read-only"),
        (lambda root: (root / "new/deep/c.py").mkdir(parents=True), r"new/deep/c\.py was made meanwhile"),
        (lambda root: (root / "sub/b2.py").symlink_to("/nowhere"), "link"),
        (lambda root: (root / "new").symlink_to(root.parent), "link"),
        (lambda root: (root / ".qwenignore").write_text("d.py\n"), "qwenignored"),
    ],
)
def test_what_is_not_as_it_was_is_left_alone(root: Path, meanwhile: object, reason: str) -> None:
    assert callable(meanwhile)
    meanwhile(root)
    before = held(root)
    with pytest.raises((NotDone, StaleDocument), match=reason):
        put(root, *ALL)
    assert held(root) == before


def test_a_file_where_a_folder_is_needed_is_a_reason(root: Path) -> None:
    with pytest.raises(NotDone, match="not a folder"):
        put(root, CHANGED, FileChange("a.py/c.py", "a.py/c.py", None, "c = 1\n"))
    assert held(root) == BEFORE


LONG = "".join(f"def f{number}():\n    return {number}\n\n\n" for number in range(2_500))  # 10,000 lines
EMOJI = "a = '👩\u200d👧e\u0301'\n"
FILES = [
    ("crlf.py", b"a = 1\r\nb = 2\r\n", ("b = 2\n", "b = 3\nc = 4\n"), b"a = 1\r\nb = 3\r\nc = 4\r\n"),
    ("cr.py", b"a = 1\rb = 2\r", ("b = 2\n", "b = 3\n"), b"a = 1\rb = 3\r"),
    ("mixed.py", b"a = 1\r\nb = 2\nc = 3\r\n", ("b = 2\n", "b = 3\n"), b"a = 1\r\nb = 3\r\nc = 3\r\n"),
    ("open.py", b"a = 1\nb = 2", ("b = 2\n", "b = 3\n"), b"a = 1\nb = 3"),
    ("open_crlf.py", b"a = 1\r\nb = 2", ("b = 2\n", "b = 3\nc = 4\n"), b"a = 1\r\nb = 3\r\nc = 4"),
    ("last.py", b"a = 1\nb = 2", ("b = 2\n", ""), b"a = 1"),
    ("bom.py", b"\xef\xbb\xbfa = 1\r\n", ("a = 1\n", "a = 2\n"), b"\xef\xbb\xbfa = 2\r\n"),
    ("tabs.py", b"if a:\n\tb = 1\n\tc = 2\n", ("\tb = 1\n", "\tb = 3\n"), b"if a:\n\tb = 3\n\tc = 2\n"),
    ("tabs.go", b"package a\n\n\tvar x = 1\n", ("    var x = 1\n", "    var x = 2\n"), b"package a\n\n\tvar x = 2\n"),
    ("emoji.py", EMOJI.encode(), (EMOJI, "a = '🧺'\n"), "a = '🧺'\n".encode()),
    ("feed.py", b"a = 1\n\x0c\nb = '\xe2\x80\xa8'\n", ("a = 1\n", "a = 2\n"), b"a = 2\n\x0c\nb = '\xe2\x80\xa8'\n"),
    ("empty.py", b"", ("", "a = 1\n"), b"a = 1\n"),
    ("long.py", LONG.encode(), ("    return 1234\n", "    return 0\n"), LONG.replace(" 1234\n", " 0\n").encode()),
    ("heads.rst", b"Use\r\n=======\r\nx\r\n", ("Use\n=======\n", "Usage\n=======\n"), b"Usage\r\n=======\r\nx\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "octets", "edit", "becomes"), FILES, ids=[row[0] for row in FILES])
async def test_what_was_not_meant_keeps_its_bytes(
    tmp_path: Path, name: str, octets: bytes, edit: tuple[str, str], becomes: bytes
) -> None:
    """From the model's answer to the disk."""
    (tmp_path / name).write_bytes(octets)
    place, instruction = workspace(tmp_path, {}), "let f1234 return 0"
    asked = Asked(instruction, plan=Plan({name: ()}))
    done = await refactor(asked, place, Saying([([], block(name, *edit))]))
    assert isinstance(done, Refactored), done
    apply(place, done)
    assert held(tmp_path) == {name: becomes}
    assert sum(each.end - each.start + len(each.new_text) for each in done.edits.edits) < 60
