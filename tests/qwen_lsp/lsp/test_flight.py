"""LatestWins: the newest answers, the older is told so, the client's own cancel is a cancel."""

import asyncio

import pytest

from qwen_lsp.lsp.flight import LatestWins, Superseded


class Work:
    """Work that waits for a gate and says how it ended."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.ended = ""

    async def run(self) -> str:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.ended = "cancelled"
            raise
        self.ended = "done"
        return "result"


async def turn() -> None:
    """Let every ready task run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_newest_request_answers_and_the_older_is_superseded() -> None:
    flight: LatestWins[str] = LatestWins()
    one, two = Work(), Work()
    first = asyncio.create_task(flight.run("a", one.run))
    await turn()
    second = asyncio.create_task(flight.run("a", two.run))
    assert await first == Superseded()
    assert one.ended == "cancelled"
    two.gate.set()
    assert await second == "result"


async def test_other_keys_are_left_alone() -> None:
    flight: LatestWins[str] = LatestWins()
    one, two = Work(), Work()
    tasks = [asyncio.create_task(flight.run("a", one.run)), asyncio.create_task(flight.run("b", two.run))]
    await turn()
    one.gate.set()
    two.gate.set()
    assert await asyncio.gather(*tasks) == ["result", "result"]


async def test_cancelling_the_caller_cancels_the_work_and_raises() -> None:
    flight: LatestWins[str] = LatestWins()
    work = Work()
    caller = asyncio.create_task(flight.run("a", work.run))
    await turn()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert work.ended == "cancelled"


async def test_an_error_reaches_the_caller_and_frees_the_key() -> None:
    flight: LatestWins[str] = LatestWins()

    async def fail() -> str:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await flight.run("a", fail)
    work = Work()
    work.gate.set()
    assert await flight.run("a", work.run) == "result"


async def test_cancel_all_supersedes() -> None:
    flight: LatestWins[str] = LatestWins()
    caller = asyncio.create_task(flight.run("a", Work().run))
    await turn()
    flight.cancel_all()
    assert await caller == Superseded()
