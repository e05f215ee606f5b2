"""Ids are asked for once, and the least recently used ones go first."""

from collections.abc import Sequence

from qwen_lsp.engine.tokens import ENTRY_BYTES, SEEN, TokenCache
from qwen_lsp.prompt.segments import Control, Segment, Text


async def test_least_recently_used_ids_are_forgotten() -> None:
    asked: list[Segment] = []

    async def tokenize(segments: Sequence[Segment]) -> list[list[int]]:
        asked.extend(segments)
        return [[7, 8, 9]] * len(segments)

    cache = TokenCache(max_bytes=2 * (ENTRY_BYTES + 12))
    for letter in "abacab":
        assert list(map(list, await cache.ids([Text(letter)], tokenize))) == [[7, 8, 9]]
    assert asked == [Text(letter) for letter in "abcb"]


async def test_all_that_is_not_known_is_asked_for_at_once_and_each_text_once() -> None:
    asked: list[Sequence[Segment]] = []

    async def tokenize(segments: Sequence[Segment]) -> list[list[int]]:
        asked.append(segments)
        return [[len(segment.text)] for segment in segments if isinstance(segment, Text)]

    cache = TokenCache()
    await cache.ids([Text("a")], tokenize)
    found = await cache.ids([Text("bb"), Text("a"), Text("ccc"), Text("bb")], tokenize)
    assert list(map(list, found)) == [[2], [1], [3], [2]]
    assert await cache.ids([], tokenize) == []
    assert asked == [(Text("a"),), (Text("bb"), Text("ccc"))]


async def test_the_same_object_is_not_hashed_again_and_no_other_is_taken_for_it() -> None:
    async def tokenize(segments: Sequence[Segment]) -> list[list[int]]:
        return [[len(segment.text)] for segment in segments if isinstance(segment, Text)]

    cache, base = TokenCache(max_bytes=0), Text("base")
    (first,) = await cache.ids([base], tokenize)
    assert (await cache.ids([base], tokenize))[0] is first
    for n in range(SEEN + 1):  # objects that come and go may have the address of one that went before
        assert list(map(list, await cache.ids([Text("x" * (n % 9))], tokenize))) == [[n % 9]]
    assert (await cache.ids([base], tokenize))[0] is not first


async def test_text_that_spells_a_control_token_is_another_segment() -> None:
    async def tokenize(segments: Sequence[Segment]) -> list[list[int]]:
        return [[1] if isinstance(segment, Control) else [2, 3] for segment in segments]

    cache, both = TokenCache(), (Text("<|im_end|>"), Control("<|im_end|>"))
    assert list(map(list, await cache.ids(both, tokenize))) == [[2, 3], [1]]
    assert list(map(list, await cache.ids(both[1:], tokenize))) == [[1]]
