"""What a prompt is: text of the user's, control tokens of ours, and the borders between them.

Does not know tokens, layouts or the engine. User text is only ever a `Text`, which is tokenised with special
tokens disabled: a file that contains `<|im_end|>` is text.
"""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Text:
    """Anything at all, a control token's name included: it stays text."""

    text: str


@dataclass(frozen=True, slots=True)
class Control:
    """The name of one control token, as the model's tokenizer spells it."""

    token: str


Segment = Text | Control


Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said. Control tokens in it come from a layout."""

    role: Role
    parts: tuple[Segment, ...]

    @property
    def text(self) -> str:
        return "".join(part.token if isinstance(part, Control) else part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class Prompt:
    """Segments in order.

    `marks` are numbers of segments, ascending: what stands after the first `mark` segments changes more often
    than they do. `stop` are strings that end the answer, `stop_controls` the control tokens that do.
    `turns`: the same as a chat, for servers with their own template; a last one of the assistant's begins the answer.
    """

    segments: tuple[Segment, ...]
    marks: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    stop_controls: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()


def up_to(prompt: Prompt, text: str) -> Prompt:
    """The prompt to the end of the last segment that is this text; all of it where none is."""
    if Text(text) not in prompt.segments:
        return prompt
    end = len(prompt.segments) - prompt.segments[::-1].index(Text(text))
    return replace(prompt, segments=prompt.segments[:end], marks=tuple(mark for mark in prompt.marks if mark <= end))
