"""What may be sampled next: grammars as frozen values, compiled by llguidance to a constraint on one answer's tokens.

The only module that knows llguidance. Knows no engine and no HTTP.

An answer under `EditBlocks` is one or more blocks, with nothing between them. Those of a file follow each other from
its top to its end and do not meet; files come in the order in which they are given:

    path/to/file.py
    <<<<<<< SEARCH
    a run of whole lines of that file, which stands there exactly once
    =======
    any lines
    >>>>>>> REPLACE

A file that may be made has a block without SEARCH lines. SEARCH has LF line ends whatever the file has, and a file's
last line counts as whole without one: whoever applies a block compares lines. Lines that read like a marker
(`edit_blocks.is_marker`) are neither searched nor written, so that an answer splits in one way only.
"""

import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import llguidance

from inference import edit_blocks
from inference.backends.base import Tokenizer
from inference.errors import BadRequest, QueueFull
from inference.generation import Constraint
from inference.vocabulary import Vocabulary, plain_pieces

MAX_BLOCKS = 64
_MESSAGE_CHARS = 300
_STACK_BYTES = 256 << 20  # llguidance follows a chain of rules by recursion, 7 KB each, and ends the process beyond
_starting = threading.Lock()  # the size of a new thread's stack is a setting of the process
_QUOTED = re.compile(r"\n *\d+ \| |\u27e6")
_LIMITS = llguidance.LLParserLimits(verbose_errors=False)
_MANY_LINES = llguidance.LLParserLimits(
    max_items_in_row=50_000, step_max_items=500_000, max_grammar_size=2_000_000, verbose_errors=False
)
BUILD_S = 20  # llguidance's own limits let some regular expressions run for minutes, and nothing can stop them
_builders = threading.BoundedSemaphore(2)  # those left behind count, or they would take every core
# JSON as models write it, on one line. Between tokens no other white space: a weak model would loop there.
_JSON_STYLE: dict[str, Any] = {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}


@dataclass(frozen=True, slots=True)
class Lark:
    """A grammar in llguidance's dialect of Lark."""

    text: str


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """`schema` as JSON text."""

    schema: str


@dataclass(frozen=True, slots=True)
class EditBlocks:
    """Search-and-replace blocks in `files`, path to text. `creates`: paths of files that may be made."""

    files: Mapping[str, str]
    max_blocks: int = MAX_BLOCKS
    creates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Anything that begins with `text`. That needs no llguidance: `vocabulary.py` has it."""

    text: str


Grammar = Lark | JsonSchema | EditBlocks | StartsWith


class Compiler:
    """One model's vocabulary. Safe to call from any thread."""

    def __init__(self, tokenizer: Tokenizer, n_vocab: int, end_ids: frozenset[int]) -> None:
        """Takes a second where the vocabulary is large, and so does the first grammar."""
        self._tokenizer, self._n_vocab, self._end_ids = tokenizer, n_vocab, end_ids
        self._pieces = plain_pieces(tokenizer, n_vocab, end_ids)
        self.vocabulary = Vocabulary(self._pieces)
        self._wrapped: llguidance.LLTokenizer | None = None

    def compile(self, grammar: Grammar) -> Callable[[], Constraint]:
        """What begins an answer. Takes milliseconds to seconds, but for `StartsWith`: not on the event loop."""
        if isinstance(grammar, StartsWith):
            return self.vocabulary.beginning(grammar.text)
        tokenizer = self._for_grammars()
        try:
            text = _source(grammar)
            limits = _MANY_LINES if isinstance(grammar, EditBlocks) else _LIMITS
            matcher = _built(lambda: llguidance.LLMatcher(tokenizer, text, log_level=0, limits=limits))
        except ValueError as error:
            raise _refused(str(error)) from None
        TokenConstraint(matcher, self._n_vocab).mask()  # a grammar without any text fails only here
        return lambda: TokenConstraint(matcher.deep_copy(), self._n_vocab)

    def _for_grammars(self) -> llguidance.LLTokenizer:
        if not self._end_ids:
            raise BadRequest("grammar needs a model with an end token", "grammar")
        if self._wrapped is None:
            wrapped = llguidance.TokenizerWrapper(_Vocabulary(self._tokenizer, self._pieces, self._end_ids))
            self._wrapped = llguidance.LLTokenizer(wrapped, n_vocab=self._n_vocab, eos_token=sorted(self._end_ids))
        return self._wrapped


