"""What all requests to one daemon share: the scheduler, the templates, what was read and tokenised before.

For the event loop. Knows no HTTP.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from inference.chat import ChatTemplate
from inference.earlier import Prompts
from inference.errors import UnknownModel
from inference.generation import Constraint
from inference.grammar import Compiler, Grammar, StartsWith
from inference.scheduler import Scheduler

SHORT_CHARS = 4096  # tokenised in less time than it takes to ask another thread
MOST_PLAIN = 256  # short texts whose ids are kept
MOST_ENDINGS = 16  # sets of stop strings; a client has one or two


@dataclass(frozen=True, slots=True)
class About:
    """What /health says of the process besides its state. `model` is the name that was asked for."""

    model: str
    engine: str
    pid: int
    build: str
    version: str


@dataclass(slots=True)
class Service:
    """What the routes share. Chat template and grammars' vocabulary are read when the first request needs them."""

    scheduler: Scheduler
    about: About
    created: int = field(default_factory=lambda: int(time.time()))
    templates: dict[str, ChatTemplate] = field(default_factory=dict)
    compiler: Compiler | None = None
    prompts: Prompts = field(default_factory=Prompts)
    _plain: OrderedDict[str, tuple[int, ...]] = field(default_factory=OrderedDict)
    _ending: OrderedDict[tuple[str, ...], frozenset[int]] = field(default_factory=OrderedDict)

    def template(self) -> ChatTemplate | None:
        source = self.scheduler.tokenizer.chat_template
        if source is None:
            return None
        if source not in self.templates:
            self.templates[source] = ChatTemplate(source)
        return self.templates[source]

    async def constraint(self, grammar: Grammar) -> Callable[[], Constraint]:
        """What begins an answer of this form. A real model's vocabulary takes a second to read, a large grammar several
        to compile: on a worker thread."""
        if self.compiler is not None and isinstance(grammar, StartsWith):
            return self.compiler.compile(grammar)
        return await asyncio.to_thread(self._compiled, grammar)

    def _compiled(self, grammar: Grammar) -> Callable[[], Constraint]:
        return self._compiler().compile(grammar)

    def _compiler(self) -> Compiler:
        if self.compiler is None:
            info = self.scheduler.backend_info
            self.compiler = Compiler(self.scheduler.tokenizer, info.n_vocab, info.end_ids)
        return self.compiler

    async def ending(self, stops: tuple[str, ...]) -> frozenset[int]:
        """The tokens that hold one of these stop strings: the model's thread ends an answer behind them, and draws no
        more until its text is looked at. A string that several tokens make up is found there only."""
        found = self._ending.pop(stops, None) if stops else frozenset()
        if found is None:
            found = await asyncio.to_thread(lambda: self._compiler().vocabulary.holding(stops))
        self._ending[stops] = found
        if len(self._ending) > MOST_ENDINGS:
            self._ending.popitem(last=False)
        return found

    def check_model(self, name: str | None) -> None:
        served = self.scheduler.backend_info.name
        if name not in (None, "default", served, self.about.model):
            raise UnknownModel(f"model {name!a} is not loaded; this daemon serves {served!a}", "model")

    def plain(self, text: str) -> tuple[int, ...]:
        """The ids of a short text without control tokens. What stands around a cursor comes again with each key."""
        found = self._plain.pop(text, None)
        if found is None:
            found = tuple(self.scheduler.tokenizer.encode(text, parse_special=False))
        self._plain[text] = found
        if len(self._plain) > MOST_PLAIN:
            self._plain.popitem(last=False)
        return found
