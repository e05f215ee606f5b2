"""What the typing bench says of a run."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.traces import Stroke
from qwen_lsp.eval.window import Key
from scripts.benches import typing
from scripts.benches.inference_servers import Server
from scripts.benches.typing import Baseline, Run, lines
from scripts.benches.typing_baseline import Vim
from scripts.benches.typing_spent import Spent, spent, told
from tests.qwen_lsp.eval.repositories import repository

USAGE = {"prompt_tokens": 100, "cached_tokens": 90, "evaluated_tokens": 15, "engine_ms": 8.0}
ASKED, KNOWN = Key("x", 10.0, USAGE, False), Key("y", 1.0, None, True)


def _run() -> Run:
    """Four keys, two of them in the first quarter."""
    run = Run("click", "llama", None, [ASKED, KNOWN, ASKED, KNOWN], cpu_ms=[6.0, 1.0, 8.0, 2.0])
    run.typed_s, run.all_tokens, run.quarters = 1_800.0, 50, [(2, 20), (4, 50)]
    return run


def test_processor_time_is_told_apart_for_keys_that_asked_the_model() -> None:
    said = "\n".join(lines(_run()))
    assert "processor ms, keys that asked: median 6.0, p95 8.0, most 8.0" in said
    assert "the other keys: median 1.0, p95 2.0, most 2.0" in said


def test_each_quarter_is_held_against_what_each_baseline_took_over_the_same_keys() -> None:
    run = _run()
    run.baselines = [Baseline(1.0, [300, 100, 500, 300]), Baseline(10.0, [300, 300, 500, 400])]
    said = list(lines(run))
    assert "    tokens over those keys: 1,200 against 50: 24.0x   (goal: >= 20x)" in said
    assert "    tokens over those keys: 1,500 against 50: 30.0x   (goal: >= 20x)" in said
    scaled = "llama.vim on a scaled clock (a machine 10 times as fast)"
    assert said[-2:] == [
        f"  after 15 minutes: 2 keys, 20 tokens, llama.vim 400: 20.0x, {scaled} 600: 30.0x",
        f"  after 30 minutes: 4 keys, 50 tokens, llama.vim 1,200: 24.0x, {scaled} 1,500: 30.0x",
    ]


def test_nothing_is_held_against_a_baseline_that_was_not_asked_as_many_keys() -> None:
    assert list(lines(_run()))[-1] == "  after 30 minutes: 4 keys, 50 tokens"
    run = _run()
    run.baselines = [Baseline(tokens=[300, 100])]
    assert list(lines(run))[-2:] == [
        "  after 15 minutes: 2 keys, 20 tokens, llama.vim 400: 20.0x",
        "  after 30 minutes: 4 keys, 50 tokens",
    ]


def test_what_was_counted_so_far_can_be_written() -> None:
    run = _run()
    run.baselines = [Baseline(10.0, [300], spent=Counter({"first: prompt": 300}))]
    said = json.loads(json.dumps(run.as_json()))
    assert (said["baselines"][0]["tokens"], said["baselines"][0]["spent"]) == ([300], {"first: prompt": 300})


@pytest.mark.parametrize(("speed", "n_requests"), [(1.0, 2), (100.0, 7)])
def test_a_baseline_on_a_faster_machine_asks_at_more_of_the_keys(
    speed: float, n_requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven keys in 1.4 seconds, and requests that take a second of the processor."""
    server = _Slow()
    monkeypatch.setattr("http.client.HTTPConnection", lambda *_, **__: _Answers())
    vim = Vim(cast(Server, server), {"a.py": ""}, speed)
    vim.play(Stroke("open", "a.py", 0, 0, "", 1.0))
    for at in range(7):
        vim.play(Stroke("key", "a.py", at, at, "x", 0.2))
    assert vim.n_requests == n_requests
    assert sum(vim.per_key) == n_requests * 12


class _Slow:
    """Its processor's clock: a second further at each second look."""

    address = 1

    def __init__(self) -> None:
        self._looks = 0

    def cpu_s(self) -> float:
        self._looks += 1
        return self._looks // 2


class _Answers:
    """Says nothing that could be shown."""

    def request(self, *_: object) -> None: ...

    def close(self) -> None: ...

    def getresponse(self) -> io.BytesIO:
        return io.BytesIO(json.dumps({"content": "", "timings": {"prompt_n": 10, "predicted_n": 3}}).encode())


def test_a_history_without_code_has_nothing_to_type(tmp_path: Path) -> None:
    past = Repository(repository(tmp_path / "w", [{"a.txt": "x\n"}, {"a.txt": "y\n"}]))
    with pytest.raises(SystemExit, match="has keys to type"):
        typing.cut(past, 10, minutes=60)


def test_tokens_are_told_apart_by_who_asked_and_for_what_part(tmp_path: Path) -> None:
    """What a request evaluated lies behind what was cached: a part of the base, the log, the tail, then the answer."""

    def row(who: str, base: str, cached: int | None, evaluated: int | None, most: int = 40) -> str:
        priority, of = ("typing", "inline") if who == "key" else ("warm-up", who)
        ends = {"base": 1000, "log": 1100, "tail": 1150}
        row = {"priority": priority, "of": of, "most": most, "prompt": 1150, "cached": cached, "evaluated": evaluated}
        return json.dumps(row | {"ends": ends, "base_id": base})

    record = tmp_path / "record.jsonl"
    rows = [
        row("", "one", 0, 1150, most=0),
        row("key", "one", 1100, 60),
        row("ahead", "one", 1149, 11),
        row("key", "one", None, None),
        row("", "two", 400, 750, most=0),
        row("key", "one", 1090, 70),
    ]
    record.write_text("\n".join(rows))
    found = spent(record)
    assert found == {
        ("warm-up", "first base"): Spent(1, [1000]),
        ("warm-up", "log"): Spent(2, [100, 100]),
        ("warm-up", "tail"): Spent(2, [50, 50]),
        ("warm-up", "new base"): Spent(1, [600]),
        ("key", "tail"): Spent(2, [50, 50]),
        ("key", "answer"): Spent(2, [10, 10]),
        ("key", "log"): Spent(1, [10]),
        ("prefetch", "tail"): Spent(1, [1]),
        ("prefetch", "answer"): Spent(1, [10]),
        ("key", "gave no count"): Spent(1),
    }
    first, dearest, *_ = told(found)
    assert first == "  what 2,041 tokens were spent on:" and "first base" in dearest
