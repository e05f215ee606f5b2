"""What a daemon has read outlives it: a restart begins with the trunk, and a damaged file only costs the time."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.daemons import Daemons

TRUNK = "".join(f"def f{n}(value):\n    return value + {n}\n\n\n" for n in range(150))  # some 2,000 tokens
SAVED_S = 60.0

pytestmark = pytest.mark.parametrize("engine", ["llama", "mlx"])


def ask(socket: str, question: str) -> dict[str, Any]:
    """The answer to a question after the trunk, at whose end a mark stands."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket), base_url="http://daemon", timeout=120) as client:
        while client.get("/health").status_code == 503:
            time.sleep(0.05)
        trunk, rest = [client.post("/tokenize", json={"content": text}).json()["tokens"] for text in (TRUNK, question)]
        body = {"prompt": trunk + rest, "max_tokens": 8, "temperature": 0, "cache_marks": [len(trunk)]}
        answer: dict[str, Any] = client.post("/v1/completions", json=body).json()
        return answer


def start(daemons: Daemons, engine: str) -> str:
    return daemons.run("start", "--engine", engine).splitlines()[-1].removeprefix("unix:")


def saved(daemons: Daemons) -> list[Path]:
    return list((daemons.home / "cache" / "prefixes").glob("*.prefix"))


def test_a_restart_begins_with_the_trunk(daemons: Daemons, engine: str) -> None:
    before = set(saved(daemons))
    socket = start(daemons, engine)
    cold = ask(socket, "x = f1(")
    ask(socket, "y = f2(")
    begun = time.monotonic()
    while not set(saved(daemons)) - before:
        assert time.monotonic() - begun < SAVED_S, "an idle daemon saves its trunk"
        time.sleep(0.1)
    daemons.run("stop", "--engine", engine)

    warm = ask(start(daemons, engine), "x = f1(")
    n_prompt, n_cached = warm["usage"]["prompt_tokens"], warm["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert n_prompt - n_cached < 20
    assert warm["choices"][0]["text"] == cold["choices"][0]["text"]
    daemons.run("stop", "--engine", engine)

    for path in set(saved(daemons)) - before:
        path.write_bytes(path.read_bytes()[:-1000])
    again = ask(start(daemons, engine), "x = f1(")
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert again["choices"][0]["text"] == cold["choices"][0]["text"]
    assert not set(saved(daemons)) - before, "the damaged file is gone"
    daemons.run("stop", "--engine", engine)
