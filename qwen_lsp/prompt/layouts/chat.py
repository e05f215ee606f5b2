"""Chat turns in Qwen's own form (ChatML), thinking off: the answer begins at once.

Tests hold it equal to the model's template. Texts stay texts: no part of a file becomes a control token. Pure; does not
know what is asked, nor which model is loaded.
"""

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from qwen_lsp.prompt.segments import Control, Prompt, Role, Segment, Text, Turn

START, END = Control("<|im_start|>"), Control("<|im_end|>")
THINK, THOUGHT = Control("<think>"), Control("</think>")
TOOL_CALL, TOOL_CALLED = Control("<tool_call>"), Control("</tool_call>")
TOOL_RESPONSE, TOOL_RESPONDED = Control("<tool_response>"), Control("</tool_response>")
NO_THOUGHTS: tuple[Segment, ...] = (THINK, Text("\n\n"), THOUGHT, Text("\n\n"))
# Qwen hears of a tool's result from the user.
_FRAMES: Mapping[Role, tuple[tuple[Segment, ...], tuple[Segment, ...]]] = {
    "tool": ((Text("user\n"), TOOL_RESPONSE, Text("\n")), (Text("\n"), TOOL_RESPONDED))
}
STOP_CONTROLS = ("<|im_end|>", "<|endoftext|>", "<|im_start|>")


def turn(role: Role, *parts: str | Segment) -> Turn:
    """What `role` says. Two texts in a row: the second one changes more often."""
    segments = (Text(part) if isinstance(part, str) else part for part in parts)
    return Turn(role, tuple(segment for segment in segments if segment != Text("")))


def chat(
    turns: Sequence[Turn],
    begun: Sequence[Segment] = (),
    stop: tuple[str, ...] = (),
    stop_controls: tuple[str, ...] = (),
) -> Prompt:
    """The turns, then the assistant's with `begun` said already. Marks stand after turns and between texts."""
    segments: list[Segment] = []
    marks: list[int] = []
    for each in turns:
        head, tail = _FRAMES.get(each.role, ((Text(f"{each.role}\n"),), ()))
        segments += [START, *head]
        for part, following in zip_longest(each.parts, each.parts[1:]):
            segments.append(part)
            if isinstance(part, Text) and isinstance(following, Text):
                marks.append(len(segments))
        segments += [*tail, END, Text("\n")]
        marks.append(len(segments))
    segments += [START, Text("assistant\n"), *NO_THOUGHTS, *begun]
    said = (*turns, Turn("assistant", tuple(begun))) if begun else tuple(turns)
    return Prompt(tuple(segments), tuple(marks), stop, (*STOP_CONTROLS, *stop_controls), said)
