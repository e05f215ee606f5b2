"""A model that says what a test tells it to, by what stands in the prompt. Tests of the machinery, not of quality."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.prompt.segments import Control


def block(path: str, search: str, replace: str) -> str:
    """One edit block; texts end with a line end, or are empty."""
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def text_of(request: Request) -> str:
    """The prompt as one text, control tokens by their names."""
    return "".join(each.token if isinstance(each, Control) else each.text for each in request.prompt.segments)


@dataclass(slots=True)
class Saying:
    """`answers`: texts that must all stand in the prompt, and what is said then. The first that fits is said, once.

    Nothing is said where none fits. `heard`: all prompts. `hook`: called before each answer.
    """

    answers: list[tuple[Sequence[str], str]]
    heard: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    hook: Callable[[], None] = lambda: None
    state: EngineState = field(default_factory=lambda: EngineState("ready"))

    async def start(self) -> None: ...

    def on_state(self, callback: Callable[[EngineState], None]) -> None: ...

    async def close(self) -> None: ...

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        prompt = text_of(request)
        self.heard.append(prompt)
        self.requests.append(request)
        self.hook()
        for row in self.answers:
            if all(text in prompt for text in row[0]):
                self.answers.remove(row)
                yield Piece(row[1])
                break
        yield Usage(len(prompt), 0, 10, len(prompt), 1.0)
