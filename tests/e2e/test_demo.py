"""The README's first command, on the sample and on a folder that nobody would wish for."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons


def play(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qwen_lsp", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)


@pytest.mark.parametrize("engine", ["llama", "mlx"])
def test_the_story_is_told_on_the_sample(daemons: Daemons, engine: str) -> None:
    done = play("--engine", engine, "--json")
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    asked = [step for step in steps if step["evaluated"] is not None]
    assert len(asked) >= 7
    assert all(step["answer"] for step in steps)
    cold, *warm = [step for step in asked if "ghost text" in step["asked"]]
    assert all(step["reused"] > 0 or step["evaluated"] == 0 for step in warm)  # typed through: no model is asked
    assert max(step["evaluated"] for step in warm) < cold["evaluated"]
    assert any("code actions" in step["asked"] for step in steps)
    assert any("completion items" in step["asked"] for step in steps)


def test_prints_a_timeline_for_a_person(daemons: Daemons) -> None:
    done = play("--engine", "llama")
    assert done.returncode == 0, done.stderr
    assert "tokens evaluated" in done.stdout
    assert "window 2" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_plays_on_the_standard_library(daemons: Daemons) -> None:
    folder = Path(sysconfig.get_path("stdlib")) / "asyncio"
    done = play(str(folder), "--engine", "llama", "--json")
    assert done.returncode == 0, done.stderr
    assert any(step["evaluated"] for step in json.loads(done.stdout)["steps"])


def test_plays_among_broken_binary_huge_and_foreign_files(daemons: Daemons, tmp_path: Path) -> None:
    (tmp_path / "binary.py").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "latin.py").write_bytes("größe = 1\nweite = größe + 2\n".encode("latin-1") * 20)
    (tmp_path / "broken.py").write_text("def (:\n  value = first + second(\n  x = = 3\n\treturn ]\n" * 20)
    (tmp_path / "huge.py").write_text("value = 'x' + str(1)\n" * 100_000)
    (tmp_path / "crlf.py").write_bytes(
        b"def f(amount):\r\n    total = amount + offset\r\n    return total * 2\r\n" * 10
    )
    (tmp_path / "line.py").write_text("x = '" + "y" * 150_000 + "'\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "away.py").symlink_to("/etc/passwd")
    (Path(os.fsencode(tmp_path).decode()) / "empty.py").touch()
    with open(os.fsencode(tmp_path) + b"/\xff\xfe.py", "wb") as file:  # noqa: PTH123  # a name that is not UTF-8
        file.write(b"total = 1 + 2 + 3\n" * 20)
    os.mkfifo(tmp_path / "pipe.py")
    done = play(str(tmp_path), "--engine", "llama", "--json")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_says_that_there_is_nothing_to_play_in(daemons: Daemons, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    done = play(str(tmp_path))
    assert (done.returncode, done.stdout.count("Traceback")) == (1, 0)
    assert "no source file" in done.stderr
    assert play(str(tmp_path / "absent")).returncode == 2
