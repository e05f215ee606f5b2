"""Small repositories with a history, made by the tests. Nobody's configuration or signature has a say."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

DAY_S = 86_400
START = 1_700_000_000  # 2023-11-14

Tree = Mapping[str, str | bytes | None]  # path -> what it holds now; None: it goes


def repository(folder: Path, trees: Sequence[Tree]) -> Path:
    """One commit per tree, a day apart; a tree names what changed."""
    folder.mkdir(parents=True)
    _git(folder, START, "init", "--quiet", "--initial-branch=main")
    for number, tree in enumerate(trees):
        for path, content in tree.items():
            file = folder / path
            if content is None:
                file.unlink()
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        _git(folder, START, "add", "--all")
        _git(folder, START + number * DAY_S, "commit", "--quiet", "--message", f"change {number}")
    return folder


def _git(folder: Path, time: int, *arguments: str) -> None:
    who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in _person(time).items()}
    environ = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    subprocess.run(["git", *arguments], cwd=folder, env=environ, check=True)


def _person(time: int) -> dict[str, str]:
    return {"NAME": "somebody", "EMAIL": "somebody@example.org", "DATE": f"{time} +0000"}
