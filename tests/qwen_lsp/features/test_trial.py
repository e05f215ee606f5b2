"""What a model's first answer tells of the layouts it can be asked in."""

from collections.abc import AsyncGenerator

import pytest

from qwen_lsp.engine.client import Piece, Request, Usage
from qwen_lsp.errors import EngineLost, EngineRefused
from qwen_lsp.features.trial import Trial, tried
from qwen_lsp.prompt.layouts.fim import MIDDLE, PREFIX, SUFFIX
from qwen_lsp.prompt.segments import Text
from qwen_lsp.settings import LAYOUTS
from tests.qwen_lsp.features.fake_engine import FakeEngine


class Lacking(FakeEngine):
    """A model without the tokens for a hole."""

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        if PREFIX in request.prompt.segments:
            raise EngineRefused("the model does not know the control token <|fim_prefix|>")
        async for item in super().generate(request):
            yield item


async def test_one_small_question_at_the_lowest_priority_is_all() -> None:
    engine = FakeEngine(" a + b")
    assert await tried(engine, "joint") == Trial("joint")
    (asked,) = engine.asked
    assert (asked.priority, asked.max_tokens) == ("warm-up", 12)
    assert sum(len(each.text) for each in asked.prompt.segments if isinstance(each, Text)) < 100


async def test_a_model_without_the_tokens_is_asked_in_a_chat() -> None:
    engine = Lacking(" a + b")
    found = await tried(engine, "joint")
    assert found == Trial(
        "chat",
        frozenset({"joint", "suffix-first", "prefix-first"}),
        'layout "joint": the model does not know the control token <|fim_prefix|>, so completion.layout is "chat" here',
    )
    (asked,) = engine.asked
    assert not {PREFIX, SUFFIX, MIDDLE} & set(asked.prompt.segments)


@pytest.mark.parametrize("talk", ["```python\n a + b", " a + b  # **the sum**", "Sure, here it is", "The sum is a + b"])
async def test_talk_and_markdown_send_to_the_next_layout(talk: str) -> None:
    found = await tried(FakeEngine(talk, " a + b"), "prefix-first")
    assert found.layout == "joint" and found.failed == frozenset({"prefix-first"})
    assert "answers with talk or Markdown" in found.problem


async def test_where_none_works_the_wanted_one_stays() -> None:
    found = await tried(FakeEngine(*["Sure, "] * len(LAYOUTS)), "chat")
    assert (found.layout, found.failed) == ("chat", frozenset())
    assert found.problem.startswith("the model fills no holes in any layout")


async def test_an_engine_that_breaks_tells_nothing_of_its_model() -> None:
    class Broken(FakeEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
            raise EngineLost("gone")
            yield

    with pytest.raises(EngineLost):
        await tried(Broken(), "joint")
