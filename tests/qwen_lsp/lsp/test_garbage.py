"""Garbage is looked through when the editor says nothing, and not while it does."""

import asyncio
import gc

import pytest

from qwen_lsp.lsp import garbage
from qwen_lsp.lsp.garbage import Garbage
from tests.qwen_lsp.lsp.wire import Wire


async def test_each_pause_is_used_once_and_a_long_one_for_all_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(garbage, "PAUSE_S", 0.05)
    monkeypatch.setattr(garbage, "LONG_PAUSE_S", 0.2)
    monkeypatch.setattr(gc, "collect", lambda generation=2: looked.append(generation))
    of = Garbage()
    for _ in range(4):
        of.later()
        await asyncio.sleep(0.01)
    assert looked == []
    await asyncio.sleep(0.1)
    assert looked == [1]
    of.later()
    await asyncio.sleep(0.3)
    assert looked == [1, 1, 2]


async def test_what_the_editor_says_puts_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    put_off: list[Garbage] = []
    monkeypatch.setattr(Garbage, "later", lambda self: put_off.append(self))
    wire = Wire()
    await wire.begin()
    n = len(put_off)
    await wire.ask("shutdown", None)
    assert n >= 2 and len(put_off) == n + 1
