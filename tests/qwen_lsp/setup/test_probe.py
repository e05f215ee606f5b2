"""Which layout a model fills holes in, and how fast it is, from what a scripted engine says."""

import pytest

from qwen_lsp.engine.client import Piece, Request, Usage
from qwen_lsp.errors import EngineRefused
from qwen_lsp.prompt.segments import Control
from qwen_lsp.setup.probe import EXAMPLES, Score, Speed, best, score, speed
from tests.qwen_lsp.features.fake_engine import FakeEngine

RIGHT = (" a + b", " height\n", " names", "name", " a", "path, 'rb'")


async def test_what_is_right_and_what_is_talk() -> None:
    assert await score(FakeEngine(*RIGHT), "joint") == Score("joint", 6, 0, 6)
    answers = ("```python\na + b", "Sure, here: height", " name", "**name**", "To return a", "")
    found = await score(FakeEngine(*answers), "prefix-first")
    assert found == Score("prefix-first", 0, 4, 6)
    assert found.line() == "prefix-first: 0 of 6 holes filled as expected, 4 answers talk or are Markdown"


async def test_the_examples_are_asked_as_completions_are() -> None:
    engine = FakeEngine(*RIGHT)
    await score(engine, "prefix-first")
    first = engine.asked[0].prompt
    assert first.segments[0] == Control("<|fim_prefix|>") and first.stop == ("\n",)
    assert all(not example.before[-1].isspace() for example in EXAMPLES), "a token begins with the blank"


class Refusing(FakeEngine):
    async def generate(self, request: Request):  # type: ignore[no-untyped-def]
        raise EngineRefused("the model does not know the control token <|fim_prefix|>")
        yield


async def test_a_layout_whose_tokens_the_model_lacks() -> None:
    found = await score(Refusing(), "joint")
    assert found.line() == "joint: the model does not know the control token <|fim_prefix|>"


def row(layout: str, n_right: int, refused: str = "") -> Score:
    return Score(layout, n_right, 0, 6, refused)


@pytest.mark.parametrize(
    ("scores", "chosen"),
    [
        ([row("joint", 6), row("prefix-first", 6)], "joint"),
        ([row("joint", 5), row("prefix-first", 6)], "joint"),
        ([row("joint", 3), row("suffix-first", 4), row("prefix-first", 6)], "prefix-first"),
        ([row("joint", 0, "no token"), row("chat", 2)], "chat"),
        ([row("joint", 0), row("prefix-first", 1)], None),
        ([row("joint", 0, "no token"), row("chat", 0)], None),
    ],
)
def test_the_cheapest_of_those_that_work(scores: list[Score], chosen: str | None) -> None:
    found = best(scores)
    assert (found.layout if found is not None else None) == chosen


class Timed(FakeEngine):
    async def generate(self, request: Request):  # type: ignore[no-untyped-def]
        self.asked.append(request)
        yield Usage(2000, None, 0, None, 0.0)
        for at_ms in (500.0, 600.0, 700.0):
            yield Piece("x", at_ms)
        yield Usage(2000, 1000, 3, 1003, 700.0)


async def test_the_speed_is_that_of_what_was_not_kept() -> None:
    engine = Timed()
    found = await speed(engine, 1)
    assert found == Speed(2000.0, 10.0) and found.key_ms() == pytest.approx(16 + 1200)
    assert found.line().startswith("reads 2,000 tokens per second, writes 10; a key")
    assert engine.asked[0].prompt != (await speed(engine, 2), engine.asked[1].prompt)[1], "never asked before"


def test_a_speed_that_nobody_knows() -> None:
    assert Speed(None, 5.0).line() == "reads ? tokens per second, writes 5"
