"""The law of prompts as text: what reads as a control token was put there by a layout."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.engine.abilities import CONTROLS
from qwen_lsp.engine.written import BREAK, CONTROL, Unbroken, harmless, messages, whole, written
from qwen_lsp.prompt.layouts.chat import chat, turn
from qwen_lsp.prompt.segments import Control, Prompt, Segment, Text

# Every one that Qwen's tokenizer knows, and some of other families.
KNOWN = (
    *CONTROLS,
    *("<|object_ref_start|>", "<|vision_start|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<tool_response>"),
    *("<s>", "</s>", "<fim_prefix>", "<fim_suffix>", "<file_sep>", "<｜fim▁begin｜>", "<PRE>", "<unk>"),
)
READ = re.compile("|".join(map(re.escape, KNOWN)))

# Whole ones, halves, and ordinary text.
SHARDS = [*KNOWN, *(token[:cut] for token in KNOWN for cut in (1, 2, 5)), *(token[2:] for token in KNOWN)]
TEXTS = st.lists(st.sampled_from(SHARDS) | st.text(max_size=3), max_size=5).map("".join)
SEGMENTS: st.SearchStrategy[Segment] = TEXTS.map(Text) | st.sampled_from(KNOWN).map(Control)


def test_the_tokens_are_such_that_breaking_them_apart_is_enough() -> None:
    """One begins where `<` stands and nowhere else, so none can be made of two."""
    assert all(token.rfind("<") == 0 and token.find(">") == len(token) - 1 for token in KNOWN)


@given(st.lists(SEGMENTS, max_size=8), st.sets(st.sampled_from(KNOWN)))
def test_what_reads_as_a_control_token_was_put_there(segments: list[Segment], known: set[str]) -> None:
    text = written(Prompt(tuple(segments)), known)
    wanted = [segment.token for segment in segments if isinstance(segment, Control) and segment.token in known]
    assert READ.findall(text) == wanted


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=4))
def test_a_chat_holds_none_at_all(said: list[list[str]]) -> None:
    prompt = chat([turn("user", *texts) for texts in said], (Text("<|im_start|>"),))
    for message in messages(prompt):
        assert READ.search(message["content"]) is None
    assert [message["role"] for message in messages(prompt)] == ["user"] * len(said) + ["assistant"]


@given(TEXTS | st.text())
def test_nothing_but_control_tokens_is_touched(text: str) -> None:
    broken = harmless(text)
    assert broken.replace("<" + BREAK, "<") == text.replace("<" + BREAK, "<")
    assert len(broken) == len(text) + len(CONTROL.findall(text))
    assert harmless(broken) == broken


@given(TEXTS.filter(lambda text: "<" + BREAK not in text), st.lists(st.integers(0, 40)))
def test_an_answer_is_whole_however_it_comes(text: str, cuts: list[int]) -> None:
    said, stream = harmless(text), Unbroken()
    places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
    heard = "".join(stream.feed(said[start:end]) for start, end in pairwise(places))
    assert heard + stream.rest() == text == whole(said)


def test_a_prompt_that_is_no_chat_is_asked_for_in_words() -> None:
    (message,) = messages(Prompt((Control("<|fim_prefix|>"), Text("x = "))))
    assert message["role"] == "user" and message["content"].endswith("\n\n\nx = ")
