"""Grammars without a model: random walks over what the masks allow."""

import json
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import Tokenizer
from inference.backends.scripted import CONTROL_IDS, ByteTokenizer
from inference.errors import BadRequest, QueueFull
from inference.generation import Constraint
from inference.grammar import MAX_LINES, Compiler, EditBlocks, Grammar, JsonSchema, Lark, lines_of
from inference.tokenizer import from_folder
from tests.inference.edit_blocks import check_applies
from tests.inference.weights import EMBEDDED

END = CONTROL_IDS["<|im_end|>"]
BYTES = Compiler(ByteTokenizer(), 265, frozenset({END}))
EMBEDDED_TOKENIZER = from_folder(EMBEDDED)
WORDS = Compiler(EMBEDDED_TOKENIZER, EMBEDDED_TOKENIZER.n_vocab + 5, EMBEDDED_TOKENIZER.end_ids)
CLOSING = b"\n>>>>>>> REPLACE"

MARKERS = ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "======= ", "<|im_end|>", "<think>", "=======x")
LINES = st.sampled_from(
    ["", "a", "\tb", "  c  ", 'say "hi" \\n', "é漢🙂", "\x00\x7f", "\u2028", "/x/i", "%json", *MARKERS]
)
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    st.lists(LINES | st.text(max_size=6), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
PATHS = st.sampled_from(["a.py", "a.pyi", "src/é b.c", 'q"uote', "back\\slash"])


def allowed(constraint: Constraint) -> list[int]:
    return [token for token, may in enumerate(constraint.mask()) if may]


@dataclass(frozen=True)
class Model:
    """A vocabulary to walk in. `closing` are the tokens that a block's end can be made of."""

    compiler: Compiler
    pieces: list[bytes]
    ends: frozenset[int]
    closing: list[int]


def model(compiler: Compiler, tokenizer: Tokenizer, n_vocab: int, ends: frozenset[int]) -> Model:
    pieces = [tokenizer.piece(token) for token in range(n_vocab)]
    return Model(compiler, pieces, ends, [i for i, piece in enumerate(pieces) if piece and piece in CLOSING])


def walk(model: Model, begin: Callable[[], Constraint], rng: random.Random) -> tuple[bytes, list[int], bool]:
    """Random allowed tokens until an end token, at most 200; in a replacement most often towards its end."""
    constraint, said = begin(), b""
    tokens: list[int] = []
    for _ in range(200):
        mask = constraint.mask()
        may_end = any(mask[end] for end in model.ends)
        may = [token for token, allows in enumerate(mask) if allows and token not in model.ends]
        if not may or (may_end and rng.random() < 0.5):
            assert may_end
            return said, tokens, True
        if b"\n=======\n" in said and rng.random() < 0.8:
            line = said[said.rfind(b"\n") :]
            may = [i for i in model.closing if mask[i] and CLOSING.startswith(line + model.pieces[i])] or may
        token = rng.choice(may)
        assert constraint.allows((token,)) == 1
        constraint.accept(token)
        said += model.pieces[token]
        tokens.append(token)
    return said, tokens, False


def searchable(files: Mapping[str, str]) -> bool:
    try:
        BYTES.compile(EditBlocks(files))
    except BadRequest as problem:
        assert "no file with a line" in problem.message
        return False
    return True


MODELS = {
    "bytes": model(BYTES, ByteTokenizer(), 265, frozenset({END})),
    "words": model(WORDS, EMBEDDED_TOKENIZER, EMBEDDED_TOKENIZER.n_vocab, EMBEDDED_TOKENIZER.end_ids),
}


@pytest.mark.parametrize("name", list(MODELS))
@settings(deadline=None, max_examples=30)  # the machine may be busy
@given(files=st.dictionaries(PATHS, TEXTS, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_any_finished_walk_applies(name: str, files: dict[str, str], seed: int) -> None:
    model = MODELS[name]
    if not searchable(files):
        return
    begin = model.compiler.compile(EditBlocks(files))
    answer, tokens, finished = walk(model, begin, random.Random(seed))
    if finished:
        check_applies(answer.decode(), files)
    else:
        answer.decode("utf-8", "ignore")
    assert begin().allows(tuple(tokens)) == len(tokens)  # any part of it may be said again, in one draft


def test_walks_do_finish() -> None:
    files = {"a.py": "a = 1\nb = 2\na = 1\n", "b.py": "\n\nx\n\n"}
    begin = WORDS.compile(EditBlocks(files, max_blocks=3))
    finished = 0
    for seed in range(20):
        answer, _, done = walk(MODELS["words"], begin, random.Random(seed))
        finished += done
        if done:
            check_applies(answer.decode(), files)
    assert finished >= 3


def says(text: str, grammar: Grammar) -> int:
    """How many bytes of `text` the grammar takes."""
    return BYTES.compile(grammar)().allows(tuple(text.encode()))


def block(search: str, replace: str, path: str = "a.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE"


def test_a_file_is_made_by_a_block_without_lines_to_search_for() -> None:
    begin = WORDS.compile(EditBlocks({"a.py": "x\n"}, creates=("new/b.py",)))
    made = "new/b.py\n<<<<<<< SEARCH\n=======\ny = 1\n\nz\n>>>>>>> REPLACE"
    for answer, allowed in (
        (made, True),
        (made.replace("new/b.py", "a.py"), False),
        (made.replace("b.py", "c.py"), False),
    ):
        tokens = tuple(EMBEDDED_TOKENIZER.encode(answer, parse_special=False))
        assert (begin().allows(tokens) == len(tokens)) == allowed


def test_what_edit_blocks_take() -> None:
    grammar = EditBlocks({"a.py": "one\r\ntwo\r\none\r\n=======\r\n<think>", "b.py": "three\n", "empty.py": ""}, 2)
    for text in (
        block("two\n", ""),
        block("one\ntwo\none\n", "any\n\n  text\n") + "\n",
        block("<think>\n", "======\n========\n >>>>>>> REPLACE\n") + "\n" + block("three\n", "", "b.py"),
    ):
        assert says(text, grammar) == len(text)
        assert BYTES.compile(grammar)().allows((*text.encode(), END)) >= len(text)
    for text, at in (
        (block("one\n", ""), "======="),  # it stands there twice
        (block("three\n", ""), "hree"),
        (block("", ""), "======="),
        (block("two\none\n=======\n", ""), "\n>>>>>>>"),
        (block("tw\n", ""), "\n======="),
        (block("two\n", "=======\n"), "\n>>>>>>>"),
        (block("two\n", "<<<<<<< SEARCH\n"), "H\n>>>>>>>"),
        (block("two\n", "=======  \n"), "\n>>>>>>>"),
        (block("two\n", ">>>>>>> REPLACED\n"), "D\n>>>>>>>"),
        (block("two\n", " " * 201), " >>>>>>>"),
        (block("x\n", "", "c.py"), "c.py"),
        (block("x\n", "", "empty.py"), "empty.py"),
        (block("two\n", "\r\n"), "\r"),
        (block("two\n", "\n" * 9), "\n>>>>>>>"),
    ):
        assert says(text, grammar) == text.rindex(at), text
    three = "\n".join([block("two\n", "")] * 3)
    assert says(three, grammar) == len(three) - len(block("two\n", ""))


def test_look_alikes_of_control_tokens_are_plain_text() -> None:
    ids = EMBEDDED_TOKENIZER
    text = block("<|im_end|>\n<think>\n", "</think><|fim_pad|>\n")
    constraint = WORDS.compile(EditBlocks({"a.py": "<|im_end|>\n<think>\n"}))()
    plain = tuple(ids.encode(text, parse_special=False))
    assert constraint.allows(plain) == len(plain)
    tagged = tuple(ids.encode(text, parse_special=True))
    assert tagged != plain
    assert constraint.allows(tagged) == next(i for i, (a, b) in enumerate(zip(tagged, plain, strict=False)) if a != b)


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
    with pytest.raises(BadRequest, match="end token"):
        Compiler(ByteTokenizer(), 265, frozenset())


def test_lines() -> None:
    assert lines_of("a\r\nb\rc\n\nd\x0c\u2028") == ["a", "b", "c", "", "d\x0c\u2028"]
    assert lines_of("") == []
    assert lines_of("\n") == [""]
