"""What is llama.cpp's own: the drawn distribution, broken numbers, files it refuses, silence."""

from pathlib import Path

import numpy as np
import pytest

from inference.backends.base import Backend, EngineSettings
from inference.backends.llama import LlamaBackend
from inference.errors import ModelBroken, QueueFull
from inference.generation import GREEDY, Sampling
from inference.models import gguf
from inference.tokenizer import TextTokenizer, from_gguf
from tests.inference.backends.distribution import N_DRAWS, SAMPLINGS, distance, expected
from tests.inference.weights import Tensors, write_gguf

SMALL = EngineSettings(n_ctx=256, n_cells=256, max_sequences=2, n_threads=1, chunk=32)


def tokenizer_of(path: Path) -> TextTokenizer:
    return from_gguf(gguf.read_header(path).metadata)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_draws_follow_the_distribution(llama: Backend, sampling: Sampling) -> None:
    assert isinstance(llama, LlamaBackend)
    seq = llama.open()
    llama.evaluate(seq, llama.tokenizer.encode("import ", parse_special=False))
    wanted = expected(llama._context.get_logits_ith(-1), sampling)
    sampler = llama.sampler(sampling)
    draws = [llama.sample(seq, sampler) for _ in range(N_DRAWS)]
    llama.close(seq)
    assert distance(draws, wanted) < 0.07


def test_weights_that_are_not_numbers_are_found_at_load(tmp_path: Path) -> None:
    def poison(tensors: Tensors) -> None:
        tensors["output_norm.weight"][3] = np.nan

    path = write_gguf(tmp_path / "nan.gguf", poison)
    with pytest.raises(ModelBroken, match="not numbers"):
        LlamaBackend("nan", path, tokenizer_of(path), SMALL)


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0), Sampling(temperature=1.0, top_k=5)], ids=str)
def test_logits_that_are_not_numbers_are_found_when_sampled(tmp_path: Path, sampling: Sampling) -> None:
    def poison(tensors: Tensors) -> None:
        tensors["output.weight"] = tensors["token_embd.weight"].copy()
        tensors["token_embd.weight"][77] = np.nan

    path = write_gguf(tmp_path / "nan.gguf", poison)
    backend = LlamaBackend("nan", path, tokenizer_of(path), SMALL)
    seq = backend.open()
    backend.evaluate(seq, [76])
    assert 0 <= backend.sample(seq, backend.sampler(sampling)) < backend.info.n_vocab
    backend.evaluate(seq, [77])
    with pytest.raises(ModelBroken, match="not numbers"):
        backend.sample(seq, backend.sampler(sampling))
    backend.close(seq)
    seq = backend.open()  # the next job is not poisoned
    backend.evaluate(seq, [76])
    assert 0 <= backend.sample(seq, backend.sampler(sampling)) < backend.info.n_vocab
    backend.shutdown()


def test_full_memory_is_an_error_and_ends_with_the_sequence(exact_gguf: Path) -> None:
    backend = LlamaBackend("small", exact_gguf, tokenizer_of(exact_gguf), SMALL)
    first, second = backend.open(), backend.open()
    backend.evaluate(first, [65] * 250)
    with pytest.raises(QueueFull, match="no room"):
        backend.evaluate(second, [65] * 100)
    backend.close(second)
    backend.evaluate(first, [66])
    assert 0 <= backend.sample(first, backend.sampler(GREEDY)) < backend.info.n_vocab
    backend.shutdown()


def test_closing_frees_rows(llama: Backend) -> None:
    tokens = [65, 66, 67, 68] * 50
    for _ in range(llama.info.n_cells // len(tokens) + 1):  # more rows than there are, if any stayed behind
        seq = llama.open()
        llama.evaluate(seq, tokens)
        child = llama.fork(seq, llama.snapshot(seq))
        llama.evaluate(child, [69])
        llama.close(seq)
        llama.close(child)
    assert llama._sequences.n_open == 0  # type: ignore[attr-defined]


def test_a_file_that_llama_refuses(tmp_path: Path, exact_gguf: Path) -> None:
    def drop(tensors: Tensors) -> None:
        del tensors["blk.2.attn_norm.weight"]

    path = write_gguf(tmp_path / "incomplete.gguf", drop)
    with pytest.raises(ModelBroken, match="attn_norm"):
        LlamaBackend("incomplete", path, tokenizer_of(exact_gguf), SMALL)


def test_nothing_is_printed(exact_gguf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    backend = LlamaBackend("small", exact_gguf, tokenizer_of(exact_gguf), SMALL)
    seq = backend.open()
    with pytest.raises(QueueFull):
        backend.evaluate(backend.open(), [65] * 256)
        backend.evaluate(seq, [65] * 256)
    backend.shutdown()
    assert capfd.readouterr() == ("", "")
