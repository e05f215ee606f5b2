"""What a remote server can do, found by asking it a few one-token questions. Believes behaviour, not names.

A server that answers with success to a field may still ignore it; what matters is that it does not refuse the request,
and, for constraints, that the answer obeys. Does not know prompts or settings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from qwen_lsp.engine.events import problem_of
from qwen_lsp.errors import EngineMissing

FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
CHAT = ("<|im_start|>", "<|im_end|>")
OTHERS = ("<|repo_name|>", "<|file_sep|>", "<|fim_pad|>", "<|endoftext|>", "<think>", "</think>")
CONTROLS = (*FIM, *CHAT, *OTHERS)
NO_SUCH_ROUTE = (404, 405, 501)
_PROMPT = "def add(a, b):\n"  # some tokens: vLLM 0.32 dies of a prompt of one, on a processor with this architecture

Tokenize = Literal["", "content", "prompt"]  # how its /tokenize is asked: not at all, llama-server's way, vLLM's way

# Fields that some servers refuse, each with a value to try.
EXTRAS: Mapping[str, Any] = {
    "cache_marks": [],
    "priority": "typing",
    "latest_of": "probe",
    "user": "probe",
    "stop_token_ids": [],
    "prediction": {"type": "content", "content": "a"},
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    "chat_template_kwargs": {"enable_thinking": False},
}


@dataclass(frozen=True, slots=True)
class Abilities:
    """`known`: control tokens that are one token. `takes`: the extra fields that it does not refuse."""

    model: str
    completions: bool
    tokenize: Tokenize
    reads_controls: bool  # its /tokenize finds control tokens in any text
    known: frozenset[str]
    takes: frozenset[str]
    grammar: bool  # ours, inference/grammar.py
    json_schema: bool  # OpenAI's response_format

    @property
    def named(self) -> dict[str, str]:
        """The field that names the model."""
        return named(self.model)

    @property
    def ids(self) -> bool:
        """Whether prompts travel as token ids."""
        return self.completions and self.tokenize != ""

    def lacks(self) -> tuple[str, ...]:
        """What a person may want to know."""
        missing = {
            "completions (it is asked in a chat)": self.completions,
            "fill-in-the-middle tokens": not self.completions or self.known.issuperset(FIM),
            "token ids (prompts are text)": not self.completions or self.ids,
            "cache marks": "cache_marks" in self.takes,
            "predictions": "prediction" in self.takes,
            "grammars": self.grammar,
        }
        return tuple(name for name, has in missing.items() if not has)


class Prober:
    """One server, while it is asked. Every question costs it one token at most."""

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._model = model

    async def run(self) -> Abilities:
        """Raises EngineMissing where it answers no question at all."""
        tokenize, reads_controls, known = await self._tokenizer()
        prompt: object = await self._some_ids(tokenize) or _PROMPT
        status, takes = await self._extras("v1/completions", {"prompt": prompt})
        if status == 200:
            if not tokenize:
                known = await self._known_by_counting()
            grammar, schema = await self._obeys_grammar(), await self._obeys_schema()
            return Abilities(self._model, True, tokenize, reads_controls, known, takes, grammar, schema)
        if status not in NO_SUCH_ROUTE:
            raise EngineMissing(f"the server refuses to complete a text (status {status})")
        status, takes = await self._extras("v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})
        if status != 200:
            raise EngineMissing(f"the server neither completes texts nor chats (status {status})")
        return Abilities(self._model, False, "", True, frozenset(), takes, False, False)

    async def _tokenizer(self) -> tuple[Tokenize, bool, frozenset[str]]:
        """The way in, whether it finds control tokens in plain text, and which of them are one token."""
        for way in ("content", "prompt"):
            first = await self.ids(way, FIM[0], parse_special=True)
            if first is None:
                continue
            found = {name: await self.ids(way, name, parse_special=True) for name in CONTROLS}
            known = frozenset(name for name, ids in found.items() if ids is not None and len(ids) == 1)
            plain = [await self.ids(way, name, parse_special=False) for name in sorted(known)]
            reads = way == "prompt" or any(ids is None or len(ids) == 1 for ids in plain)
            return way, reads, known
        return "", True, frozenset()

    async def ids(self, way: Tokenize, text: str, *, parse_special: bool) -> list[int] | None:
        """The tokens of `text`; None where the server does not say."""
        body: dict[str, Any] = dict(named(self._model))
        if way == "content":
            body |= {"content": text, "parse_special": parse_special, "add_special": False}
        else:
            body |= {"prompt": text, "add_special_tokens": False}
        answer = await self._client.post("tokenize", json=body)
        tokens = fields(answer).get("tokens") if answer.status_code == 200 else None
        return tokens if isinstance(tokens, list) and all(isinstance(each, int) for each in tokens) else None

    async def _some_ids(self, tokenize: Tokenize) -> list[int] | None:
        return await self.ids(tokenize, _PROMPT, parse_special=False) if tokenize else None

    async def _extras(self, route: str, question: Mapping[str, Any]) -> tuple[int, frozenset[str]]:
        """The status without extra fields, and those that may be added: tried all at once, then one by one."""
        status = await self._status(route, question)
        if status != 200:
            return status, frozenset()
        if await self._status(route, {**question, **EXTRAS}) == 200:
            return status, frozenset(EXTRAS)
        taken = [name for name, value in EXTRAS.items() if await self._status(route, {**question, name: value}) == 200]
        return status, frozenset(taken)

    async def _status(self, route: str, question: Mapping[str, Any]) -> int:
        # A stream, because some options are for streams only; it ends with its first token.
        asked = {**question, "max_tokens": 1, "temperature": 0, "stream": True} | named(self._model)
        async with self._client.stream("POST", route, json=asked) as answer:
            status = answer.status_code
            if status in (401, 403, 429, 503):
                await answer.aread()
                raise problem_of(answer)
            async for line in answer.aiter_lines():  # an error may come within the stream
                if line.startswith("data:") and '"error"' in line:
                    return 400
        return status

    async def _text(self, **fields_: Any) -> Mapping[str, Any]:
        asked = {"max_tokens": 2, "temperature": 0, **fields_} | named(self._model)
        answer = await self._client.post("v1/completions", json=asked)
        return fields(answer) if answer.status_code == 200 else {}

    async def _known_by_counting(self) -> frozenset[str]:
        """Without a tokenizer to ask: three control tokens count as three, or they are plain text."""
        found: set[str] = set()
        for names in (FIM, CHAT, OTHERS):
            usage = (await self._text(prompt="".join(names))).get("usage") or {}
            counted = usage.get("prompt_tokens")
            if counted in (len(names), len(names) + 1):  # some put a token of their own before
                found.update(names)
        return frozenset(found)

    async def _obeys_grammar(self) -> bool:
        lark = {"type": "lark", "grammar": 'start: "qz"'}
        return said(await self._text(prompt="1 + 1 =", grammar=lark)).startswith("q")

    async def _obeys_schema(self) -> bool:
        schema = {"type": "json_schema", "json_schema": {"name": "probe", "schema": {"const": "qz"}}}
        return said(await self._text(prompt="1 + 1 =", response_format=schema)).startswith('"q')


def named(model: str) -> dict[str, str]:
    """The field that names the model; none for a server with one that has no name."""
    return {"model": model} if model else {}


def said(answer: Mapping[str, Any]) -> str:
    """The text of an answer that was not streamed."""
    try:
        return str(answer["choices"][0]["text"])
    except (KeyError, IndexError, TypeError):
        return ""


def fields(answer: httpx.Response) -> Mapping[str, Any]:
    """The body as an object; empty where it is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def names_of(answer: httpx.Response) -> Iterable[str]:
    """The models in an answer of /v1/models."""
    rows = fields(answer).get("data")
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []
