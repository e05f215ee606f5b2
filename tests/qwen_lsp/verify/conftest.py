"""A home of the tests' own, and workspaces that are trusted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_lsp.verify import sandbox
from qwen_lsp.verify.sandbox import Guard
from qwen_lsp.verify.trust import trust

NO_GUARD = Guard("none", "no sandbox")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path, home: Path) -> Path:
    """A trusted folder, empty."""
    root = tmp_path / "w"
    root.mkdir()
    trust(root)
    return root


@pytest.fixture(params=["bubblewrap", "none"])
def guard(request: pytest.FixtureRequest) -> Iterator[Guard]:
    """Both ways to run: guarded, where this machine can, and not."""
    if request.param == "none":
        yield NO_GUARD
        return
    found = sandbox.guard()
    if found.kind != "bubblewrap":
        pytest.skip(found.told)
    yield found
