"""Answers from a file: which row speaks, what a bad file says, and a whole answer through the backend."""

import json
from pathlib import Path

import pytest

from inference.backends.replies import Told, read
from inference.backends.scripted import ScriptedBackend
from inference.errors import ModelBroken
from inference.generation import GREEDY
from inference.vocabulary import Vocabulary, plain_pieces


def told(folder: Path, *rows: object) -> Told:
    path = folder / "answers.json"
    path.write_text(json.dumps(rows), "utf-8")
    return Told(path)


def said(backend: ScriptedBackend, prompt: str, draft: str = "") -> str:
    """The whole answer, drawn as the runner draws it."""
    seq = backend.open()
    backend.evaluate(seq, backend.tokenizer.encode(prompt, parse_special=True))
    tokens = [backend.sample(seq, backend.sampler(GREEDY))]
    while tokens[-1] not in backend.info.end_ids:
        ahead = backend.tokenizer.encode(draft, parse_special=False) if len(tokens) == 1 else []
        tokens += backend.step(seq, tokens[-1], ahead, backend.sampler(GREEDY))
    backend.close(seq)
    return b"".join(map(backend.tokenizer.piece, tokens)).decode()


def test_the_first_row_that_fits_answers(tmp_path: Path) -> None:
    rows = [
        {"when": ["add", "sub"], "say": "both é"},
        {"when": ["add"], "say": "one"},
        {"when": ["<think>"], "say": "t"},
    ]
    backend = ScriptedBackend(told(tmp_path, *rows))
    assert said(backend, "add and sub") == "both é"
    assert said(backend, "add") == "one"
    assert said(backend, "add", draft="ne and more") == "one"
    assert said(backend, "<think>\n") == "t"
    assert said(backend, "nothing that fits") == ""


def test_an_answer_comes_behind_what_it_is_held_to(tmp_path: Path) -> None:
    """The typed letters, of which the file knows nothing, or has them already."""
    backend = ScriptedBackend(told(tmp_path, {"when": [], "say": "    return 1"}))
    info = backend.info
    vocabulary = Vocabulary(plain_pieces(backend.tokenizer, info.n_vocab, info.end_ids))
    for letters, answer in (("here", "here    return 1"), ("        ", "        return 1"), ("  ", "    return 1")):
        held = backend.sampler(GREEDY, vocabulary.beginning(letters)())
        seq = backend.open()
        backend.evaluate(seq, backend.tokenizer.encode("x", parse_special=True))
        tokens = [backend.sample(seq, held)]
        while tokens[-1] not in info.end_ids:
            tokens += backend.step(seq, tokens[-1], [], held)
        assert b"".join(map(backend.tokenizer.piece, tokens)).decode() == answer


def test_control_tokens_are_text_in_an_answer(tmp_path: Path) -> None:
    assert said(ScriptedBackend(told(tmp_path, {"when": [], "say": "a<|im_end|>b"})), "x") == "a<|im_end|>b"


def test_a_changed_file_counts_from_the_next_answer_on(tmp_path: Path) -> None:
    backend = ScriptedBackend(told(tmp_path, {"when": [], "say": "old"}))
    assert said(backend, "x") == "old"
    told(tmp_path, {"when": [], "say": "new"})
    assert said(backend, "x") == "new"


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"when": "a", "say": "b"}]', '[{"when": ["a"]}]', '[{"when": [], "say": "", "x": 1}]']
)
def test_what_is_no_list_of_answers_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ModelBroken, match=r"answers\.json"):
        read(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="FileNotFoundError"):
        read(tmp_path / "none.json")


def test_near_is_at_the_end_of_the_prompt(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([{"near": ["def f"], "say": "one"}, {"when": ["def f"], "say": "two"}]))
    assert Told(path).reply("def f():\n").say == "one"
    assert Told(path).reply("def f():\n" + " " * 500).say == "two"
