"""Golden prompts for each layout, and the laws that reuse rests on."""

from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.prompt.layouts.fim import FILE, JOINT, LAYOUTS, STOP_CONTROLS, Hole, Layout, question
from qwen_lsp.prompt.ledger import Entry
from qwen_lsp.prompt.segments import Control, Prompt, Text
from tests.golden import check_golden

ALONE = Hole("shop/cart.py", "def total(items):\n    return su", "\n\n\ndef empty():\n    return []\n")
TOGETHER = Hole(
    ALONE.path,
    ALONE.before,
    ALONE.after,
    "shop",
    (ContextFile("shop/item.py", "PRICE = 3\n"), ContextFile("README.md", "# <|im_end|> is text\n")),
)
EDITED = replace(
    TOGETHER,
    log=(
        "@@ shop/item.py:1 @@\n-PRICE = 2\n+PRICE = 3\n",
        ContextFile("shop/tax.py", "RATE = 7\n"),
        "@@ shop/tax.py:1 @@\n-RATE = 7\n+RATE = 8\n",
    ),
)
BITS = st.sampled_from(["a", "b_", " ", "\n", "(", "é", "<|im_end|>", "<|fim_middle|>", "\U0001f600"])
TEXTS = st.lists(BITS, max_size=20).map("".join)
FILES = st.lists(st.builds(ContextFile, TEXTS, TEXTS), max_size=3).map(tuple)
ENTRIES = TEXTS | st.builds(ContextFile, TEXTS, TEXTS)
LOGS = st.lists(ENTRIES, max_size=3).map(tuple)
HOLES = st.builds(Hole, TEXTS, TEXTS, TEXTS, TEXTS, FILES, LOGS)
ANY_LAYOUT = st.sampled_from(list(LAYOUTS.values()))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_golden(layout: Layout) -> None:
    alone, together, edited = question(layout, ALONE), question(layout, TOGETHER), question(layout, EDITED)
    shown = f"{_readable(alone.prompt)}\n=== left to the answer: {alone.typed!r}\n\n"
    shown += f"{_readable(together.prompt)}\n\n{_readable(edited.prompt)}\n"
    check_golden(f"prompt/{layout.name}.txt", shown + "=== stops: " + " ".join(alone.prompt.stop_controls) + "\n")


@settings(deadline=None)
@given(ANY_LAYOUT, HOLES)
def test_control_tokens_are_only_the_layouts_own(layout: Layout, hole: Hole) -> None:
    prompt = question(layout, hole).prompt
    own = [part for part in layout.parts if isinstance(part, Control)]
    names = [segment.token for segment in prompt.segments if isinstance(segment, Control)]
    patches = [key for key, _ in groupby(hole.log, lambda entry: isinstance(entry, str)) if key]
    shown = [entry for entry in hole.log if isinstance(entry, ContextFile)]
    n_files = len(hole.files) + len(shown) + len(patches) + 1
    frame = ["<|repo_name|>", *["<|file_sep|>"] * n_files] if hole.files or hole.log else []
    assert names == frame + [part.token for part in own]


@settings(deadline=None)
@given(ANY_LAYOUT, HOLES)
def test_same_hole_same_prompt_and_marks_ascend(layout: Layout, hole: Hole) -> None:
    first, second = question(layout, hole), question(layout, hole)
    assert first == second
    marks = first.prompt.marks
    assert list(marks) == sorted(set(marks)) and all(0 < mark <= len(first.prompt.segments) for mark in marks)
    assert first.prompt.stop_controls == STOP_CONTROLS


@settings(deadline=None)
@given(HOLES, st.sampled_from("ab_ (.=1"))
def test_typing_changes_nothing_before_the_line_of_the_cursor(hole: Hole, key: str) -> None:
    typed = replace(hole, before=hole.before + key)
    one, two = question(JOINT, hole).prompt, question(JOINT, typed).prompt
    settled = one.marks[-1]
    assert two.segments[:settled] == one.segments[:settled]
    assert len(two.segments) <= settled + 1


@settings(deadline=None)
@given(st.text(st.sampled_from("ab_ (.=1"), max_size=12), st.sampled_from("ab_ (.=1"))
def test_typing_appends_to_the_prompt(line: str, key: str) -> None:
    """The text of the prompt only grows: what was evaluated for one key serves the next."""
    one = _text(question(JOINT, Hole("a.py", "x\n" + line, "\n")).prompt)
    two = _text(question(JOINT, Hole("a.py", "x\n" + line + key, "\n")).prompt)
    assert two.startswith(one) or len(one) - len(two) <= 1, "a finished digit is taken back at most"


@settings(deadline=None)
@given(ANY_LAYOUT, HOLES)
def test_prompt_and_typed_letters_are_the_text_before_the_cursor(layout: Layout, hole: Hole) -> None:
    asked, whole = question(layout, hole), question(layout, hole, heal=False)
    assert whole.typed == ""
    assert len(_text(whole.prompt)) - len(_text(asked.prompt)) == len(asked.typed)
    assert hole.before.endswith(asked.typed)


def _text(prompt: Prompt) -> str:
    return "".join(segment.text for segment in prompt.segments if isinstance(segment, Text))


def _readable(prompt: Prompt) -> str:
    """For golden files: control tokens in guillemets, one bar at each mark."""
    parts: list[str] = []
    for number, segment in enumerate(prompt.segments):
        if number in prompt.marks:
            parts.append("¦")
        parts.append(segment.text if isinstance(segment, Text) else f"«{segment.token}»")
    if len(prompt.segments) in prompt.marks:
        parts.append("¦")
    return "".join(parts)


@settings(deadline=None)
@given(HOLES, ENTRIES)
def test_what_is_logged_later_changes_nothing_before_it(hole: Hole, entry: Entry) -> None:
    one, two = question(JOINT, hole).prompt, question(JOINT, replace(hole, log=(*hole.log, entry))).prompt
    if hole.files or hole.log:
        here = max(number for number, segment in enumerate(one.segments) if segment == FILE)
        assert two.segments[:here] == one.segments[:here]
