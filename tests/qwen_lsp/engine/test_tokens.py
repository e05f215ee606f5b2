"""Ids are asked for once, and the least recently used ones go first."""

from array import array
from base64 import b64decode

from qwen_lsp.engine.http import PACKED_FROM, _wired
from qwen_lsp.engine.tokens import ENTRY_BYTES, SEEN, TokenCache
from qwen_lsp.prompt.segments import Control, Segment, Text


async def test_least_recently_used_ids_are_forgotten() -> None:
    asked: list[Segment] = []

    async def tokenize(segment: Segment) -> list[int]:
        asked.append(segment)
        return [7, 8, 9]

    cache = TokenCache(max_bytes=2 * (ENTRY_BYTES + 12))
    for letter in "abacab":
        assert list(await cache.ids(Text(letter), tokenize)) == [7, 8, 9]
    assert asked == [Text(letter) for letter in "abcb"]


async def test_the_same_object_is_not_hashed_again_and_no_other_is_taken_for_it() -> None:
    async def tokenize(segment: Segment) -> list[int]:
        assert isinstance(segment, Text)
        return [len(segment.text)]

    cache, base = TokenCache(max_bytes=0), Text("base")
    first = await cache.ids(base, tokenize)
    assert await cache.ids(base, tokenize) is first
    for n in range(SEEN + 1):  # objects that come and go may have the address of one that went before
        assert list(await cache.ids(Text("x" * (n % 9)), tokenize)) == [n % 9]
    assert await cache.ids(base, tokenize) is not first


def test_long_prompts_travel_as_bytes() -> None:
    assert _wired(array("I", [1, 2])) == {"prompt": [1, 2]}
    ids = array("I", range(PACKED_FROM))
    (packed,) = _wired(ids).values()
    assert b64decode(packed) == b"".join(n.to_bytes(4, "little") for n in ids)


async def test_text_that_spells_a_control_token_is_another_segment() -> None:
    async def tokenize(segment: Segment) -> list[int]:
        return [1] if isinstance(segment, Control) else [2, 3]

    cache = TokenCache()
    assert list(await cache.ids(Text("<|im_end|>"), tokenize)) == [2, 3]
    assert list(await cache.ids(Control("<|im_end|>"), tokenize)) == [1]
