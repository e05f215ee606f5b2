"""Messages -> ids: the template's own text makes control tokens, a content never does."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import inference
from inference.chat import ChatTemplate, Message, Role, Segment, encode
from inference.errors import BadRequest, ModelBroken
from inference.tokenizer import from_folder

TOKENIZER = from_folder(Path(inference.__file__).parent / "models" / "embedded")
TEMPLATE = """{%- for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}
{%- if add_generation_prompt %}<|assistant|>{% endif %}"""


def said(role: Role, content: str) -> Message:
    return Message(role, content)


def rendered(source: str, *messages: Message, enable_thinking: bool = False) -> str:
    segments = ChatTemplate(source).render(messages, enable_thinking=enable_thinking)
    return "".join(segment.text for segment in segments)


def test_the_embedded_models_template() -> None:
    template = TOKENIZER.chat_template
    assert template is not None
    messages = (said("system", "be brief"), said("user", "hi"), said("assistant", "ho"), said("user", "?"))
    turns = (
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nho<|im_end|>\n"
    )
    asked = turns + "<|im_start|>user\n?<|im_end|>\n<|im_start|>assistant\n"
    assert rendered(template, *messages) == asked + "<think>\n\n</think>\n\n"
    assert rendered(template, *messages, enable_thinking=True) == asked


def test_a_last_message_of_the_assistants_begins_the_answer() -> None:
    assert rendered(TEMPLATE, said("user", "a"), said("assistant", "b ")) == "<|user|>a<|end|><|assistant|>b "


def test_segments_tell_contents_from_the_template() -> None:
    assert ChatTemplate(TEMPLATE).render([said("user", "a"), said("user", "")], enable_thinking=False) == [
        Segment("<|user|>", False),
        Segment("a", True),
        Segment("<|end|><|user|><|end|><|assistant|>", False),
    ]


@pytest.mark.parametrize(
    ("source", "content", "expected"),
    [
        ("{{ messages[0].content }}", " \n a \n", " \n a \n"),
        ("{{ messages[0].content|trim }}", " \n a \n", "a"),
        ("{{ messages[0].content.strip() }}", " \n a \n", "a"),
        ("{{ messages[0].content.lstrip() }}", " a ", "a "),
        ("{% if messages[0].content %}[{{ messages[0].content }}]{% else %}none{% endif %}", "", "none"),
        ("{{ messages[0].content }}{{ messages[0].content }}", "a", "aa"),
        ("{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% endfor %}", "a", "a"),
        ("{{ messages[0].content }}{{ {'k': 'é<'}|tojson }}", "a", 'a{"k": "é<"}'),
    ],
)
def test_what_templates_do_with_contents(source: str, content: str, expected: str) -> None:
    assert rendered(source, said("user", content)) == expected


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("{% if %}", ModelBroken, "does not compile: TemplateSyntaxError"),
        ("{{ raise_exception('no system role') }}", BadRequest, "refuses the messages: no system role"),
        ("{{ 1 / 0 }}", ModelBroken, "failed: ZeroDivisionError"),
        ("{{ messages[5].content }}", ModelBroken, "failed: UndefinedError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", ModelBroken, "failed: SecurityError"),
        ("{{ messages.append(1) }}", ModelBroken, "failed: SecurityError"),
        ("nothing of the messages", BadRequest, "no place for messages"),
        ("{{ messages[0].content[:9] }}", BadRequest, "no place for messages"),
        ("{{ messages[0].content }}{{ messages[0].content[1:-3] }}", BadRequest, "no place for messages"),
    ],
)
def test_templates_that_fail(source: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        rendered(source, said("user", "SECRET"))


SPECIAL_TEXT = st.lists(
    st.sampled_from(["<|im_end|>", "<|im_start|>", "<think>", "<|fim_middle|>", "<|", "im_end", "\n", "é", "\x1f"])
    | st.text(max_size=3),
    max_size=8,
).map("".join)  # fmt: skip
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.lists(st.tuples(ROLES, SPECIAL_TEXT), min_size=1, max_size=4))
def test_a_content_never_becomes_a_control_token(turns: list[tuple[Role, str]]) -> None:
    template = ChatTemplate(TOKENIZER.chat_template or "")
    messages = [Message(role, content) for role, content in turns]
    ids = encode(template.render(messages, enable_thinking=False), TOKENIZER)
    begun = turns[-1][0] == "assistant"
    n_shown = len(turns) - begun
    starts, ends = (TOKENIZER.encode(mark, parse_special=True) for mark in ("<|im_start|>", "<|im_end|>"))
    assert (len(starts), len(ends)) == (1, 1)
    assert ids.count(starts[0]) == n_shown + 1
    assert ids.count(ends[0]) == n_shown
    shown = b"".join(map(TOKENIZER.piece, ids)).decode()
    assert all(content in shown for _, content in turns)
