"""Buffers as symbols, judged as files are; and the program that does it."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest

from qwen_lsp.index import frames
from qwen_lsp.index.buffers import KEPT_BYTES, Trees
from qwen_lsp.index.live import Buffer, Live
from qwen_lsp.index.symbols import BufferSymbols
from tests.qwen_lsp.index.trees import repository, write

TIMEOUT_S = 60.0


def names(buffer: object) -> list[str]:
    assert isinstance(buffer, BufferSymbols)
    return [definition.name for definition in buffer.symbols.definitions]


def test_a_buffer_has_the_symbols_of_its_text_not_of_its_file(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "def disk(): pass\n"})
    assert names(Live().symbols_of(Buffer(tmp_path, "a.py", "def ä():\r\n  pass\r\nclass C: pass\r\n"))) == ["ä", "C"]
    assert names(Live().symbols_of(Buffer(tmp_path, "not/there/yet.py", "def f(: broken"))) in ([], ["f"])
    assert names(Live().symbols_of(Buffer(tmp_path, "tool", "#!/usr/bin/env python3\ndef g(): pass\n"))) == ["g"]


@pytest.mark.parametrize("path", [".env", "build/a.py", "data.csv", "id_rsa"])
def test_what_does_not_count_has_none(tmp_path: Path, path: str) -> None:
    root = write(repository(tmp_path), {".gitignore": "build/\n"})
    assert Live().symbols_of(Buffer(root, path, "def f(): pass\n")) is None
    assert Live().symbols_of(Buffer(root, "long.js", "x" * 10_000)) is None


def test_a_change_has_the_symbols_of_the_new_text(tmp_path: Path) -> None:
    """Also where the path changes its language, and where a credential that was typed becomes stars."""
    live = Live()
    texts = [
        "def f():\n    pass\n",
        "class C:\n    def f(self):\n        pass\n",
        "class C:\n    password = 'hunter22'\n    def f(self):\n        pass\n",
        "class C:\n    password = 'hunter22'\n    def é(self):\n        pass\n",
        "",
        "#!/bin/sh\ng() {\n}\n",
    ]
    for text in texts:
        for path in ("a.py", "b.py", "tool"):
            buffer = Buffer(tmp_path, path, text)
            assert live.symbols_of(buffer) == Live().symbols_of(buffer)
    assert len(live.trees.kept) == 3


def test_few_trees_are_kept() -> None:
    trees = Trees()
    for key in range(5):
        assert trees.parse(key, "python", b"x = 1\n" * (KEPT_BYTES // 15)) is not None
    assert list(trees.kept) == [3, 4]
    assert trees.parse("none", "no such language", b"") is None


def test_the_program_answers_in_order_and_ends_with_its_input(tmp_path: Path) -> None:
    said = b"".join(frames.packed(Buffer(tmp_path, f"{name}.py", f"def {name}(): pass\n")) for name in "fg")
    done = subprocess.run(
        [sys.executable, "-m", "qwen_lsp.index.live"], input=said, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=True
    )
    answers = BytesIO(done.stdout)
    assert [names(frames.read(answers)) for _ in range(2)] == [["f"], ["g"]]
