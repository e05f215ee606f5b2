"""What slow keys are said to have been spent on."""

import json
from pathlib import Path
from typing import Any

from qwen_lsp.eval.window import Key
from scripts.benches.typing_slow import found, told


def _step(name: str, at: float, ms: float, *parts: tuple[str, float]) -> dict[str, Any]:
    return {"step": name, "at": at, "ms": ms, "cpu_ms": ms, "parts": parts}


def test_steps_before_and_behind_the_engine_are_told_of_keys_that_asked_once(tmp_path: Path) -> None:
    """The first key began at 10 s: 8 ms, the engine's 20 from 10.008 on, 2 ms more. The second was known."""
    usage = {"prompt_tokens": 9, "cached_tokens": 8, "evaluated_tokens": 2, "engine_ms": 20.0, "paused_ms": 0.0}
    keys = [Key("x", 30.0, usage, False), Key("y", 1.0, None, True)]
    record = tmp_path / "record.jsonl"
    rows: list[dict[str, Any]] = [
        {"priority": "typing", "sent": 10.008, "ends": {}},
        _step("earlier", 9.5, 3.0),
        _step("complete", 10.001, 7.0, ("around", 6.0), ("question", 0.1)),
        _step("meanwhile", 10.015, 1.0),
        _step("complete", 10.0285, 1.0, ("sound", 0.5)),
        _step("later", 10.5, 3.0),
    ]
    record.write_text("\n".join(map(json.dumps, rows)))
    (key,) = found(record, keys, [10.0, 11.0])
    assert (key.number, key.ms, round(key.before_ms, 3), key.cpu_ms) == (0, 10.0, 8.0, 8.0)
    said = list(told([key]))
    assert said[0] == "  of keys that asked, their loop's processor ms: median 8.0, p95 8.0, most 8.0"
    assert said[1].startswith("  keys over 5 ms: 1, 8.0 ms before the engine, 2.0 behind; around 6.00, sound 0.50")
    assert said[-2:] == [
        "      before: complete 7.0 (7.0 of the processor: around 6.0)",
        "      behind: complete 1.0 (1.0 of the processor: sound 0.5)",
    ]


def test_nothing_is_told_where_no_key_asked(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    record.write_text("")
    assert list(told(found(record, [Key("y", 1.0, None, True)], [1.0]))) == []
