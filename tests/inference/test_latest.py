"""`latest_of`: of a client's jobs of one kind only the newest is wanted; the older one ends at the next step."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.backends.scripted import ScriptedBackend
from inference.errors import Superseded
from inference.generation import Chunk, Job, Priority
from inference.runner import CHUNK
from tests.inference.live import Pace, live
from tests.inference.live import counting as letters
from tests.inference.test_scheduler import Gate, backend, job, read, scheduler_of, until


def typed(n_prompt: int, n_tokens: int, latest_of: str = "inline", client: str = "window", token: int = 1) -> Job:
    return replace(job(n_prompt, n_tokens, Priority.TYPING, client, token), latest_of=latest_of)


async def test_a_waiting_job_is_replaced_and_evaluates_nothing() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        first = scheduler.submit(job(4, 2, Priority.TYPING, "other"))
        await asyncio.to_thread(gate.steps.get)
        streams = [scheduler.submit(typed(50 + n, 3, token=2 + n)) for n in range(3)]
        gate.open()
        for stream in streams[:2]:
            with pytest.raises(Superseded, match="newer request"):
                await read(stream)
        assert (await read(streams[2]))[0] == [52, 53, 54]
        await read(first)
        stats = scheduler.stats()
        assert stats.jobs == {(Priority.TYPING, "superseded"): 2, (Priority.TYPING, "length"): 2}
        assert stats.tokens_evaluated == (4 + 1) + (52 + 2)
        assert (stats.queued, stats.running) == (0, 0)


async def test_a_running_job_ends_at_the_next_step_and_what_it_evaluated_stays() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        old = scheduler.submit(typed(100, 500))
        gate.let(5)  # 99 tokens, one, its sample; a step and its sample
        async for event in old:
            assert isinstance(event, Chunk)
            if event.usage.completion_tokens == 2:
                break
        await until(lambda: gate.steps.qsize() == 6)  # it stands in the next step
        new = scheduler.submit(typed(101, 2))
        gate.open()
        with pytest.raises(Superseded):
            await read(old)
        _, finish = await read(new)
        assert finish.usage.cached_tokens == 99
        assert scheduler.stats().tokens_evaluated == (100 + 2) + (2 + 1)


async def test_a_long_prompt_is_left_after_its_chunk() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        old = scheduler.submit(typed(8 * CHUNK, 5))
        await asyncio.to_thread(gate.steps.get)
        new = scheduler.submit(typed(10, 1, token=2))
        gate.open()
        with pytest.raises(Superseded):
            await read(old)
        await read(new)
        assert scheduler.stats().tokens_evaluated == CHUNK + 10


async def test_other_clients_other_kinds_and_those_that_do_not_ask_are_left_alone() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate, max_sequences=8)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        jobs = [
            typed(5, 4),
            typed(6, 4, latest_of="menu"),
            typed(7, 4, client="window 2"),
            typed(8, 4, latest_of=""),
            typed(9, 4, latest_of=""),
            typed(10, 4, client=""),
            typed(11, 4, client=""),
        ]
        streams = [scheduler.submit(each) for each in jobs]
        gate.open()
        for each, stream in zip(jobs, streams, strict=True):
            assert len((await read(stream))[0]) == 4, each


async def test_a_job_that_was_left_already_is_cancelled_not_replaced() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        old = scheduler.submit(typed(8 * CHUNK, 5))
        await asyncio.to_thread(gate.steps.get)
        old.close()
        new = scheduler.submit(typed(10, 1, token=2))
        gate.open()
        assert (await read(old))[1].reason == "cancelled"
        await read(new)


def test_over_the_wire_it_is_the_streams_last_event_or_a_409(tmp_path: Path) -> None:
    pace = Pace()
    asked: dict[str, Any] = {"user": "window", "latest_of": "inline"}
    with live(tmp_path, lambda: ScriptedBackend(letters, hook=pace)) as running, ThreadPoolExecutor() as pool:
        stats = running.scheduler.stats
        first = pool.submit(running.post, "/v1/completions", prompt="x", max_tokens=900, stream=True, **asked)
        pace.let(2)
        for _ in range(3):  # the third token waits in the engine
            assert pace.asked.acquire(timeout=20)
        second = pool.submit(running.post, "/v1/completions", prompt="xy", max_tokens=900, **asked)
        running.until(lambda: stats().queued == 1)
        pace.let()
        assert pace.asked.acquire(timeout=20)  # the second one's first token
        *_, last = [line for line in first.result().text.split("\n\n") if line]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "superseded"
        third = pool.submit(running.post, "/v1/completions", prompt="xyz", max_tokens=2, **asked)
        running.until(lambda: stats().queued == 1)
        pace.open()
        answer = second.result()
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "superseded")
        assert third.result().json()["choices"][0]["text"] == "de"
        metrics = running.client.get("/metrics").text
        assert 'qwen_jobs_total{outcome="superseded",priority="action"} 2.0' in metrics
