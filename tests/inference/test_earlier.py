"""What is kept of earlier prompts, and for how long."""

from inference.earlier import LEAST_TOKENS, Ids, Prompts
from inference.generation import Job
from inference.kept import pack


def job(n: int) -> Job:
    tokens = tuple(range(n, n + LEAST_TOKENS))
    return Job("j", tokens, 1, packed=pack(tokens))


def test_a_beginning_and_what_follows_it_are_packed_as_the_whole_is() -> None:
    begun = Ids.of((1, 2, 3)).first(2)
    assert begun == Ids.of((1, 2)) and begun.then((7,)) == Ids.of((1, 2, 7))


def test_the_least_recently_used_go_first() -> None:
    prompts = Prompts(most_tokens=2 * LEAST_TOKENS)
    prompts.keep("a", job(0))
    prompts.keep("b", job(1))
    assert prompts.find("a") == Ids.of(job(0).prompt)
    prompts.keep("c", job(2))
    assert prompts.find("b") is None and prompts.find("a") is not None and prompts.find("c") is not None
    few = Prompts(most_prompts=1)
    few.keep("a", job(0))
    few.keep("b", job(1))
    assert few.find("a") is None and few.find("b") is not None


def test_short_ones_are_not_kept() -> None:
    prompts = Prompts()
    prompts.keep("a", Job("j", (1, 2), 1))
    assert prompts.find("a") is None
