"""What the typing bench says of a run."""

from pathlib import Path

import pytest

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.window import Key
from scripts.benches import typing
from scripts.benches.typing import Run, lines
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


def test_each_quarter_is_held_against_what_the_baseline_took_over_the_same_keys() -> None:
    run = _run()
    run.baseline_tokens, run.same_keys_tokens = [300, 100, 500, 300], 50
    said = list(lines(run))
    assert "  tokens over those keys: 1,200 against 50: 24.0x   (goal: >= 20x)" in said
    assert said[-2:] == [
        "  after 15 minutes: 2 keys, 20 tokens, llama.vim 400: 20.0x",
        "  after 30 minutes: 4 keys, 50 tokens, llama.vim 1,200: 24.0x",
    ]


def test_nothing_is_held_against_a_baseline_that_was_not_asked_as_many_keys() -> None:
    assert list(lines(_run()))[-1] == "  after 30 minutes: 4 keys, 50 tokens"
    run = _run()
    run.baseline_tokens = [300, 100]
    assert list(lines(run))[-2:] == [
        "  after 15 minutes: 2 keys, 20 tokens, llama.vim 400: 20.0x",
        "  after 30 minutes: 4 keys, 50 tokens",
    ]


def test_a_history_without_code_has_nothing_to_type(tmp_path: Path) -> None:
    past = Repository(repository(tmp_path / "w", [{"a.txt": "x\n"}, {"a.txt": "y\n"}]))
    with pytest.raises(SystemExit, match="has keys to type"):
        typing.cut(past, 10, minutes=60)
