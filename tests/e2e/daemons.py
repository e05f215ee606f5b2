"""The daemons of one home, asked from outside as a user would."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_S = 120


@dataclass(frozen=True, slots=True)
class Daemons:
    """All daemons of the home that `QWEN_LSP_HOME` names."""

    home: Path

    def run(self, *arguments: str) -> str:
        """`python -m inference` with these arguments; its standard output."""
        command = [sys.executable, "-m", "inference", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def running(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("status", "--json"))
        return [each for each in found if each["state"] == "ready"]

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is asked of the daemons waits until the end of this."""
        pids = [each["pid"] for each in self.running()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def evaluated(self, engine: str) -> int:
        """Tokens that the engine's one daemon has evaluated so far."""
        [daemon] = [each for each in self.running() if each["engine"] == engine]
        return int(daemon["tokens_evaluated"])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
