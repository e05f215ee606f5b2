"""Drafts change what a step costs, never what is drawn. Equality is exact, of greedy tokens, on all three backends."""

import random
from collections.abc import Callable, Sequence

import pytest

from inference.backends.base import Backend
from inference.backends.sequences import MAX_OWED
from inference.errors import BadRequest, PromptTooLong
from inference.generation import GREEDY, Sampling
from tests.inference.backends.test_contract import PYTHON, C, answer, forked, ids, opened, say

N = 16
Drafts = Callable[[list[int], random.Random], list[int]]  # what will be drawn, chance -> a draft


def right(coming: list[int], rng: random.Random) -> list[int]:
    return coming[: rng.randint(0, 9)]


def half_right(coming: list[int], rng: random.Random) -> list[int]:
    return coming[: rng.randint(0, 6)] + rng.choices(range(200), k=rng.randint(0, 6))


def one_wrong(coming: list[int], rng: random.Random) -> list[int]:
    draft = coming[:10]
    draft[rng.randrange(len(draft)) :][:1] = [rng.randrange(200)]
    return draft


def junk(coming: list[int], rng: random.Random) -> list[int]:
    return rng.choices(range(200), k=rng.randint(0, 9))


def speak(
    backend: Backend, seq: int, first: int, truth: Sequence[int], drafts: Drafts, sampling: Sampling = GREEDY
) -> list[int]:
    """Steps with drafts, as the runner takes them: `first` is drawn already. Until all of `truth` would be out."""
    rng, sampler, said = random.Random(len(truth)), backend.sampler(sampling), [first]
    while len(said) < len(truth):
        draft = drafts([*truth[len(said) :]], rng)[: len(truth) - len(said) - 1]
        drawn = backend.step(seq, said[-1], draft, sampler)
        assert 1 <= len(drawn) <= len(draft) + 1
        assert list(drawn[:-1]) == draft[: len(drawn) - 1]
        said += drawn
    return said


@pytest.mark.parametrize("drafts", [right, half_right, one_wrong, junk])
@pytest.mark.parametrize("text", [PYTHON, C])
def test_same_tokens_and_same_state_afterwards(backend: Backend, text: str, drafts: Drafts) -> None:
    prompt = ids(backend, text)
    truth = answer(backend, prompt, 2 * N)
    with opened(backend, prompt) as seq:
        first = backend.sample(seq, backend.sampler(GREEDY))
        assert speak(backend, seq, first, truth[:N], drafts) == truth[:N]
        backend.evaluate(seq, truth[N - 1 : N])
        assert say(backend, seq, N) == truth[N:]


def test_an_empty_draft_is_a_plain_step(backend: Backend) -> None:
    prompt = ids(backend, PYTHON)
    truth = answer(backend, prompt, N)
    with opened(backend, prompt) as seq:
        first = backend.sample(seq, backend.sampler(GREEDY))
        before = backend.n_evaluated
        assert speak(backend, seq, first, truth, lambda _coming, _rng: []) == truth
        assert backend.n_evaluated - before == N - 1


def test_every_token_is_counted(backend: Backend) -> None:
    """A draft that is all right costs its tokens and one more; a miss costs what it must repeat, at the next step."""
    prompt = ids(backend, PYTHON)
    truth = answer(backend, prompt, 12)
    wrong = (truth[6] + 1) % 200
    with opened(backend, prompt) as seq:
        before = backend.n_evaluated
        sampler = backend.sampler(GREEDY)
        assert backend.step(seq, truth[0], truth[1:4], sampler) == tuple(truth[1:5])
        assert backend.n_evaluated - before == 4
        assert backend.step(seq, truth[4], [truth[5], wrong, wrong], sampler) == tuple(truth[5:7])
        assert backend.n_evaluated - before == 8
        assert backend.step(seq, truth[6], [], sampler) == (truth[7],)
        repeated = 0 if backend.info.engine == "scripted" else 2
        assert backend.n_evaluated - before == 9 + repeated
        assert backend.step(seq, truth[7], [], sampler) == (truth[8],)
        assert backend.n_evaluated - before == 10 + repeated


def test_misses_in_a_row_do_not_repeat_ever_more(backend: Backend) -> None:
    prompt = ids(backend, PYTHON)
    truth = answer(backend, prompt, 60)
    with opened(backend, prompt) as seq:
        before, n_steps, said, sampler = backend.n_evaluated, 0, truth[:1], backend.sampler(GREEDY)
        while len(said) < len(truth):
            coming = truth[len(said) :]
            said += backend.step(
                seq, said[-1], [*coming[:2], (coming[2] + 1) % 200] if len(coming) > 2 else [], sampler
            )
            n_steps += 1
        assert said == truth
        assert backend.n_evaluated - before <= n_steps * (4 + MAX_OWED)


