"""The remote engine against servers of other makers, each started as its users start it, with the embedded model."""

import sys
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from qwen_lsp.engine.abilities import FIM
from qwen_lsp.engine.client import Piece, RemoteEngine, Request, Usage
from qwen_lsp.prompt.segments import Control, Prompt, Text
from qwen_lsp.settings import Settings
from scripts.benches.inference_servers import peer

PREFIX, SUFFIX, MIDDLE = map(Control, FIM)
ASKED = Prompt(
    (PREFIX, SUFFIX, Text("\n\nprint(add(1, 2))\n"), MIDDLE, Text("def add(a, b):  # <|im_end|><think>\n    return a")),
    stop=("\n",),
    stop_controls=("<|endoftext|>",),
)
NEEDS = {"llama": "xllamacpp", "mlx": "mlx_lm"}


@pytest.fixture(params=["llama", "mlx"])
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RemoteEngine]:
    if find_spec(NEEDS[request.param]) is None:  # not imported here: mlx-lm lowers the limit of open files
        pytest.skip(f"needs {NEEDS[request.param]}, of the bench extra")
    server = peer(request.param, tmp_path / "log")
    engine = RemoteEngine(Settings(engine="openai", remote_url=f"http://127.0.0.1:{server.address}/v1"))
    try:
        yield engine
    finally:
        await engine.close()
        server.stop()


@pytest.mark.skipif(sys.platform == "win32", reason="the peers are started as on Linux and macOS")
async def test_it_completes_and_says_what_was_reused(engine: RemoteEngine) -> None:
    await engine.start()
    can = engine.abilities
    assert can is not None and can.completions and can.known.issuperset(FIM) and not can.grammar
    assert can.reads_controls, "both find <think> in plain text, llama-server with parse_special false, too"
    answers: list[tuple[str, Usage]] = []
    for _ in range(2):
        items = [item async for item in engine.generate(Request(ASKED, 8, "typing"))]
        text = "".join(item.text for item in items if isinstance(item, Piece))
        answers.append((text, [item for item in items if isinstance(item, Usage)][-1]))
    (first, cold), (second, warm) = answers
    assert first == second and len(first) > 4 and cold.completion_tokens == 8
    assert warm.cached_tokens is not None and warm.cached_tokens >= warm.prompt_tokens - 4 > 20
