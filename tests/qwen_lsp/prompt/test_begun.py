"""Infilling in a chat: golden prompts, and what reuse rests on."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.prompt.layouts.begun import BEGUN, Begun, question
from qwen_lsp.prompt.layouts.fim import Hole
from qwen_lsp.prompt.ledger import Entry
from qwen_lsp.prompt.segments import Control, Text
from qwen_lsp.settings import KEYS, overlay
from qwen_lsp.settings import Settings as AllSettings
from tests.golden import check_golden
from tests.qwen_lsp.prompt.test_fim import ALONE, EDITED, ENTRIES, HOLES, TOGETHER, _readable, _text

ANY_LAYOUT = st.sampled_from(list(BEGUN.values()))


@pytest.mark.parametrize("layout", BEGUN.values(), ids=BEGUN.keys())
def test_golden(layout: Begun) -> None:
    alone, together, edited = question(layout, ALONE), question(layout, TOGETHER), question(layout, EDITED)
    shown = f"{_readable(alone.prompt)}\n=== left to the answer: {alone.typed!r}\n\n"
    shown += f"{_readable(together.prompt)}\n\n{_readable(edited.prompt)}\n"
    stops = [*map(repr, alone.prompt.stop), *alone.prompt.stop_controls]
    check_golden(f"prompt/begun-{layout.name}.txt", shown + "=== stops: " + " ".join(stops) + "\n")


@settings(deadline=None)
@given(ANY_LAYOUT, HOLES)
def test_control_tokens_are_the_turns_own(layout: Begun, hole: Hole) -> None:
    names = [each.token for each in question(layout, hole).prompt.segments if isinstance(each, Control)]
    assert names == ["<|im_start|>", "<|im_end|>", "<|im_start|>", "<think>", "</think>"]
    assert question(layout, hole) == question(layout, hole)


@settings(deadline=None)
@given(ANY_LAYOUT, st.text(st.sampled_from("ab_ (.=1"), max_size=12), st.sampled_from("ab_ (.=1"))
def test_typing_appends_to_the_prompt(layout: Begun, line: str, key: str) -> None:
    one, two = (question(layout, Hole("a.py", "x\n" + typed, "\n")).prompt for typed in (line, line + key))
    assert _text(two).startswith(_text(one)) or len(_text(one)) - len(_text(two)) <= 1


@settings(deadline=None)
@given(ANY_LAYOUT, HOLES, ENTRIES)
def test_what_is_logged_later_changes_nothing_before_it(layout: Begun, hole: Hole, entry: Entry) -> None:
    one, two = (question(layout, each).prompt.segments for each in (hole, replace(hole, log=(*hole.log, entry))))
    asks = one.index(Text(layout.asks.format(path=hole.path)))
    assert two[:asks] == one[:asks]


@settings(deadline=None)
@given(ANY_LAYOUT, HOLES)
def test_the_prompt_and_the_typed_letters_end_with_the_text_before_the_cursor(layout: Begun, hole: Hole) -> None:
    asked = question(layout, hole)
    whole = "".join(each.text for each in asked.prompt.segments if isinstance(each, Text)) + asked.typed
    assert whole.endswith(hole.before)


def test_the_setting_takes_these_names() -> None:
    for name in BEGUN:
        found, problems = overlay(AllSettings(), {"completion": {"layout": name}}, "test")
        assert (found.completion_layout, problems) == (name, [])
    assert not KEYS["completion.layout"].accepts("colourful")
