"""Answers under a grammar, on all three backends: what is drawn fits, and drafts change nothing."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from inference.backends.base import Backend
from inference.backends.masked import MaskedSampler
from inference.errors import ModelBroken
from inference.generation import GREEDY, Constraint, Sampling
from inference.grammar import Compiler, EditBlocks, Grammar, JsonSchema, Lark, StartsWith
from tests.inference.backends.distribution import N_DRAWS, SAMPLINGS, distance, expected
from tests.inference.backends.test_contract import PYTHON, ids, opened
from tests.inference.edit_blocks import check_applies

FILES = {"a.py": "a = 1\nb = 2\n\na = 1\n", "b.py": PYTHON}
BLOCKS = EditBlocks(FILES, max_blocks=2)
SCHEMA = JsonSchema(json.dumps({"type": "array", "items": {"type": "integer", "maximum": 99}, "minItems": 12}))
SHORT = Lark(r'start: /[ -~\n]{0,12}/ "\nEND"')
CLOSING = b"\n>>>>>>> REPLACE"
Drafts = Callable[[list[int], int], list[int]]  # the answer, how much of it is out -> a draft


@pytest.fixture
def compiler(backend: Backend) -> Compiler:
    return Compiler(backend.tokenizer, backend.info.n_vocab, backend.info.end_ids)


def no_draft(_truth: list[int], _n_out: int) -> list[int]:
    return []


def right(truth: list[int], n_out: int) -> list[int]:
    return truth[n_out : n_out + 7]


def wrong_later(truth: list[int], n_out: int) -> list[int]:
    """Right, then something that no grammar here allows, or that this one may allow."""
    other = 0 if n_out % 2 else (truth[n_out + 3] + 1) % 200 if n_out + 3 < len(truth) else 65
    return [*truth[n_out : n_out + 3], other, 65, 66]


def answer(
    backend: Backend,
    begin: Callable[[], Constraint],
    sampling: Sampling,
    drafts: Drafts = no_draft,
    truth: list[int] | None = None,
    n_max: int = 60,
) -> list[int]:
    """As the runner draws it, up to its end token, which is the last one here."""
    prompt = ids(backend, PYTHON)
    with opened(backend, prompt) as seq:
        sampler = backend.sampler(sampling, begin())
        said = [backend.sample(seq, sampler)]
        while len(said) < n_max and not backend.info.end_ids & set(said):
            draft = drafts(truth or [], len(said))[: n_max - len(said) - 1]
            said += backend.step(seq, said[-1], draft, sampler)
    n_text = next((i for i, token in enumerate(said) if token in backend.info.end_ids), len(said))
    return said[: n_text + 1]


@pytest.mark.parametrize("grammar", [BLOCKS, SCHEMA, SHORT, StartsWith("    unlikely_na")])
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(1.0, top_k=50, seed=3)])
def test_drafts_change_nothing(backend: Backend, compiler: Compiler, grammar: Grammar, sampling: Sampling) -> None:
    begin = compiler.compile(grammar)
    truth = answer(backend, begin, sampling, n_max=40)
    for drafts in (right, wrong_later):
        assert answer(backend, begin, sampling, drafts, truth, n_max=40) == truth


def test_an_answer_goes_on_freely_from_how_it_must_begin(backend: Backend, compiler: Compiler) -> None:
    """As the engine by itself goes on from a prompt that ends with the same tokens."""
    said = answer(backend, compiler.compile(StartsWith("unlikely_na")), GREEDY, n_max=20)
    pieces = [backend.tokenizer.piece(token) for token in said]
    assert b"".join(pieces).startswith(b"unlikely_na")
    n_begun = next(n for n in range(1, len(pieces)) if len(b"".join(pieces[:n])) >= len("unlikely_na"))
    with opened(backend, [*ids(backend, PYTHON), *said[:n_begun]]) as seq:
        assert backend.sample(seq, backend.sampler(GREEDY)) == said[n_begun]


def test_what_can_not_be_drawn_is_not_evaluated(backend: Backend, compiler: Compiler) -> None:
    begin = compiler.compile(Lark('start: "abcdefgh" /[x]{8}/'))
    truth = answer(backend, begin, GREEDY)
    piece = backend.tokenizer.piece
    assert b"".join(map(piece, truth)) == b"abcdefghxxxxxxxx"
    assert truth[-1] in backend.info.end_ids
    constraint = begin()
    with opened(backend, ids(backend, PYTHON)) as seq:
        sampler = backend.sampler(GREEDY, constraint)
        first = backend.sample(seq, sampler)
        before = backend.n_evaluated
        drawn = backend.step(seq, first, [*truth[1:3], 0, 0, 0, 0], sampler)
        assert drawn == tuple(truth[1:4])
        assert backend.n_evaluated - before == 3


@pytest.mark.parametrize("seed", range(4))
def test_sampled_edits_apply(backend: Backend, compiler: Compiler, seed: int) -> None:
    begin = compiler.compile(EditBlocks({"a.py": FILES["a.py"]}, max_blocks=1 + seed % 2))
    said = answer(backend, lambda: Hurried(begin(), backend), Sampling(1.0, seed=seed), n_max=200)
    assert said[-1] in backend.info.end_ids
    assert begin().allows(tuple(said[:-1])) == len(said) - 1
    check_applies(b"".join(map(backend.tokenizer.piece, said)).decode(), FILES)


class Hurried:
    """A weak model rarely ends a replacement: in one, this leaves only what ends it, where anything does."""

    is_free = False

    def __init__(self, inner: Constraint, backend: Backend) -> None:
        self._inner = inner
        self._pieces = [backend.tokenizer.piece(token) for token in range(backend.info.n_vocab)]
        self._end_ids = backend.info.end_ids
        self._said = b""

    def mask(self) -> bytes:
        mask, line = self._inner.mask(), self._said[self._said.rfind(b"\n") :]
        if b"\n=======\n" not in self._said:
            return mask
        if line == CLOSING:
            return bytes(mask[token] and token in self._end_ids for token in range(len(mask)))
        wanted = CLOSING if CLOSING.startswith(line) else line + b"\n"
        closes = [bool(mask[i] and piece and wanted.startswith(line + piece)) for i, piece in enumerate(self._pieces)]
        return bytes(closes) if any(closes) else mask

    def accept(self, token: int) -> None:
        self._inner.accept(token)
        self._said += self._pieces[token]

    def allows(self, tokens: tuple[int, ...]) -> int:
        return self._inner.allows(tokens)


@pytest.mark.parametrize("seed", range(3))
def test_sampled_json_parses(backend: Backend, compiler: Compiler, seed: int) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 20}}}
    begin = compiler.compile(JsonSchema(json.dumps({**schema, "required": ["n"], "additionalProperties": False})))
    said = answer(backend, begin, Sampling(1.0, seed=seed))
    assert said[-1] in backend.info.end_ids
    value = json.loads(b"".join(map(backend.tokenizer.piece, said)))
    assert value["n"] in range(21)


class Only:
    """A constraint on one draw, again and again."""

    is_free = False

    def __init__(self, allowed: list[int], n_vocab: int) -> None:
        self._mask = bytes(token in allowed for token in range(n_vocab))

    def mask(self) -> bytes:
        return self._mask

    def accept(self, token: int) -> None:
        assert self._mask[token]

    def allows(self, tokens: tuple[int, ...]) -> int:
        return len(tokens)


@pytest.mark.parametrize("sampling", [*SAMPLINGS, GREEDY])
def test_masked_draws_have_the_masked_distribution(sampling: Sampling) -> None:
    logits = np.random.default_rng(1).normal(0, 3, 300)
    allowed = list(range(0, 300, 3))
    sampler = MaskedSampler(sampling, Only(allowed, 300))
    draws = [sampler.draw(logits.tolist()) for _ in range(N_DRAWS)]
    check_distribution(draws, logits, allowed, sampling)


def test_logits_that_are_not_numbers_draw_nothing() -> None:
    constraint = Only([1], 3)
    for sampling in (GREEDY, Sampling(1.0)):
        with pytest.raises(ModelBroken):
            MaskedSampler(sampling, constraint).draw([0.0, 1.0, float("nan")])


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_mlx_draws_have_the_masked_distribution(mlx: Backend, sampling: Sampling) -> None:
    allowed = list(range(32, 4000, 7))
    sampler = mlx.sampler(sampling, Only(allowed, mlx.info.n_vocab))
    with opened(mlx, ids(mlx, PYTHON)) as seq:
        draws = [mlx.sample(seq, sampler) for _ in range(N_DRAWS)]
        logits = np.array(mlx._logits[-1].tolist())  # type: ignore[attr-defined]  # no part of the contract
    check_distribution(draws, logits, allowed, sampling)


def check_distribution(draws: list[int], logits: np.ndarray, allowed: list[int], sampling: Sampling) -> None:
    assert set(draws) <= set(allowed)
    if sampling.temperature == 0:
        assert set(draws) == {allowed[int(np.argmax(logits[allowed]))]}
    else:
        wanted = expected(logits[allowed].tolist(), sampling)
        assert distance([allowed.index(token) for token in draws], wanted) < 0.08
