"""Where `scripts/install-editors` puts the editors. Knows of none how it is driven."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

# An editor: the part of scripts/install-editors that has it, and its program in there ("": the folder itself).
EDITORS: Mapping[str, tuple[str, str]] = {
    "nvim": ("debian", "bin/nvim"),
    "hx": ("debian", "bin/hx"),
    "nvim-0.11": ("neovim-0.11", "bin/nvim"),
    "tmux": ("debian", "bin/tmux"),
    "vscode": ("vscode", ""),
}
# Editors of the machine's own, which scripts/install-editors does not bring: how to have them.
SYSTEM: Mapping[str, str] = {"emacs": "apt-get install --no-install-recommends emacs-nox elpa-eglot"}


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Outside the checkout: one installation serves all of them."""
    named, cache = environ.get("QWEN_LSP_EDITORS"), environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named)
    return (Path(cache) if cache else Path.home() / ".cache") / "qwen-lsp-editors"


def editor(name: str) -> Path | None:
    """The editor's program, if its part is completely installed."""
    if name in SYSTEM:
        found = shutil.which(name)
        return Path(found) if found else None
    part, program = EDITORS[name]
    home = folder() / part
    return home / program if (home / ".complete").exists() else None


def how_to_have(name: str) -> str:
    """The command that installs an editor."""
    return SYSTEM[name] if name in SYSTEM else f"scripts/install-editors {EDITORS[name][0]}"


def need(name: str) -> Path:
    """The editor's program; without it the test is skipped, and conftest.py tells so at the end of the run."""
    found = editor(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {how_to_have(name)}")
    return found
