"""Chat messages -> token ids through the model's own Jinja template.

A message's content can never become a control token: the template sees a placeholder in its stead, and the
content is tokenised apart, with control tokens switched off. Knows no HTTP and no queue.
"""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from inference.backends.base import Tokenizer
from inference.errors import BadRequest, ModelBroken

EDGE = "\x1f"  # white space to `trim`, and in no template: a missing one tells that the template trims contents

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the rendered prompt: the template's own text, or a content."""

    text: str
    is_content: bool


class ChatTemplate:
    """A compiled template."""

    def __init__(self, source: str) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ModelBroken(f"the model's chat template does not compile: {type(error).__name__}") from error

    def render(self, messages: Sequence[Message], *, enable_thinking: bool) -> list[Segment]:
        """The prompt in pieces, ready for the answer; a last message of the assistant's begins it."""
        begun = messages[-1].content if messages[-1].role == "assistant" else None
        shown = messages if begun is None else messages[:-1]
        nonce = secrets.token_hex(8)
        rendered = self._run([_veiled(message, nonce, i) for i, message in enumerate(shown)], enable_thinking)
        segments = list(_split(rendered, nonce, shown))
        if begun:
            segments.append(Segment(begun, is_content=True))
        return [segment for segment in segments if segment.text]

    def _run(self, messages: list[dict[str, str]], enable_thinking: bool) -> str:
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                bos_token="",
                eos_token="",
            )
        except BadRequest:
            raise
        except Exception as error:  # a template is code that came with the model: it may raise anything
            raise ModelBroken(f"the model's chat template failed: {type(error).__name__}") from error


def encode(segments: Sequence[Segment], tokenizer: Tokenizer) -> list[int]:
    """Ids of a rendered prompt: only the template's own text may name control tokens."""
    return [
        token for segment in segments for token in tokenizer.encode(segment.text, parse_special=not segment.is_content)
    ]


def _veiled(message: Message, nonce: str, index: int) -> dict[str, str]:
    placeholder = f"{EDGE}{nonce}-{index}-{EDGE}" if message.content else ""  # templates ask whether there is content
    return {"role": message.role, "content": placeholder}


def _split(rendered: str, nonce: str, messages: Sequence[Message]) -> list[Segment]:
    segments, end, seen = [], 0, set()
    for match in re.finditer(f"({EDGE}?){nonce}-([0-9]+)-({EDGE}?)", rendered):
        index = int(match[2])
        content = messages[index].content
        content = content if match[1] else content.lstrip()
        content = content if match[3] else content.rstrip()
        segments += [Segment(rendered[end : match.start()], False), Segment(content, True)]
        end = match.end()
        seen.add(index)
    segments.append(Segment(rendered[end:], False))
    lost = [index for index, message in enumerate(messages) if message.content and index not in seen]
    if lost or nonce in "".join(segment.text for segment in segments if not segment.is_content):
        raise BadRequest(f"the model's chat template has no place for messages {lost}", "messages")
    return segments


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: object) -> NoReturn:
    raise BadRequest(f"the model's chat template refuses the messages: {message}", "messages")
