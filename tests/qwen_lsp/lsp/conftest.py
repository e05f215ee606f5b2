"""No test of the server reads the settings of whoever runs it."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the user's home of settings."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("QWEN_LSP_HOME", str(home))
    return home
