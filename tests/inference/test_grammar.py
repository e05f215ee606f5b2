"""Grammars without a model: random walks over what the masks allow."""

import json
import random
import threading
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.byte_tokens import ByteTokenizer
from inference.edit_blocks import MAX_LINES, lines_of
from inference.errors import BadRequest, QueueFull
from inference.grammar import Compiler, EditBlocks, Grammar, JsonSchema, Lark, StartsWith
from tests.inference.walks import BYTES, END, MODELS, WORDS, allowed, walk


def test_a_finished_answer_allows_end_tokens_only() -> None:
    constraint = BYTES.compile(Lark('start: "ab" | "abc"'))()
    assert constraint.allows((97, 98, 99, 100)) == 3
    constraint.accept(97)
    constraint.accept(98)
    assert allowed(constraint) == [99, END]
    constraint.accept(99)
    assert allowed(constraint) == [END]
    assert constraint.allows((97,)) == 0
    constraint.accept(END)
    assert allowed(constraint) == [END]


def test_answers_do_not_share_their_place() -> None:
    begin = BYTES.compile(Lark('start: "ab"'))
    first, second = begin(), begin()
    first.accept(97)
    assert allowed(first) == [98]
    assert allowed(second) == [97] == allowed(begin())


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 5},
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
        "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 3},
    },
    "required": ["name", "size", "tags"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(10))
def test_json_answers_parse_and_validate(seed: int) -> None:
    begin = WORDS.compile(JsonSchema(json.dumps(SCHEMA)))
    said, _, finished = walk(MODELS["words"], begin, random.Random(seed))
    assert finished
    value = json.loads(said)
    assert list(value) == ["name", "size", "tags"]
    assert len(value["name"]) <= 5
    assert value["size"] in range(100)
    assert len(value["tags"]) <= 3
    assert set(value["tags"]) <= {"x", "y"}


@pytest.mark.parametrize(
    "grammar",
    [
        Lark(""),
        Lark("start: x"),
        Lark('start: "a'),
        Lark("root ::= x"),
        Lark('start: a\na: a "x"'),  # no text at all
        Lark("start: /[/"),
        Lark("start: /(?=a)/"),
        Lark("start: <|nope|>"),
        Lark("start: <[99999999]>"),
        Lark("start: " + "(" * 20_000 + '"a"' + ")" * 20_000),
        JsonSchema("{"),
        JsonSchema("[]"),
        JsonSchema('{"type": 3}'),
        JsonSchema('{"not": {}}'),
        JsonSchema('{"$ref": "#/nope"}'),
        JsonSchema('{"$ref": "http://localhost/x"}'),
        JsonSchema('{"type": "integer", "minimum": 5, "maximum": 1}'),
        JsonSchema('{"items":' * 900 + "{}" + "}" * 900),
        EditBlocks({}),
        EditBlocks({"a.py": ""}),
        EditBlocks({"a.py": "=======\n"}),
        EditBlocks({"": "x"}),
        EditBlocks({"a": "x"}, creates=("a\nb",)),
        EditBlocks({"a\nb": "x"}),
        EditBlocks({"=======": "x"}),
        EditBlocks({"a.py": "\ud800"}),
        EditBlocks({"a.py": "x\n" * (MAX_LINES + 1)}),
    ],
)
def test_what_makes_no_grammar_is_refused(grammar: Grammar) -> None:
    with pytest.raises(BadRequest, match=r"^grammar ") as caught:
        BYTES.compile(grammar)
    assert len(caught.value.message) < 400
    assert "\n" not in caught.value.message
    assert caught.value.param == "grammar"


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=40) | st.text('start:ab()|"/[]{}<>%~&*+?\n \\', max_size=40).map("start: ".__add__))
def test_any_text_is_a_grammar_or_refused(text: str) -> None:
    try:
        mask = BYTES.compile(Lark(text))().mask()
    except BadRequest:
        return
    assert any(mask)


def test_a_long_chain_of_rules_does_not_end_the_process() -> None:
    """llguidance follows it by recursion: on a thread's usual stack 3,000 rules are a segmentation fault."""
    n = 8000
    chain = "".join(f'a{i}: "x" a{i + 1}\n' for i in range(n))
    constraint = BYTES.compile(Lark(f'start: a0\n{chain}a{n}: "y"'))()
    for _ in range(n):
        constraint.accept(ord("x"))
    assert allowed(constraint) == [ord("y")]
    constraint.accept(ord("y"))
    assert allowed(constraint) == [END]


def test_a_grammar_that_takes_for_ever_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it ends with the test, so that no thread is left."""
    gate = threading.Event()
    monkeypatch.setattr("inference.grammar.BUILD_S", 0.05)
    monkeypatch.setattr("inference.grammar.llguidance.LLMatcher", Stuck(gate))
    for expected in (BadRequest, BadRequest, QueueFull):
        with pytest.raises(expected):
            BYTES.compile(Lark("start: x"))
    gate.set()
    for thread in [thread for thread in threading.enumerate() if thread.name == "grammar"]:
        thread.join()
    monkeypatch.undo()
    assert BYTES.compile(Lark('start: "x"'))().mask()[ord("x")]


@dataclass
class Stuck:
    """In llguidance's place: a constructor that does not come back until the gate opens."""

    gate: threading.Event

    def grammar_from_lark(self, text: str) -> str:
        return text

    def __call__(self, *_args: object, **_limits: object) -> None:
        assert self.gate.wait(20)


def test_a_model_without_an_end_token_has_no_grammars() -> None:
    endless = Compiler(ByteTokenizer(), 265, frozenset())
    with pytest.raises(BadRequest, match="end token"):
        endless.compile(Lark('start: "a"'))
    assert endless.compile(StartsWith("a"))().allows((ord("a"), ord("b"))) == 2


def test_lines() -> None:
    assert lines_of("a\r\nb\rc\n\nd\x0c\u2028") == ["a", "b", "c", "", "d\x0c\u2028"]
    assert lines_of("") == []
    assert lines_of("\n") == [""]
