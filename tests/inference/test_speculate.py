"""Drafting is held to its laws on any tokens, and to its worth on a file of 200 lines with three small edits."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.speculate import MAX_DRAFT, Drafter, Replayed, replay
from inference.tokenizer import from_folder
from tests.inference.weights import EMBEDDED

Tokens = st.lists(st.integers(0, 6), max_size=60)  # few different ones: everything repeats, every match may be false
AnyTokens = st.lists(st.integers(0, 248_319), max_size=60)


@pytest.fixture(scope="module")
def encode() -> Callable[[str], list[int]]:
    tokenizer = from_folder(EMBEDDED)
    return lambda text: tokenizer.encode(text, parse_special=False)


def module_of(n_functions: int) -> str:
    """Ordinary code: names recur, the shape of functions repeats, no two of them are the same."""
    verbs = ("load", "parse", "check", "merge", "render", "store", "count", "group", "split", "close")
    nouns = ("order", "invoice", "customer", "address", "payment", "basket", "refund", "voucher")
    lines = ["import logging", "from dataclasses import dataclass", "", "log = logging.getLogger(__name__)", ""]
    for i in range(n_functions):
        verb, noun = verbs[i % len(verbs)], nouns[(i * 3) % len(nouns)]
        lines += [
            "",
            f"def {verb}_{noun}({noun}, limit={i * 7 + 1}):",
            f'    """{verb.capitalize()} one {noun} of the {nouns[i % len(nouns)]}."""',
            f"    if {noun} is None or {noun}.size > limit:",
            f'        raise ValueError("no {noun} to {verb}: " + repr({noun}))',
            f"    result = [{verb}(item, {i}) for item in {noun}.items if item.{nouns[(i + 1) % len(nouns)]}]",
            f'    log.debug("{verb} gave %d rows", len(result))',
            f"    return result[:{i + 2}]",
            "",
        ]
    return "\n".join(lines[:200]) + "\n"


def three_edits(text: str) -> str:
    """A rename in every place, lines that are new, lines that are gone."""
    text = text.replace("basket", "shopping_cart")
    text = text.replace("def count_", "def audit(entry):\n    yield from sorted(entry.trail)\n\n\ndef count_", 1)
    lines = text.split("\n")
    gone = next(i for i, line in enumerate(lines) if "merge gave" in line)
    return "\n".join(lines[:gone] + lines[gone + 1 :])


def changed(tokens: Sequence[int], seed: int) -> list[int]:
    """Cut, replaced and inserted here and there."""
    rng, out = random.Random(seed), list(tokens)
    for _ in range(rng.randint(0, 4)):
        at = rng.randint(0, len(out))
        out[at : at + rng.randint(0, 5)] = rng.choices(range(7), k=rng.randint(0, 5))
    return out


def spoken(oracle: Sequence[int], drafter: Drafter, sizes: Sequence[int]) -> list[int]:
    """A decoding loop that keeps what the oracle would draw, with another draft limit at each step."""
    said: list[int] = []
    while len(said) < len(oracle):
        draft = drafter.draft(sizes[len(said) % len(sizes)])
        drawn = [oracle[len(said)]]
        for token in draft:
            if token != drawn[-1] or len(said) + len(drawn) == len(oracle):
                break
            drawn.append(oracle[len(said) + len(drawn)])
        drafter.accept(drawn)
        said += drawn
    return said


@given(Tokens, Tokens, st.integers(0, 1000), st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_answer_is_the_oracles_and_drafts_are_bounded(
    prompt: list[int], prediction: list[int], seed: int, sizes: list[int]
) -> None:
    answer = changed(prediction, seed)
    assert spoken(answer, Drafter(prompt, prediction), sizes) == answer
    drafter = Drafter(prompt, prediction, frozenset({3}))
    for i, token in enumerate(answer):
        draft = drafter.draft(sizes[i % len(sizes)])
        assert len(draft) <= min(sizes[i % len(sizes)], MAX_DRAFT)
        assert 3 not in draft
        assert set(draft) <= {*prompt, *prediction, *answer[:i]}  # copied, never invented
        drafter.accept([token])


@given(Tokens, Tokens, st.integers(0, 1000))
def test_same_calls_same_drafts(prompt: list[int], prediction: list[int], seed: int) -> None:
    answer = changed(prediction, seed)
    twins = Drafter(prompt, prediction), Drafter(prompt, prediction)
    for token in answer:
        drafts = [twin.draft(12) for twin in twins]
        assert drafts[0] == drafts[1]
        for twin in twins:
            twin.accept([token])


@given(AnyTokens, AnyTokens, AnyTokens)
def test_replay_accounts_for_every_token(answer: list[int], prompt: list[int], prediction: list[int]) -> None:
    seen = replay(answer, prompt, prediction)
    assert seen.n_tokens == len(answer) == seen.n_passes + seen.n_accepted
    assert seen.n_accepted <= seen.n_drafted


@given(Tokens, Tokens, st.integers(0, 1000), st.lists(st.integers(1, 9), min_size=1))
def test_what_was_drawn_may_come_in_any_portions(
    prompt: list[int], prediction: list[int], seed: int, portions: list[int]
) -> None:
    """Without `draft` in between, as when the gate is closed; the drafter must not lose its place or fail."""
    answer, drafter, at = changed(prediction, seed), Drafter(prompt, prediction), 0
    for i in range(len(answer)):
        size = portions[i % len(portions)]
        drafter.accept(answer[at : at + size])
        at += size
    assert len(drafter.draft(5)) <= 5


def test_three_edits_in_200_lines(encode: Callable[[str], list[int]]) -> None:
    old = module_of(30)
    new = three_edits(old)
    assert old.count("\n") == 200 and old.count("basket") >= 10
    seen = replay(encode(new), encode(old), encode(old))
    assert seen.tokens_per_pass >= 12
    assert seen.n_accepted / seen.n_drafted >= 0.85


@pytest.mark.parametrize(
    ("edit", "at_least"),
    [
        pytest.param(lambda text: text, 28, id="nothing changed"),
        pytest.param(lambda text: text.replace("basket", "shopping_cart"), 16, id="rename"),
        pytest.param(lambda text: "import os\n" + text, 24, id="insertion at the start"),
        pytest.param(lambda text: text.replace("    log.", "    assert result\n    log.", 1), 24, id="insertion"),
        pytest.param(lambda text: text[: len(text) // 3] + text[len(text) // 2 :], 22, id="a sixth deleted"),
        pytest.param(lambda text: text[len(text) // 2 :], 22, id="only the second half"),
        pytest.param(lambda text: text[len(text) // 2 :] + text[: len(text) // 2], 20, id="halves swapped"),
    ],
)
def test_single_edits(encode: Callable[[str], list[int]], edit: Callable[[str], str], at_least: float) -> None:
    old = module_of(30)
    assert replay(encode(edit(old)), (), encode(old)).tokens_per_pass >= at_least


def test_prompt_lookup_without_a_prediction(encode: Callable[[str], list[int]]) -> None:
    text = module_of(30)
    assert replay(encode(text), encode(text), ()).tokens_per_pass >= 12


def test_text_that_repeats_itself_is_drafted_from_itself() -> None:
    seen = replay([7, 8, 9] * 100, (), ())
    assert seen == Replayed(n_tokens=300, n_passes=seen.n_passes, n_drafted=seen.n_drafted, n_accepted=seen.n_accepted)
    assert seen.tokens_per_pass >= 15


def test_nothing_to_copy_nothing_drafted() -> None:
    assert replay(range(1000, 1200), range(500), ()) == Replayed(200, 200, 0, 0)


def test_a_lost_pointer_costs_little() -> None:
    """The answer has nothing of the prediction: the first draft, and what chance agreement there is."""
    seen = replay(range(1000, 1200), (), range(500))
    assert seen.n_passes == 200 and seen.n_drafted <= MAX_DRAFT


def test_the_pointer_returns_after_a_long_insertion() -> None:
    old, inserted = list(range(100, 400)), list(range(1000, 1100))
    drafter = Drafter((), old)
    drafter.accept(old[:150] + inserted)
    assert drafter.draft(8) == ()
    drafter.accept(old[150:152])
    assert drafter.draft(8) == tuple(old[152:160])


def test_a_rename_is_learned() -> None:
    """Seen once, made again: the same token is replaced wherever the prediction has it."""
    body = [list(range(100 * i, 100 * i + 20)) for i in range(1, 6)]
    old = [token for part in body for token in (*part, 7)]
    new = [token for part in body for token in (*part, 8, 9)]
    drafter = Drafter((), old)
    for token in new[:40]:
        drafter.draft(1)
        drafter.accept([token])
    assert drafter.draft(8) == tuple(new[40:48])


def test_a_learned_rename_that_is_wrong_is_forgotten() -> None:
    body = [list(range(100 * i, 100 * i + 20)) for i in range(1, 6)]
    old = [token for part in body for token in (*part, 7)]
    drafter = Drafter((), old)
    for token in (*body[0], 8, *body[1]):
        drafter.draft(1)
        drafter.accept([token])
    assert drafter.draft(1) == (8,)
    drafter.accept([7, *body[2]])
    assert drafter.draft(1) == (7,)
