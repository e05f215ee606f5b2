"""The scripted backend says its lines, counts, and is strict with its caller."""

import pytest

from inference.backends.base import EngineSettings
from inference.backends.byte_tokens import CONTROL_IDS, ByteTokenizer
from inference.backends.scripted import ScriptedBackend, answers
from inference.errors import QueueFull
from inference.generation import GREEDY


def said(backend: ScriptedBackend, prompt: str, limit: int = 50) -> str:
    seq = backend.open()
    tokens: list[int] = []
    backend.evaluate(seq, backend.tokenizer.encode(prompt, parse_special=True))
    while (token := backend.sample(seq, backend.sampler(GREEDY))) not in backend.info.end_ids and len(tokens) < limit:
        tokens.append(token)
        backend.evaluate(seq, [token])
    backend.close(seq)
    return b"".join(map(backend.tokenizer.piece, tokens)).decode()


def test_a_table_answers_by_the_end_of_the_prompt() -> None:
    backend = ScriptedBackend(answers({"add(1, ": "2)", "b(1, ": "3)", "<|fim_middle|>": "é", "aa": "aab"}))
    assert said(backend, "x = add(1, ") == "2)"
    assert said(backend, "x = b(1, ") == "3)"
    assert said(backend, "<|fim_prefix|>1<|fim_middle|>") == "é"
    assert said(backend, "aa") == "aab"
    assert said(backend, "something else") == ""


def test_a_function_answers() -> None:
    assert said(ScriptedBackend(lambda tokens: tokens[-1] + 1), "a", limit=3) == "bcd"


def test_calls_are_counted() -> None:
    backend = ScriptedBackend(answers({}))
    seq = backend.open()
    backend.evaluate(seq, [1, 2, 3])
    mark = backend.snapshot(seq)
    backend.evaluate(seq, [4])
    backend.close(backend.fork(seq, mark))
    backend.restore(seq, mark)
    backend.evaluate(seq, [5])
    backend.sample(seq, backend.sampler(GREEDY))
    backend.close(seq)
    backend.shutdown()
    calls = backend.calls
    assert calls.evaluated == [3, 1, 1]
    assert (calls.opens, calls.closes, calls.samples) == (1, 2, 1)
    assert (calls.snapshots, calls.restores, calls.forks, calls.is_shut_down) == (1, 1, 1, True)


def test_the_hook_is_called_before_anything_happens() -> None:
    seen: list[tuple[str, int]] = []
    backend = ScriptedBackend(answers({}), hook=lambda name: seen.append((name, len(backend.calls.evaluated))))
    seq = backend.open()
    backend.evaluate(seq, [1])
    backend.sample(seq, backend.sampler(GREEDY))
    assert seen == [("evaluate", 0), ("sample", 1)]


def test_a_snapshot_of_other_tokens_is_refused() -> None:
    backend = ScriptedBackend(answers({}))
    seq, other = backend.open(), backend.open()
    backend.evaluate(seq, [1, 2])
    backend.evaluate(other, [1, 3, 4])
    with pytest.raises(RuntimeError, match="not taken"):
        backend.restore(other, backend.snapshot(seq))


def test_shared_rows_count_once() -> None:
    backend = ScriptedBackend(answers({}), EngineSettings(n_ctx=10, n_cells=12, max_sequences=3))
    seq = backend.open()
    backend.evaluate(seq, [1] * 10)
    child = backend.fork(seq, backend.snapshot(seq))
    backend.restore(child, backend.snapshot(child))
    other = backend.open()
    backend.evaluate(other, [1, 2])
    with pytest.raises(QueueFull):
        backend.evaluate(other, [3])


def test_bytes_are_ids() -> None:
    tokenizer = ByteTokenizer()
    text = "é<|im_end|>\n"
    assert tokenizer.encode(text, parse_special=False) == list(text.encode())
    assert tokenizer.encode(text, parse_special=True) == [0xC3, 0xA9, CONTROL_IDS["<|im_end|>"], 10]
    assert tokenizer.piece(CONTROL_IDS["<|im_end|>"]) == b""
