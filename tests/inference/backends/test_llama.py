"""What is llama.cpp's own: the drawn distribution, broken numbers, files it refuses, silence."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.backends.base import Backend, EngineSettings, Step
from inference.backends.llama import LlamaBackend
from inference.errors import ModelBroken, QueueFull
from inference.generation import GREEDY, Sampling
from inference.models import gguf
from inference.tokenizer import TextTokenizer, from_gguf
from tests.inference.backends.distribution import N_DRAWS, SAMPLINGS, distance, expected
from tests.inference.backends.test_contract import answer, opened, say
from tests.inference.weights import Tensors, write_gguf

SMALL = EngineSettings(n_ctx=256, n_cells=256, max_sequences=2, n_threads=1, chunk=32)
BAD = 77


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

    def poison_one_logit(tensors: Tensors) -> None:
        tensors["output.weight"] = tensors["token_embd.weight"].copy()
        tensors["output.weight"][1234, 5] = np.nan

    for change in (poison, poison_one_logit):
        path = write_gguf(tmp_path / "nan.gguf", change)
        with pytest.raises(ModelBroken, match="not numbers"):
            LlamaBackend("nan", path, tokenizer_of(path), SMALL)


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "by column"])
def broken(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[LlamaBackend]:
    """A model with one token, BAD, that makes all that follows no number; with both kinds of attention."""

    def poison(tensors: Tensors) -> None:
        tensors["output.weight"] = tensors["token_embd.weight"].copy()
        tensors["token_embd.weight"][BAD] = np.nan

    path = write_gguf(tmp_path_factory.mktemp("gguf") / "nan.gguf", poison)
    settings = replace(SMALL, n_cells=512, max_sequences=3, scores_bytes=0 if request.param else SMALL.scores_bytes)
    backend = LlamaBackend("nan", path, tokenizer_of(path), settings)
    yield backend
    backend.shutdown()


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0), Sampling(temperature=1.0, top_k=5)], ids=str)
def test_logits_that_are_not_numbers_are_found_where_they_arise(broken: LlamaBackend, sampling: Sampling) -> None:
    sampler = broken.sampler(sampling)
    for fails in (lambda seq: broken.evaluate(seq, [76, BAD]), lambda seq: broken.step(seq, BAD, (), sampler)):
        with opened(broken, [76]) as seq:
            assert 0 <= broken.sample(seq, sampler) < broken.info.n_vocab
            with pytest.raises(ModelBroken, match="not numbers"):
                fails(seq)


TEXT = [65, 76, 300, 1200, 17] * 20  # long enough for the kind of attention that multiplies what is masked


def test_what_is_not_a_number_stays_with_its_sequence(broken: LlamaBackend) -> None:
    """Others go on as if nothing had happened, those that have begun and those that begin in the same place."""
    expected = answer(broken, TEXT, 12)
    sampler = broken.sampler(GREEDY)
    with opened(broken, TEXT) as running:
        said = [broken.sample(running, sampler)]
        said += broken.step(running, said[-1], [*expected[1:3], 1, 1], sampler)  # it owes something, too
        bad = broken.open()
        with pytest.raises(ModelBroken):
            broken.evaluate(bad, [76, BAD, BAD])
        broken.close(bad)
        while len(said) < 6:
            said += broken.step(running, said[-1], (), sampler)
        assert answer(broken, TEXT, 12) == expected
        while len(said) < 12:
            said += broken.step(running, said[-1], (), sampler)
    assert said == expected


def test_not_a_number_in_one_of_several_sequences_of_a_pass(broken: LlamaBackend) -> None:
    expected = answer(broken, TEXT, 4)
    sampler = broken.sampler(GREEDY)
    bad = broken.open()
    with opened(broken, TEXT) as good:
        said = [broken.sample(good, sampler)]
        failed, drawn = broken.step_together([Step(bad, BAD, sampler), Step(good, said[0], sampler)])
        broken.close(bad)
        assert isinstance(failed, ModelBroken)
        if not isinstance(drawn, int):  # attention that is not fused multiplies what is masked: said, not hidden
            assert "by column" in broken.info.state_format
        else:
            said.append(drawn)
            for _ in range(2):
                said += broken.step(good, said[-1], (), sampler)
            assert said == expected
    assert answer(broken, TEXT, 4) == expected


@pytest.mark.parametrize(("scores_bytes", "order"), [(0, "fused"), (1 << 30, "by column")])
def test_attention_is_fused_where_its_scores_would_take_too_much(
    exact_gguf: Path, scores_bytes: int, order: str
) -> None:
    """Both say the same, and neither takes what the other has saved."""
    said, dumped = [], []
    for limit in (scores_bytes, (1 << 30) - scores_bytes):
        settings = replace(SMALL, scores_bytes=limit, exact=True)
        backend = LlamaBackend("small", exact_gguf, tokenizer_of(exact_gguf), settings)
        said.append(answer(backend, TEXT, 12))
        dumped.append(backend.info.state_format)
        with opened(backend, TEXT) as seq:
            dumped.append(bytes(backend.dump(seq, backend.snapshot(seq))[0]).decode())
        backend.shutdown()
    assert said[0] == said[1]
    assert order in dumped[0] and order in dumped[1]
    assert order not in dumped[2] and order not in dumped[3]


def test_what_shares_rows_is_cleaned_and_shares_them_still(exact_gguf: Path) -> None:
    """There is no room for both in full."""
    backend = LlamaBackend("small", exact_gguf, tokenizer_of(exact_gguf), replace(SMALL, max_sequences=3))
    text = [*TEXT, *TEXT[:40]]
    with opened(backend, text) as parent:
        child = backend.fork(parent, backend.snapshot(parent))
        backend.evaluate(child, [67])
        backend._is_poisoned = True
        backend.evaluate(parent, [65])
        assert not backend._is_poisoned
        said = []
        for seq, token in ((child, 68), (parent, 66)):
            backend.evaluate(seq, [token])
            said.append(say(backend, seq, 4))
        backend.close(child)
    assert said == [answer(backend, [*text, *end], 4) for end in ((67, 68), (65, 66))]
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
    assert llama._sequences.numbers == ()  # type: ignore[attr-defined]


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