@pytest.mark.parametrize("accepted", [0, 1, 3])
def test_snapshot_and_fork_after_a_miss(backend: Backend, accepted: int) -> None:
    prompt, other = ids(backend, PYTHON), ids(backend, C)
    truth = answer(backend, prompt, N)
    draft = [*truth[1 : 1 + accepted], (truth[1 + accepted] + 1) % 200, 3, 4]
    with opened(backend, prompt) as seq:
        early = backend.snapshot(seq)
        assert backend.step(seq, truth[0], draft, backend.sampler(GREEDY)) == tuple(truth[1 : accepted + 2])
        mark = backend.snapshot(seq)
        assert mark.n_tokens == len(prompt) + 1 + accepted
        with forked(backend, seq, mark) as child:
            backend.evaluate(child, truth[1 + accepted : 2 + accepted])
            assert say(backend, child, N - accepted - 2) == truth[accepted + 2 :]
        backend.evaluate(seq, other)
        backend.restore(seq, mark)
        backend.evaluate(seq, truth[1 + accepted : 2 + accepted])
        assert say(backend, seq, N - accepted - 2) == truth[accepted + 2 :]
        backend.restore(seq, early)
        assert answer(backend, prompt + other, 6) == _after(backend, seq, other)


def test_what_is_owed_goes_with_a_restore_and_a_close(backend: Backend) -> None:
    prompt, other = ids(backend, PYTHON), ids(backend, C)
    sampler = backend.sampler(GREEDY)
    for _ in range(2):  # the second round opens the same number again
        with opened(backend, prompt) as seq:
            mark = backend.snapshot(seq)
            backend.step(seq, 65, [66, 67, 68], sampler)
            backend.restore(seq, mark)
            assert _after(backend, seq, other) == answer(backend, prompt + other, 6)
            backend.step(seq, 65, [66, 67, 68], sampler)


def test_other_sequences_are_left_alone(backend: Backend) -> None:
    """As many as there may be: the engine's own spare place is not one of theirs."""
    texts = [ids(backend, text) for text in (PYTHON, C, "x = [1, 2]\n", "while True:\n")][: backend.info.max_sequences]
    truths = [answer(backend, text, N) for text in texts]
    held = [backend.open() for _ in texts]
    sampler, said = backend.sampler(GREEDY), []
    for seq, text in zip(held, texts, strict=True):
        backend.evaluate(seq, text)
        said.append([backend.sample(seq, sampler)])
    rng = random.Random(3)
    while any(len(spoken) < N for spoken in said):
        for seq, spoken, truth in zip(held, said, truths, strict=True):
            if len(spoken) < N:
                draft = half_right(truth[len(spoken) :], rng)[: N - len(spoken) - 1]
                spoken += backend.step(seq, spoken[-1], draft, sampler)
    for seq in held:
        backend.close(seq)
    assert said == truths


def test_same_seed_same_tokens_with_and_without_drafts(backend: Backend) -> None:
    """A draft token stays only if the sampler draws it there, so chance runs the same course."""
    hot = Sampling(temperature=0.8, top_k=50, top_p=0.95, seed=11)
    prompt = ids(backend, PYTHON)

    def spoken(drafts: Drafts, truth: Sequence[int]) -> list[int]:
        with opened(backend, prompt[:-1]) as seq:
            return speak(backend, seq, prompt[-1], [prompt[-1], *truth], drafts, hot)

    plain = spoken(lambda _coming, _rng: [], [0] * N)
    assert spoken(half_right, plain[1:]) == plain
    assert spoken(right, plain[1:]) == plain


def test_a_draft_longer_than_a_pass(backend: Backend) -> None:
    prompt = ids(backend, PYTHON)
    truth = answer(backend, prompt, 90)
    with opened(backend, prompt) as seq:
        sampler, said = backend.sampler(GREEDY), truth[:1]
        while len(said) < 90:
            said += backend.step(seq, said[-1], truth[len(said) : 89], sampler)
        assert said == truth


def test_breaches_and_bad_drafts(backend: Backend) -> None:
    sampler = backend.sampler(GREEDY)
    with opened(backend, [65, 66]) as seq:
        with pytest.raises(BadRequest):
            backend.step(seq, 65, [66, 10**6], sampler)
        backend.step(seq, 65, [], sampler)
        with pytest.raises(RuntimeError, match="last one evaluated"):
            backend.sample(seq, sampler)
    with pytest.raises(RuntimeError, match="not open"):
        backend.step(seq, 65, [], sampler)


def test_a_draft_over_the_context_is_refused_before_anything_happens(backend: Backend) -> None:
    """What is owed is part of the length already."""
    prompt = (ids(backend, PYTHON) * 30)[: backend.info.n_ctx - 12]
    sampler = backend.sampler(GREEDY)
    with opened(backend, prompt) as seq:
        backend.step(seq, 65, [66, 67, 68], sampler)
        n_tokens = backend.snapshot(seq).n_tokens
        with pytest.raises(PromptTooLong):
            backend.step(seq, 65, [66] * 12, sampler)
        assert backend.snapshot(seq).n_tokens == n_tokens
        assert len(backend.step(seq, 65, [], sampler)) == 1


def _after(backend: Backend, seq: int, tokens: list[int]) -> list[int]:
    backend.evaluate(seq, tokens)
    return say(backend, seq, 6)
