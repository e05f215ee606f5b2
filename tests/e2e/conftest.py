"""The real thing: real processes, a real daemon with the embedded model, a home of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons, alive


@pytest.fixture(scope="module")
def daemons() -> Iterator[Daemons]:
    """An empty home for the module's tests; its daemons end with it."""
    with tempfile.TemporaryDirectory(prefix="qwen-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("QWEN_LSP_HOME", folder)
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        found = Daemons(Path(folder))
        try:
            yield found
        finally:
            found.run("stop", "--all")
            assert not [each for each in found.running() if alive(each["pid"])]
