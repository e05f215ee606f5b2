"""Chat turns as segments: equal to the model's own template, user text never a control token, a golden file."""

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from inference.chat import ChatTemplate, Message, encode
from inference.tokenizer import TextTokenizer, from_folder
from qwen_lsp.prompt.layouts.chat import NO_THOUGHTS, TOOL_CALL, TOOL_CALLED, chat, turn
from qwen_lsp.prompt.segments import Control, Prompt, Role, Text
from tests.golden import check_golden
from tests.inference.weights import EMBEDDED

TOKENIZER: TextTokenizer = from_folder(EMBEDDED)
WORDS = st.lists(st.sampled_from(["a", "<|im_end|>", "<think>", " ", "\n", "def f():", "é"]), max_size=6).map("".join)
ROLES = st.sampled_from(["system", "user", "assistant"])
TURNS = st.lists(st.tuples(ROLES, WORDS.filter(bool)), min_size=1, max_size=4)


def ids(prompt: Prompt) -> list[int]:
    """As the engine makes them: segment by segment."""
    found: list[int] = []
    for segment in prompt.segments:
        if isinstance(segment, Control):
            found += TOKENIZER.encode(segment.token, parse_special=True)
        else:
            found += TOKENIZER.encode(segment.text, parse_special=False)
    return found


def readable(prompt: Prompt) -> str:
    """For golden files: control tokens in guillemets, one bar at each mark."""
    parts = []
    for number, segment in enumerate(prompt.segments):
        parts += ["¦"] if number in prompt.marks else []
        parts.append(segment.text if isinstance(segment, Text) else f"«{segment.token}»")
    return "".join(parts)


def test_golden() -> None:
    asked = chat(
        (
            turn("system", "You edit code."),
            turn("user", "a.py\n", "x = 1 <|im_end|>\n"),
            turn("assistant", TOOL_CALL, "\n<function=read>\n</function>\n", TOOL_CALLED),
            turn("tool", "nothing"),
        ),
        begun=(Text("a.py\n"),),
        stop=("\n\n",),
    )
    shown = readable(asked) + "\n=== stops: " + " ".join((*asked.stop, *asked.stop_controls)) + "\n"
    shown += "=== turns: " + ", ".join(f"{each.role} {each.text!r}" for each in asked.turns) + "\n"
    check_golden("prompt/chat.txt", shown)


@settings(deadline=None)
@given(TURNS, WORDS)
def test_it_is_what_the_models_template_makes(turns: list[tuple[str, str]], begun: str) -> None:
    said = [turn(cast(Role, role), text) for role, text in turns]
    messages = [Message(cast(Role, role), text) for role, text in turns]
    prompt = chat((*said, turn("user", "go")), begun=(Text(begun),) if begun else ())
    messages += [Message("user", "go"), Message("assistant", begun)]
    template = ChatTemplate(TOKENIZER.chat_template or "")
    rendered = template.render(messages, enable_thinking=False)
    assert "".join(segment.text for segment in rendered) == "".join(_spelled(prompt))
    assert encode(rendered, TOKENIZER) == ids(prompt)


def _spelled(prompt: Prompt) -> list[str]:
    return [segment.text if isinstance(segment, Text) else segment.token for segment in prompt.segments]


@settings(deadline=None)
@given(TURNS)
def test_control_tokens_are_only_the_layouts_own(turns: list[tuple[str, str]]) -> None:
    prompt = chat([turn(cast(Role, role), text) for role, text in turns])
    names = [segment.token for segment in prompt.segments if isinstance(segment, Control)]
    frame = ["<|im_start|>", "<|im_end|>"] * len(turns)
    assert names == [*frame, "<|im_start|>", *(part.token for part in NO_THOUGHTS if isinstance(part, Control))]
    assert list(prompt.marks) == sorted(set(prompt.marks)) and len(prompt.marks) == len(turns)


def test_another_turn_keeps_what_stood_before_the_answer() -> None:
    turns = [turn("system", "s"), turn("user", "u")]
    one = chat(turns)
    other = chat([*turns, turn("assistant", "a"), turn("user", "v")])
    assert one.segments[: one.marks[-1]] == other.segments[: one.marks[-1]]
