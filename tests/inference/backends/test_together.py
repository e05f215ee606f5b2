"""Several sequences in one pass: each draws what it would have drawn alone. Equality is exact, of greedy tokens.

The engines' sums have another order in a pass of several, so the last digits of their logits differ; greedy tokens do
not, but where two tokens are all but equally likely. None of the texts here goes through such a place.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from inference.backends.base import Backend, Step
from inference.backends.llama import LlamaBackend
from inference.backends.mlx import MlxBackend
from inference.backends.scripted import ScriptedBackend
from inference.errors import BadRequest, PromptTooLong
from inference.generation import GREEDY, Sampling
from inference.grammar import Compiler, Lark
from tests.inference.backends.test_contract import PYTHON, C, answer, forked, ids, opened, say

N = 16
TEXTS = (PYTHON, C, "x = [1, 2, 3]\n", "while True:\n    ")


@contextmanager
def opened_all(backend: Backend, prompts: Sequence[list[int]]) -> Iterator[list[int]]:
    with ExitStack() as stack:
        yield [stack.enter_context(opened(backend, prompt)) for prompt in prompts]


def together(backend: Backend, steps: list[Step]) -> list[int]:
    drawn = backend.step_together(steps)
    assert all(isinstance(token, int) for token in drawn), drawn
    return [token for token in drawn if isinstance(token, int)]


def counted(real: Callable[..., Any], passes: list[str]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        passes.append("evaluate")
        return real(*arguments, **named)

    return call


@pytest.mark.parametrize("n_sequences", [1, 2, 4])
def test_same_tokens_and_same_state_as_alone(backend: Backend, n_sequences: int) -> None:
    prompts = [ids(backend, text) for text in TEXTS[:n_sequences]]
    truths = [answer(backend, prompt, N + 4) for prompt in prompts]
    sampler, said = backend.sampler(GREEDY), [truth[:1] for truth in truths]
    with opened_all(backend, prompts) as held:
        before = backend.n_evaluated
        for _ in range(N - 1):
            steps = [Step(seq, tokens[-1], sampler) for seq, tokens in zip(held, said, strict=True)]
            for tokens, drawn in zip(said, together(backend, steps), strict=True):
                tokens.append(drawn)
        assert backend.n_evaluated - before == n_sequences * (N - 1)
        for seq, tokens in zip(held, said, strict=True):
            backend.evaluate(seq, tokens[-1:])
            tokens += say(backend, seq, 4)
    assert said == truths


def test_it_is_one_pass_where_the_engine_can(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[str] = []
    with opened_all(backend, [ids(backend, text) for text in TEXTS]) as held:
        if isinstance(backend, ScriptedBackend):
            monkeypatch.setattr(backend, "_hook", passes.append)
        elif isinstance(backend, LlamaBackend):
            real = backend._decode_batch

            def decode_batch(n_tokens: int) -> None:
                passes.append("evaluate")
                real(n_tokens)

            monkeypatch.setattr(backend, "_decode_batch", decode_batch)
        else:
            assert isinstance(backend, MlxBackend)
            model = backend._model.language_model.model
            monkeypatch.setattr(type(model), "__call__", counted(type(model).__call__, passes))
        together(backend, [Step(seq, 65, backend.sampler(GREEDY)) for seq in held])
    assert passes.count("evaluate") == 1
    assert backend.info.max_together == backend.info.max_sequences


def test_forks_that_share_their_beginning(backend: Backend) -> None:
    """Each goes on with a token of its own, some after a while alone; who appended last has no advantage."""
    prompt = ids(backend, PYTHON)
    with opened(backend, prompt[:-1]) as parent:
        mark = backend.snapshot(parent)
        firsts = [prompt[-1], 65, 66, 67]
        truths = [answer(backend, [*prompt[:-1], first], N) for first in firsts]
        with ExitStack() as stack:
            held = [parent, *(stack.enter_context(forked(backend, parent, mark)) for _ in firsts[1:])]
            sampler, said = backend.sampler(GREEDY), [[first] for first in firsts]
            said[2] += backend.step(held[2], firsts[2], (), sampler)
            for turn in range(N):
                order = [i for i in (3, 1, 0, 2) if (turn + i) % 4 and len(said[i]) <= N]
                drawn = together(backend, [Step(held[i], said[i][-1], sampler) for i in order])
                for i, token in zip(order, drawn, strict=True):
                    said[i].append(token)
            backend.restore(held[1], mark)
            again = together(backend, [Step(held[1], firsts[1], sampler), Step(held[0], said[0][-1], sampler)])
    assert again[0] == truths[1][0]
    for truth, tokens in zip(truths, said, strict=True):
        assert tokens[1:] == truth[: len(tokens) - 1]


def test_those_left_out_and_those_that_come_and_go(backend: Backend) -> None:
    prompts = [ids(backend, text) for text in TEXTS]
    truths = [answer(backend, prompt, N) for prompt in prompts]
    sampler, said = backend.sampler(GREEDY), [truth[:1] for truth in truths]
    with opened_all(backend, prompts) as held:
        turn = 0
        while any(len(tokens) < N for tokens in said):
            turn += 1
            chosen = [i for i in range(len(held)) if len(said[i]) < N and (turn + i) % 3]
            if chosen:
                drawn = together(backend, [Step(held[i], said[i][-1], sampler) for i in chosen])
                for i, token in zip(chosen, drawn, strict=True):
                    said[i].append(token)
    assert said == truths


def test_what_a_missed_draft_owes_is_settled_before(backend: Backend) -> None:
    prompts = [ids(backend, PYTHON), ids(backend, C)]
    truths = [answer(backend, prompt, N) for prompt in prompts]
    sampler, said = backend.sampler(GREEDY), [truth[:1] for truth in truths]
    with opened_all(backend, prompts) as held:
        coming = truths[0]
        said[0] += backend.step(held[0], coming[0], [*coming[1:4], (coming[4] + 1) % 200, 65], sampler)
        assert said[0] == coming[:5]
        mark = backend.snapshot(held[1])
        while len(said[0]) < N:
            steps = [Step(seq, tokens[-1], sampler) for seq, tokens in zip(held, said, strict=True)]
            for tokens, drawn in zip(said, together(backend, steps), strict=True):
                tokens.append(drawn)
        backend.restore(held[1], mark)
        assert together(backend, [Step(held[1], truths[1][0], sampler)]) == truths[1][1:2]
    assert said == [truth[: len(tokens)] for truth, tokens in zip(truths, said, strict=True)]


def test_each_has_its_own_chance_and_its_own_constraint(backend: Backend) -> None:
    hot = Sampling(temperature=0.8, top_k=50, seed=5)
    begin = Compiler(backend.tokenizer, backend.info.n_vocab, backend.info.end_ids).compile(Lark("start: /[ab]{20}/"))
    prompt = ids(backend, PYTHON)

    def spoken(alone: bool) -> list[list[int]]:
        with opened_all(backend, [prompt[:-1]] * 3) as held:
            samplers = [backend.sampler(GREEDY), backend.sampler(hot), backend.sampler(hot, begin())]
            said = [prompt[-1:] for _ in held]
            for _ in range(6):
                steps = [Step(*each) for each in zip(held, (s[-1] for s in said), samplers, strict=True)]
                if alone:
                    drawn = [backend.step(step.seq, step.token, (), step.sampler)[0] for step in steps]
                else:
                    drawn = together(backend, steps)
                for tokens, token in zip(said, drawn, strict=True):
                    tokens.append(token)
        return said

    said = spoken(alone=False)
    assert said == spoken(alone=True)
    assert set(b"".join(map(backend.tokenizer.piece, said[2][1:]))) <= set(b"ab")


def test_afterwards_there_is_nothing_to_sample(backend: Backend) -> None:
    sampler = backend.sampler(GREEDY)
    with opened_all(backend, [[65, 66], [67]]) as held:
        together(backend, [Step(seq, 68, sampler) for seq in held])
        for seq in held:
            with pytest.raises(RuntimeError, match="last one evaluated"):
                backend.sample(seq, sampler)


def test_what_can_not_be_evaluated(backend: Backend) -> None:
    """Engines that step one at a time say it of the one, others of the pass."""
    sampler = backend.sampler(GREEDY)
    full = [65] * backend.info.n_ctx
    for prompt, token, kind in (([65], 10**6, BadRequest), (full, 65, PromptTooLong)):
        with opened(backend, prompt) as seq:
            try:
                (failed,) = backend.step_together([Step(seq, token, sampler)])
            except kind:
                continue
            assert isinstance(failed, kind)
