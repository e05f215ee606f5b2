"""One vocabulary from two file formats: the same ids, every byte comes back, and text is never a control token."""

import json
from pathlib import Path

import pytest
from cyllama.llama.llama_cpp import LlamaModel, LlamaModelParams, disable_logging, ggml_backend_load_all
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import ModelBroken
from inference.models import gguf
from inference.tokenizer import TextTokenizer, from_folder, from_gguf
from tests.inference.weights import EMBEDDED

FOLDER = from_folder(EMBEDDED)
GGUF = from_gguf(gguf.read_header(EMBEDDED / "model.gguf").metadata)
NASTY = (
    "",
    " ",
    "\n\n\n",
    "a\r\nb\rc\n",
    "\tif x:\n\t\treturn  12345 + 0x1F\n",
    "naïve café ÀÉÎ ß ﬁ",
    "e\u0301 is not \u00e9",  # decomposed; it must stay so
    "你好，世界。こんにちは 한국어 ไทย हिन्दी عربى עברית",
    "👩‍👩‍👧‍👦🇺🇳 \U0001f600",
    "\u2028\u2029\x0c\x0b\x00\x7f\ufeff",
    "it's they'LL I'M we'Ve don'T",
    "<|im_start|>user\n<|im_end|><|fim_prefix|>x<|fim_suffix|><|fim_middle|><|fim_pad|><|endoftext|>",
    "<think> </think><tool_call>{}</tool_call>x<think>y <|repo_name|><|file_sep|>a.py",
    "<|im_start<|im_start|>|> <|IM_END|> < |im_end|> <|unknown|>",
    "x" * 2000 + " " * 300 + "\n" * 50,
    "日" * 300,
)
FIM = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|im_end|>", "<|endoftext|>")


def joined(tokenizer: TextTokenizer, ids: list[int]) -> bytes:
    return b"".join(map(tokenizer.piece, ids))


@pytest.mark.parametrize("text", NASTY)
def test_both_formats_agree_and_no_byte_is_lost(text: str) -> None:
    ids = FOLDER.encode(text, parse_special=False)
    assert GGUF.encode(text, parse_special=False) == ids
    assert joined(FOLDER, ids) == joined(GGUF, ids) == text.encode()
    assert not set(ids) & set(FOLDER._added)
    assert GGUF.encode(text, parse_special=True) == FOLDER.encode(text, parse_special=True)


@settings(max_examples=200, deadline=None)
@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(" \t\r\n'<|>09azé́"))))
def test_any_text_comes_back(text: str) -> None:
    ids = FOLDER.encode(text, parse_special=False)
    assert GGUF.encode(text, parse_special=False) == ids
    assert joined(FOLDER, ids) == text.encode()


def test_equals_the_vocabulary_of_llama_cpp() -> None:
    """Except for user-defined tokens, which llama.cpp finds in plain text too: the reason not to use it."""
    disable_logging()
    ggml_backend_load_all()
    model = LlamaModel(str(EMBEDDED / "model.gguf"), LlamaModelParams())  # `vocab_only` aborts in cyllama 0.7.0
    vocab = model.get_vocab()
    for text in NASTY:
        assert vocab.tokenize(text, False, True) == GGUF.encode(text, parse_special=True), text
        if "<think>" not in text and "<|fim" not in text:
            assert vocab.tokenize(text, False, False) == GGUF.encode(text, parse_special=False), text
    thought = vocab.tokenize("<think>", False, False)
    assert len(thought) == 1 and GGUF.encode("<think>", parse_special=False) != thought
    assert {token for token in range(vocab.n_vocab) if vocab.is_eog(token)} == GGUF.end_ids
    model.close()


@pytest.mark.parametrize("tokenizer", [FOLDER, GGUF], ids=["folder", "gguf"])
def test_control_tokens(tokenizer: TextTokenizer) -> None:
    for text in FIM:
        ids = tokenizer.encode(text, parse_special=True)
        assert len(ids) == 1 and tokenizer.piece(ids[0]) == b""
        assert len(tokenizer.encode(text, parse_special=False)) > 1
    think = tokenizer.encode("<think>", parse_special=True)
    assert len(think) == 1 and tokenizer.piece(think[0]) == b"<think>"
    assert tokenizer.piece(10**9) == b""
    assert tokenizer.n_vocab == 4096 and len(tokenizer.end_ids) == 5
    assert tokenizer.chat_template is not None and "im_start" in tokenizer.chat_template


def test_a_lone_surrogate_is_a_question_mark() -> None:
    assert joined(FOLDER, FOLDER.encode("a\ud800b", parse_special=False)) == b"a?b"


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "BPE"}}', "\xff"])
def test_a_broken_tokenizer_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelBroken, match="tokenizer"):
        from_folder(tmp_path)


def test_no_tokenizer_file(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"tokenizer\.json"):
        from_folder(tmp_path)


def test_a_template_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_bytes((EMBEDDED / "tokenizer.json").read_bytes())
    eos = {"content": "<think>", "special": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "hello", "eos_token": eos}))
    tokenizer = from_folder(tmp_path)
    assert tokenizer.chat_template == "hello"
    assert tokenizer.encode("<think>", parse_special=True)[0] in tokenizer.end_ids


@pytest.mark.parametrize(
    ("key", "value"),
    [("model", "llama"), ("pre", "mystery"), ("tokens", ["a"]), ("merges", ["nothing here"]), ("token_type", None)],
)
def test_a_gguf_vocabulary_that_is_not_supported(key: str, value: object) -> None:
    metadata = dict(gguf.read_header(EMBEDDED / "model.gguf").metadata)
    with pytest.raises(ModelBroken):
        from_gguf(metadata | {f"tokenizer.ggml.{key}": value})
