"""Request bodies -> frozen requests, every field checked. Knows no tokenizer: text stays text here."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from inference.chat import Message, Role
from inference.earlier import Ids
from inference.errors import BadRequest, UnknownPrompt
from inference.generation import Priority, Sampling
from inference.grammar import Grammar
from inference.wire.fields import Fields, Real, Whole
from inference.wire.grammars import grammar

TEMPERATURE = Real(default=1.0, low=0, high=2)
TOP_P = Real(default=1.0, low=0, high=1, open_low=True)
MIN_P = Real(default=0.0, low=0, high=1)
TOP_K = Whole(default=0, low=-1, high=1_000_000)  # -1 and 0: no limit, as vLLM and llama-server have it
SEED = Whole(default=None, low=-(2**63), high=2**63 - 1)
MAX_TOKENS = Whole(default=None, low=0, high=10_000_000)  # no context is longer; the scheduler knows this model's
N = Whole(default=1, low=1, high=1)
DEFAULT_COMPLETION_TOKENS = 16  # OpenAI's
MAX_STOPS = 16
MAX_STOP_CHARS = 256
MAX_STOP_IDS = 64
MAX_MARKS = 256
MAX_NAME_CHARS = 256
N_BEGUN = Whole(default=None, low=1, high=10_000_000)
MAX_CONTENTS = 16_384
MAX_PARTS_CHARS = 16_384  # tokenised while others wait
SEED_SPAN = 2**32  # engines take 32 bits

PRIORITIES = {
    "typing": Priority.TYPING,
    "action": Priority.ACTION,
    "refactor": Priority.REFACTOR,
    "warm-up": Priority.WARMUP,
}

ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}


@dataclass(frozen=True, slots=True)
class Options:
    """What completions and chat share. `max_tokens` and `seed` are None where the request leaves them open."""

    model: str | None
    max_tokens: int | None
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int | None
    stop: tuple[str, ...]
    stop_ids: frozenset[int]
    prediction: str  # what the answer will largely repeat
    stream: bool
    counts: bool  # usage in every streamed part, not only in the last
    priority: Priority
    client: str
    return_tokens: bool
    latest_of: str = ""  # a newer request of the client that says the same ends this one
    grammar: Grammar | None = None  # the form that the answer must have

    def sampling(self, random_seed: int) -> Sampling:
        """How to draw; `random_seed` is used where the request names none."""
        seed = random_seed if self.seed is None else self.seed
        return Sampling(self.temperature, self.top_p, self.top_k, self.min_p, seed % SEED_SPAN)


@dataclass(frozen=True, slots=True)
class Parts:
    """A prompt of ids and texts by turns, after what it goes on from. No control token is recognised in a text."""

    begun: Ids
    parts: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """`prompt` as text, in which control tokens are recognised, or as token ids, which alone carry marks.

    Long ones may come packed, as `prompt_ids`; or as what follows the first tokens of an earlier prompt, which
    `prompt_from` names by the id of its answer; or with short texts in it, as `prompt_parts`: a mark counts each of
    those as one.
    """

    prompt: str | Ids | Parts
    cache_marks: tuple[int, ...]
    options: Options


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A last message of the assistant's is the beginning of the answer."""

    messages: tuple[Message, ...]
    enable_thinking: bool
    options: Options


def no_earlier(name: str) -> Ids | None:
    """Where nothing is kept."""
    return None


def completion(fields: Fields, n_vocab: int, earlier: Callable[[str], Ids | None] = no_earlier) -> CompletionRequest:
    """`earlier` finds a prompt by the id of its answer."""
    begun = _begun(fields, earlier)
    prompt = _prompt(fields, n_vocab, begun)
    marks = fields.ints("cache_marks", 0, _length(prompt))
    if marks and isinstance(prompt, str):
        raise fields.refuse("cache_marks", "needs a prompt of token ids: offsets count tokens")
    if len(marks) > MAX_MARKS:
        raise fields.refuse("cache_marks", f"must hold at most {MAX_MARKS} offsets")
    if any(a >= b for a, b in pairwise(marks)):
        raise fields.refuse("cache_marks", "must ascend")
    if fields.flag("echo", False):
        raise fields.refuse("echo", "is not supported")
    limit = fields.whole("max_tokens", MAX_TOKENS)
    limit = DEFAULT_COMPLETION_TOKENS if limit is None else limit
    return CompletionRequest(prompt, marks, _options(fields, limit, n_vocab))


def chat(fields: Fields, n_vocab: int) -> ChatRequest:
    messages = tuple(_message(each) for each in fields.objects("messages"))
    kwargs = fields.inner("chat_template_kwargs")  # other keys would be a way to put text into the template: ignored
    limit = fields.whole("max_completion_tokens", MAX_TOKENS)
    limit = fields.whole("max_tokens", MAX_TOKENS) if limit is None else limit
    return ChatRequest(messages, kwargs.flag("enable_thinking", False), _options(fields, limit, n_vocab))


def tokenize(fields: Fields) -> tuple[str | tuple[str, ...], bool]:
    """(content, parse_special). Control tokens are recognised unless refused, as llama-server does.

    `contents`, a list, stands for as many requests.
    """
    special, contents = fields.flag("parse_special", True), fields.get("contents")
    if contents is None:
        return fields.text("content"), special
    if not isinstance(contents, list) or len(contents) > MAX_CONTENTS:
        raise fields.refuse("contents", f"must be a list of at most {MAX_CONTENTS} strings")
    return tuple(fields.checked_text("contents", text) for text in contents), special


