"""Emacs' own client, eglot, without a window: a code action, and a suggestion as an item; what was said is checked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project, tee, traffic
from tests.e2e.editors.places import need

pytestmark = [pytest.mark.editors, pytest.mark.timeout(120)]

SCRIPT = Path(__file__).parent / "emacs/eglot.el"


def test_an_action_and_an_item_are_taken(daemons: Daemons, tmp_path: Path) -> None:
    program = need("emacs")
    asked = [str(program), "--batch", "--eval", "(require 'eglot)"]
    if subprocess.run(asked, capture_output=True, timeout=60, check=False).returncode != 0:
        pytest.skip("this Emacs has no eglot")
    project.settings(daemons.home)
    log, root = tmp_path / "traffic.jsonl", project.make(tmp_path)
    server = [sys.executable, tee.__file__, str(log), "--", sys.executable, "-P", "-m", "qwen_lsp"]
    command = [str(program), "--batch", "-l", str(SCRIPT), "--", *server]
    environ = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    actions, after = (json.loads(line) for line in done.stdout.splitlines())
    assert "Qwen: fill in is_empty" in actions["actions"]
    filled = project.STOCK.replace("pass\n", f"{project.IS_EMPTY}\n")
    assert after["text"] == f"{filled}\n    {project.TOTAL_TYPED}\n{project.TOTAL}".rstrip("\n")
    [session] = traffic.check(log)
    messages = [each["params"]["message"] for each in session.sent("server", "window/showMessage")]
    assert messages == []  # it reports a change only when the command has ended: that is no fault
    asked = [each["params"]["command"] for each in session.sent("editor", "workspace/executeCommand")]
    assert asked == ["qwen.applyAction"]  # eglot does not run an item's command: no acceptance is counted
