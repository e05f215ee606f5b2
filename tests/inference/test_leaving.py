"""A client that leaves costs at most the step its job stands in, whatever the job does and whoever else is served."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from inference.backends.scripted import Hook, ScriptedBackend
from inference.generation import Priority
from inference.runner import CHUNK
from tests.inference.live import Live, counting, live
from tests.inference.test_scheduler import Gate
from tests.inference.test_server import asking

LEAVER, OTHERS = ord("x"), (ord("a"), ord("b"))  # first tokens of the prompts
N_PROMPT, N_TOKENS = 8, 60  # of the others


class Counted(ScriptedBackend):
    """Counts what is evaluated by the first token of its sequence."""

    def __init__(self, hook: Hook) -> None:
        self.counts: Counter[int] = Counter()
        super().__init__(counting, hook=hook)

    def _pass(self, tokens: Mapping[int, Sequence[int]]) -> None:
        super()._pass(tokens)
        for seq, added in tokens.items():
            self.counts[self._rows[seq][0].token] += len(added)


def step(running: Live, gate: Gate) -> None:
    """Let the owner go on to where it asks for the next step."""
    n_before = gate.steps.qsize()
    gate.let()
    running.until(lambda: gate.steps.qsize() > n_before)


@pytest.mark.parametrize(
    ("n_others", "n_prompt", "n_before", "limit"),
    [
        pytest.param(1, 8 * CHUNK, 0, 0, id="queued"),
        pytest.param(2, 8 * CHUNK, 0, 0, id="queued behind two"),
        pytest.param(0, 8 * CHUNK, CHUNK, CHUNK, id="prefill"),
        pytest.param(2, 8 * CHUNK, CHUNK, CHUNK, id="prefill beside two"),
        pytest.param(0, 8, 10, 1, id="decode"),
        pytest.param(2, 8, 10, 1, id="decode beside two"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_leaving(
    tmp_path: Path,
    n_others: int,
    n_prompt: int,
    n_before: int,
    limit: int,
    stream: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The leaver goes once `n_before` of its tokens are evaluated; then come at most `limit` more."""
    caplog.set_level(logging.INFO, logger="inference")
    gate = Gate()
    backend = Counted(gate)
    with live(tmp_path, lambda: backend) as running:
        stats, others = running.scheduler.stats, OTHERS[:n_others]
        gate.close()
        connections = [
            asking(running, prompt=[token] * N_PROMPT, max_tokens=N_TOKENS, user=chr(token)) for token in others
        ]
        running.until(lambda: stats().queued + stats().running == n_others and gate.steps.empty() == (not others))
        while others and min(backend.counts[token] for token in others) <= N_PROMPT:
            step(running, gate)
        leaver = asking(running, prompt=[LEAVER] * n_prompt, max_tokens=1000, user="leaver", stream=stream)
        running.until(lambda: stats().queued + stats().running == n_others + 1 and not gate.steps.empty())
        while backend.counts[LEAVER] < n_before:
            step(running, gate)
        evaluated = backend.counts[LEAVER]
        leaver.close()
        running.until(lambda: "left by the client" in caplog.text)
        gate.open()
        running.until(lambda: sum(stats().jobs.values()) == n_others + 1)
        assert backend.counts[LEAVER] - evaluated <= limit
        wanted = Counter({(Priority.ACTION, "length"): n_others, (Priority.ACTION, "cancelled"): 1})
        assert stats().jobs == +wanted
        for token, connection in zip(others, connections, strict=True):
            assert backend.counts[token] == N_PROMPT + N_TOKENS - 1
            with closing(connection):
                assert b"200 OK" in connection.recv(10_000)
        assert stats().tokens_evaluated == backend.n_evaluated