def detokenize(fields: Fields, n_vocab: int) -> tuple[int, ...]:
    if fields.get("tokens") is None:
        raise fields.refuse("tokens", "must be a list of integers")
    return fields.ints("tokens", 0, n_vocab - 1)


def _begun(fields: Fields, earlier: Callable[[str], Ids | None]) -> Ids:
    """What the prompt begins with; nothing where it comes whole."""
    if fields.get("prompt_from") is None:
        return Ids()
    inner = fields.inner("prompt_from")
    name, n_tokens = inner.text("id", max_chars=MAX_NAME_CHARS), inner.whole("n_tokens", N_BEGUN)
    found = earlier(name)
    if found is None:
        raise UnknownPrompt("the prompt that this one begins with is not kept: send it whole", "prompt_from.id")
    if n_tokens is None or n_tokens > len(found.tokens):
        raise inner.refuse("n_tokens", "must be at most what that prompt has")
    return found.first(n_tokens)


def _length(prompt: str | Ids | Parts) -> int:
    if isinstance(prompt, Parts):
        return len(prompt.begun.tokens) + len(prompt.parts)
    return len(prompt.tokens) if isinstance(prompt, Ids) else len(prompt)


def _parts(fields: Fields, n_vocab: int, begun: Ids) -> Parts:
    value = fields.get("prompt_parts")
    if not isinstance(value, list) or not value or not set(map(type, value)) <= {int, str}:
        raise fields.refuse("prompt_parts", "must be a list of token ids and strings")
    if not all(0 <= part < n_vocab for part in value if isinstance(part, int)):
        raise fields.refuse("prompt_parts", f"must hold integers from 0 to {n_vocab - 1} only")
    texts = [fields.checked_text("prompt_parts", part) for part in value if isinstance(part, str)]
    if sum(map(len, texts)) > MAX_PARTS_CHARS:
        raise fields.refuse("prompt_parts", f"must have at most {MAX_PARTS_CHARS} characters of text")
    return Parts(begun, tuple(value))


def _prompt(fields: Fields, n_vocab: int, begun: Ids) -> str | Ids | Parts:
    if fields.get("prompt_parts") is not None:
        return _parts(fields, n_vocab, begun)
    packed = fields.packed("prompt_ids", n_vocab - 1)
    if packed:
        return begun.then(packed)
    value = fields.get("prompt")
    if begun.tokens and not isinstance(value, list):
        raise fields.refuse("prompt", "must be a list of token ids where it goes on from another")
    if not isinstance(value, str | list):
        raise fields.refuse("prompt", "must be a string or a list of token ids")
    if not value and not begun.tokens:
        raise fields.refuse("prompt", "must not be empty")
    if isinstance(value, str):
        return fields.checked_text("prompt", value)
    return begun.then(fields.ints("prompt", 0, n_vocab - 1))


def _message(fields: Fields) -> Message:
    role = fields.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise fields.refuse("role", "must be one of " + ", ".join(ROLES))
    return Message(ROLES[role], _content(fields))


def _content(fields: Fields) -> str:
    """A string, or a list of text parts."""
    if not isinstance(fields.get("content"), list):
        return fields.text("content")
    parts = fields.objects("content")
    if any(part.get("type") != "text" for part in parts):
        raise fields.refuse("content", "must hold parts of type text only")
    return "".join(part.text("text") for part in parts)


def _options(fields: Fields, max_tokens: int | None, n_vocab: int) -> Options:
    fields.whole("n", N)
    streaming = fields.inner("stream_options")
    streaming.flag("include_usage", True)  # the last part always has it
    stop_ids = fields.ints("stop_token_ids", 0, n_vocab - 1)
    if len(stop_ids) > MAX_STOP_IDS:
        raise fields.refuse("stop_token_ids", f"must hold at most {MAX_STOP_IDS} ids")
    top_k = fields.whole("top_k", TOP_K) or 0
    seed = fields.whole("seed", SEED)
    return Options(
        model=fields.text("model", max_chars=MAX_NAME_CHARS) if fields.get("model") is not None else None,
        max_tokens=max_tokens,
        temperature=fields.real("temperature", TEMPERATURE),
        top_p=fields.real("top_p", TOP_P),
        top_k=max(top_k, 0),
        min_p=fields.real("min_p", MIN_P),
        seed=None if seed == -1 else seed,  # -1: a random one, as llama-server has it
        stop=_stop(fields),
        stop_ids=frozenset(stop_ids),
        prediction=_prediction(fields.inner("prediction")),
        stream=fields.flag("stream", False),
        counts=streaming.flag("continuous_usage_stats", False),
        priority=_priority(fields),
        client=fields.text("user", "", MAX_NAME_CHARS),
        return_tokens=fields.flag("return_tokens", False),
        latest_of=fields.text("latest_of", "", MAX_NAME_CHARS),
        grammar=grammar(fields),
    )


def _prediction(fields: Fields) -> str:
    """OpenAI's predicted output: `{"type": "content", "content": text or text parts}`. Only a hint, however wrong."""
    if fields.get("content") is None:
        return ""
    if fields.text("type", "content") != "content":
        raise fields.refuse("type", "must be content")
    return _content(fields)


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.get("stop")
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    if len(items) > MAX_STOPS:
        raise fields.refuse("stop", f"must hold at most {MAX_STOPS} strings")
    stops = tuple(fields.checked_text("stop", item, MAX_STOP_CHARS) for item in items)
    if "" in stops:
        raise fields.refuse("stop", "must not hold an empty string")
    return stops


def _priority(fields: Fields) -> Priority:
    name = fields.text("priority", "action")
    if name not in PRIORITIES:
        raise BadRequest("priority must be one of " + ", ".join(PRIORITIES), "priority")
    return PRIORITIES[name]