class TokenConstraint:
    """One answer's place in its grammar."""

    is_free = False

    def __init__(self, matcher: llguidance.LLMatcher, n_vocab: int) -> None:
        self._matcher = matcher
        self._n_vocab = n_vocab

    def mask(self) -> bytes:
        """A byte per id, zero where it may not come next. End ids may where the grammar is satisfied."""
        mask = self._matcher.compute_logit_bias()
        if self._matcher.is_error():
            raise _refused(self._matcher.get_error())
        return mask

    def accept(self, token: int) -> None:
        """`token` was drawn."""
        if not self.is_finished and not self._matcher.consume_token(token):
            raise _refused(self._matcher.get_error())

    def allows(self, tokens: tuple[int, ...]) -> int:
        """How many of `tokens` may come next, in this order."""
        valid = next((i for i, token in enumerate(tokens) if not 0 <= token < self._n_vocab), len(tokens))
        return 0 if self.is_finished else self._matcher.validate_tokens(list(tokens[:valid]))

    @property
    def is_finished(self) -> bool:
        """Only an end token may come."""
        return self._matcher.is_stopped()


class _Vocabulary:
    """The tokens as llguidance wants them; what stands for no plain text is special there and never sampled."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, pieces: list[bytes], end_ids: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = min(end_ids)
        self.special_token_ids = [i for i, piece in enumerate(pieces) if not piece]
        self.tokens = [piece or b"<|%d|>" % i for i, piece in enumerate(pieces)]

    def __call__(self, text: bytes) -> list[int]:
        return self._tokenizer.encode(text.decode("utf-8", "replace"), parse_special=False)


def _built(make: Callable[[], llguidance.LLMatcher]) -> llguidance.LLMatcher:
    """What `make` returns, from a thread of its own: one with a deep stack, and which can be left behind."""
    if not _builders.acquire(timeout=BUILD_S):
        raise QueueFull("other grammars are still being compiled")
    result: Future[llguidance.LLMatcher] = Future()

    def build() -> None:
        try:
            result.set_result(make())
        except BaseException as error:  # a panic of llguidance's is no Exception
            result.set_exception(ValueError(str(error)))
        finally:
            _builders.release()

    with _starting:
        before = threading.stack_size(_STACK_BYTES)
        try:
            threading.Thread(target=build, name="grammar", daemon=True).start()
        finally:
            threading.stack_size(before)
    try:
        return result.result(BUILD_S)
    except TimeoutError:
        raise BadRequest(f"grammar takes more than {BUILD_S} s to compile", "grammar") from None


def _source(grammar: Lark | JsonSchema | EditBlocks) -> str:
    if isinstance(grammar, JsonSchema):
        return llguidance.LLMatcher.grammar_from_json_schema(grammar.schema, overrides=_JSON_STYLE)  # type: ignore
    text = (
        grammar.text
        if isinstance(grammar, Lark)
        else edit_blocks.lark(grammar.files, grammar.creates, grammar.max_blocks)
    )
    return llguidance.LLMatcher.grammar_from_lark(text)


def _refused(message: str) -> BadRequest:
    """llguidance's own words, on one line, without what it quotes of the grammar and lists of the vocabulary."""
    words = " ".join(_QUOTED.split(message)[0].split())
    return BadRequest(f"grammar is refused: {words[:_MESSAGE_CHARS]}", "grammar")
