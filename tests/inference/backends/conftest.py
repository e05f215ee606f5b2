"""The three backends, loaded once: two real engines on the same fp32 weights, and the scripted one."""

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.backends.base import Backend, EngineName, EngineSettings
from inference.backends.scripted import ScriptedBackend
from inference.models.catalogue import ModelFiles, load
from tests.inference.weights import EMBEDDED, write_gguf

SETTINGS = EngineSettings(n_ctx=512, n_cells=1024, max_sequences=4, chunk=64, exact=True)


def history(tokens: tuple[int, ...]) -> int:
    """A next token that depends on every token before it, as a model's does."""
    return zlib.crc32(repr(tokens).encode()) % 256


@pytest.fixture(scope="session")
def exact_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "exact.gguf")


@pytest.fixture(scope="session")
def mlx() -> Iterator[Backend]:
    yield from _loaded("mlx", EMBEDDED)


@pytest.fixture(scope="session")
def llama(exact_gguf: Path) -> Iterator[Backend]:
    yield from _loaded("llama", exact_gguf)


@pytest.fixture(scope="session")
def scripted() -> Backend:
    return ScriptedBackend(history, SETTINGS)


@pytest.fixture(params=["mlx", "llama", "scripted"])
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.getfixturevalue(request.param)
    return chosen


def _loaded(engine: EngineName, path: Path) -> Iterator[Backend]:
    backend = load(ModelFiles("embedded", engine, path, is_embedded=True), SETTINGS)
    yield backend
    backend.shutdown()
