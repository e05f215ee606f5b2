"""Ids are asked for once, and the least recently used ones go first."""

from qwen_lsp.engine.tokens import ENTRY_BYTES, TokenCache
from qwen_lsp.prompt.segments import Control, Segment, Text


async def test_least_recently_used_ids_are_forgotten() -> None:
    asked: list[Segment] = []

    async def tokenize(segment: Segment) -> list[int]:
        asked.append(segment)
        return [7, 8, 9]

    cache = TokenCache(max_bytes=2 * (ENTRY_BYTES + 12))
    a, b, c = Text("a"), Text("b"), Text("c")
    for segment in (a, b, a, c, a, b):
        assert list(await cache.ids(segment, tokenize)) == [7, 8, 9]
    assert asked == [a, b, c, b]


async def test_text_that_spells_a_control_token_is_another_segment() -> None:
    async def tokenize(segment: Segment) -> list[int]:
        return [1] if isinstance(segment, Control) else [2, 3]

    cache = TokenCache()
    assert list(await cache.ids(Text("<|im_end|>"), tokenize)) == [2, 3]
    assert list(await cache.ids(Control("<|im_end|>"), tokenize)) == [1]
