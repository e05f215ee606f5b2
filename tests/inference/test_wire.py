"""Request bodies: what is taken, what is refused, and by what name. The shape of the answers."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.chat import Message
from inference.earlier import Ids
from inference.errors import BadRequest, PromptTooLong, UnknownPrompt
from inference.generation import Priority, Usage
from inference.grammar import EditBlocks, Grammar, JsonSchema, Lark
from inference.wire import answers, requests
from inference.wire.fields import parse
from inference.wire.grammars import ANY_OBJECT

N_VOCAB = 100
USAGE = Usage(prompt_tokens=10, cached_tokens=7, completion_tokens=2, evaluated_tokens=4)


def completion(**fields: Any) -> requests.CompletionRequest:
    return requests.completion(parse(json.dumps({"prompt": "x", **fields}).encode()), N_VOCAB)


def chat(*messages: Any, **fields: Any) -> requests.ChatRequest:
    return requests.chat(parse(json.dumps({"messages": list(messages), **fields}).encode()), N_VOCAB)


def check_refused(param: str, **fields: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        completion(**fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(param)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b'"x"', b"null", b"1", b"{'a': 1}", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_bodies_that_are_no_object(body: bytes) -> None:
    with pytest.raises(BadRequest, match="the body"):
        parse(body)


def test_defaults_are_openais() -> None:
    request = completion()
    assert request == requests.CompletionRequest(
        "x",
        (),
        requests.Options(
            None, 16, 1.0, 1.0, 0, 0.0, None, (), frozenset(), "", False, False, Priority.ACTION, "", False
        ),
    )


def test_everything_is_read() -> None:
    request = completion(
        prompt=[1, 2, 3], cache_marks=[1, 3], model="m", max_tokens=0, temperature=0, top_p=0.5, top_k=3, min_p=0.1,
        seed=7, stop=["a", "b"], stream=True, priority="typing", user="window", return_tokens=True, n=1, echo=False,
        stream_options={"include_usage": True, "continuous_usage_stats": True}, stop_token_ids=[5, 6],
        prediction={"type": "content", "content": "x"}, grammar="", latest_of="inline",
    )  # fmt: skip
    options = requests.Options(
        "m", 0, 0.0, 0.5, 3, 0.1, 7, ("a", "b"), frozenset({5, 6}), "x", True, True, Priority.TYPING, "window", True,
        "inline",
    )  # fmt: skip
    assert request == requests.CompletionRequest(Ids.of((1, 2, 3)), (1, 3), options)


def test_forms_of_the_answer() -> None:
    schema = {"type": "object"}
    as_schema = JsonSchema(json.dumps(schema))
    bodies: list[tuple[dict[str, Any], Grammar | None]] = [
        ({"grammar": 'start: "x"'}, Lark('start: "x"')),
        ({"grammar": {"type": "lark", "grammar": 'start: "x"'}}, Lark('start: "x"')),
        ({"grammar": {"type": "json_schema", "schema": schema}}, as_schema),
        ({"grammar": {"type": "edit_blocks", "files": {"a": "b"}}}, EditBlocks({"a": "b"})),
        ({"grammar": {"type": "edit_blocks", "files": {"a": "b"}, "max_blocks": 2}}, EditBlocks({"a": "b"}, 2)),
        (
            {"grammar": {"type": "edit_blocks", "files": {"a": "b"}, "creates": ["c", "d"]}},
            EditBlocks({"a": "b"}, creates=("c", "d")),
        ),
        ({"grammar": {"type": "edit_blocks", "files": {}, "creates": ["c"]}}, EditBlocks({}, creates=("c",))),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}, as_schema),
        ({"response_format": {"type": "json_object"}}, ANY_OBJECT),
        ({"response_format": {"type": "text"}}, None),
        ({"response_format": None, "grammar": None}, None),
    ]
    for body, grammar in bodies:
        assert completion(**body).options.grammar == grammar
        assert chat({"role": "user", "content": "x"}, **body).options.grammar == grammar


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"grammar": {"type": "gbnf"}}, "grammar.type"),
        ({"grammar": {}}, "grammar.type"),
        ({"grammar": {"type": "lark"}}, "grammar.grammar"),
        ({"grammar": {"type": "json_schema", "schema": "{}"}}, "grammar.schema"),
        ({"grammar": {"type": "json_schema", "schema": {"x": "y" * 100_000}}}, "grammar.schema"),
        ({"grammar": {"type": "edit_blocks"}}, "grammar.files"),
        ({"grammar": {"type": "edit_blocks", "files": {}}}, "grammar.files"),
        ({"grammar": {"type": "edit_blocks", "files": {"a": 1}}}, "grammar.files"),
        ({"grammar": {"type": "edit_blocks", "files": {"a": "b"}, "creates": "c"}}, "grammar.creates"),
        ({"grammar": {"type": "edit_blocks", "creates": [1]}}, "grammar.creates"),
        ({"grammar": {"type": "edit_blocks", "files": {"a": "\ud800"}}}, "grammar.files"),
        ({"grammar": {"type": "edit_blocks", "files": dict.fromkeys(map(str, range(65)), "")}}, "grammar.files"),
        ({"grammar": {"type": "edit_blocks", "files": {"a": "x" * 2_000_000}}}, "grammar.files"),
        ({"grammar": {"type": "edit_blocks", "files": {"a": "b"}, "max_blocks": 65}}, "grammar.max_blocks"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"grammar": "x", "response_format": {"type": "json_object"}}, "grammar"),
    ],
)
def test_bad_forms_are_named(body: dict[str, object], path: str) -> None:
    with pytest.raises(BadRequest) as caught:
        completion(**body)
    assert caught.value.param == path


def test_null_counts_as_absent() -> None:
    names = ("model", "max_tokens", "temperature", "stop", "stream", "seed", "user", "priority", "cache_marks", "echo")
    assert completion(**dict.fromkeys(names)) == completion()


@pytest.mark.parametrize("name", ["temperature", "top_p", "min_p", "top_k", "seed", "max_tokens", "n"])
@pytest.mark.parametrize("value", ["1", True, [], {}, float("nan"), float("inf"), -float("inf"), 10**400, -(10**400)])
def test_numbers_that_are_none(name: str, value: object) -> None:
    check_refused(name, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("top_p", 0),
        ("top_p", 1.1),
        ("min_p", -1),
        ("top_k", -2),
        ("top_k", 1.5),
        ("max_tokens", -1),
        ("max_tokens", 5.0),
        ("max_tokens", 10**9),
        ("n", 2),
        ("n", 0),
        ("echo", True),
        ("stream", 1),
        ("return_tokens", "yes"),
        ("stop", 5),
        ("stop", [""]),
        ("stop", ["x"] * 17),
        ("stop", ["x" * 257]),
        ("stop", ["x", 1]),
        ("priority", "now"),
        ("priority", 1),
        ("user", 5),
        ("user", "x" * 300),
        ("latest_of", 5),
        ("latest_of", "x" * 300),
        ("model", 5),
        ("grammar", 5),
        ("grammar", "x" * 100_001),
        ("grammar", []),
        ("stream_options", []),
        ("prompt", ""),
        ("prompt", []),
        ("prompt", 5),
        ("prompt", None),
        ("prompt", ["text"]),
        ("prompt", [[1]]),
        ("prompt", [True]),
        ("prompt", [1.0]),
        ("prompt", [-1]),
        ("prompt", [N_VOCAB]),
        ("prompt", [10**30]),
        ("prompt", "half \ud800"),
        ("cache_marks", [0]),
    ],
)
def test_values_that_are_refused(name: str, value: object) -> None:
    check_refused(name, **{name: value})


def test_ids_may_come_packed() -> None:
    def packed(*ids: int) -> str:
        return b64encode(b"".join(n.to_bytes(4, "little") for n in ids)).decode()

    assert completion(prompt=None, prompt_ids=packed(1, 2, N_VOCAB - 1)).prompt == Ids.of((1, 2, N_VOCAB - 1))
    assert completion(prompt_ids="").prompt == "x"
    for wrong in (7, "?", "AAA=", packed(1)[:-2], packed(N_VOCAB)):
        check_refused("prompt_ids", prompt_ids=wrong)


def test_a_prompt_may_go_on_from_an_earlier_one() -> None:
    kept = {"cmpl-1": Ids.of((5, 6, 7))}

    def going_on(n_tokens: object, name: object = "cmpl-1", **fields: object) -> requests.CompletionRequest:
        body = {"prompt": [8], "prompt_from": {"id": name, "n_tokens": n_tokens}} | fields
        return requests.completion(parse(json.dumps(body).encode()), N_VOCAB, kept.get)

    asked = going_on(2, cache_marks=[1, 3])
    assert (asked.prompt, asked.cache_marks) == (Ids.of((5, 6, 8)), (1, 3))
    assert going_on(3, prompt=[]).prompt == kept["cmpl-1"]
    for wrong in (0, 4, None, "2", True):
        with pytest.raises(BadRequest) as caught:
            going_on(wrong)
        assert caught.value.param == "prompt_from.n_tokens"
    for prompt in ("x", None):
        with pytest.raises(BadRequest) as caught:
            going_on(2, prompt=prompt)
        assert caught.value.param == "prompt"
    with pytest.raises(BadRequest, match="prompt_from"):
        going_on(2, prompt_from=7)
    with pytest.raises(UnknownPrompt):
        going_on(2, "cmpl-2")
    asked = going_on(2, prompt_parts=["x", 7, ""], cache_marks=[2, 3, 5])
    assert asked.prompt == requests.Parts(Ids.of((5, 6)), ("x", 7, "")) and asked.cache_marks == (2, 3, 5)


def test_parts_of_a_prompt_that_are_refused() -> None:
    for wrong in ([], "x", [1.5], [True], [N_VOCAB], [-1], ["\ud800"], ["x" * (requests.MAX_PARTS_CHARS + 1)]):
        check_refused("prompt_parts", prompt_parts=wrong)
    check_refused("cache_marks", prompt_parts=["xyz"], cache_marks=[2])


@pytest.mark.parametrize("marks", [[-1], [4], [2, 1], [1, 1], ["1"], 1, [True]])
def test_marks_ascend_within_the_prompt(marks: object) -> None:
    check_refused("cache_marks", prompt=[1, 2, 3], cache_marks=marks)


def test_no_message_repeats_the_prompt() -> None:
    with pytest.raises(BadRequest) as caught:
        completion(prompt="SECRET \ud800")
    assert "SECRET" not in caught.value.message


def test_the_seed_fits_the_engines() -> None:
    assert completion(seed=2**40 + 5).options.sampling(9).seed == 5
    assert completion(seed=-2).options.sampling(9).seed == 2**32 - 2
    assert completion(seed=-1).options.sampling(9).seed == 9
    assert completion().options.sampling(9).seed == 9


def test_chat_messages() -> None:
    request = chat(
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        chat_template_kwargs={"enable_thinking": True, "other": "ignored"},
    )
    assert request.messages == (Message("system", "be brief"), Message("user", "ab"))
    assert request.enable_thinking
    assert request.options.max_tokens is None


def test_chat_limits_by_either_name() -> None:
    hello = {"role": "user", "content": "hi"}
    assert chat(hello, max_tokens=3).options.max_tokens == 3
    assert chat(hello, max_tokens=3, max_completion_tokens=4).options.max_tokens == 4


@pytest.mark.parametrize(
    ("param", "messages"),
    [
        ("messages", []),
        ("messages", "hi"),
        ("messages", ["hi"]),
        ("messages[0].role", [{"content": "x"}]),
        ("messages[0].role", [{"role": "root", "content": "x"}]),
        ("messages[0].role", [{"role": ["user"], "content": "x"}]),
        ("messages[0].content", [{"role": "user"}]),
        ("messages[0].content", [{"role": "user", "content": None}]),
        ("messages[0].content", [{"role": "user", "content": 5}]),
        ("messages[0].content", [{"role": "user", "content": [{"type": "image_url"}]}]),
        (
            "messages[1].content[0].text",
            [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "text"}]}],
        ),
    ],
)
def test_chat_refuses(param: str, messages: object) -> None:
    with pytest.raises(BadRequest) as caught:
        requests.chat(parse(json.dumps({"messages": messages}).encode()), N_VOCAB)
    assert caught.value.param == param


def test_tokenize_and_detokenize() -> None:
    assert requests.tokenize(parse(b'{"content": "x"}')) == ("x", True)
    assert requests.tokenize(parse(b'{"content": "", "parse_special": false}')) == ("", False)
    assert requests.tokenize(parse(b'{"contents": ["a", ""], "parse_special": false}')) == (("a", ""), False)
    for several in (b'{"contents": "a"}', b'{"contents": [1]}', b'{"contents": ["\\ud800"]}'):
        with pytest.raises(BadRequest, match="contents"):
            requests.tokenize(parse(several))
    assert requests.detokenize(parse(b'{"tokens": [1, 2]}'), N_VOCAB) == (1, 2)
    for body in (b"{}", b'{"tokens": "x"}', b'{"tokens": [100]}'):
        with pytest.raises(BadRequest, match="tokens must"):
            requests.detokenize(parse(body), N_VOCAB)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = ("temperature", "top_p", "min_p", "top_k", "seed", "max_tokens", "n", "echo", "stream", "return_tokens", "stop",
         "priority", "user", "model", "grammar", "response_format", "stream_options", "prompt", "cache_marks",
         "messages", "chat_template_kwargs", "stop_token_ids", "latest_of")  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy
@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_json_is_read_or_refused(body: dict[str, object]) -> None:
    fields = parse(json.dumps({"prompt": "x", "messages": [{"role": "user", "content": "x"}]} | body).encode())
    for read in (lambda: requests.completion(fields, N_VOCAB), lambda: requests.chat(fields, N_VOCAB)):
        try:
            read()
        except BadRequest as problem:
            assert problem.param is not None


def test_a_whole_completion() -> None:
    envelope = answers.Envelope("completion", "cmpl-1", 5, "m", return_tokens=True, counts=False)
    assert envelope.whole("text", (1, 2), "stop", USAGE) == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 5,
        "model": "m",
        "choices": [{"index": 0, "text": "text", "logprobs": None, "finish_reason": "stop", "tokens": [1, 2]}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 2,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 7},
            "evaluated_tokens": 4,
        },
    }


def test_a_streamed_chat() -> None:
    envelope = answers.Envelope("chat", "chatcmpl-1", 5, "m", return_tokens=False, counts=False)
    sent = [envelope.opening(), envelope.part("hi", (1,), USAGE), envelope.last("", (), "length", USAGE)]
    bodies = [json.loads(data.removeprefix(b"data: ")) for data in sent]
    assert [body["object"] for body in bodies] == ["chat.completion.chunk"] * 3
    assert [body["choices"][0]["delta"] for body in bodies] == [
        {"role": "assistant", "content": ""},
        {"content": "hi"},
        {},
    ]
    assert [body["choices"][0]["finish_reason"] for body in bodies] == [None, None, "length"]
    assert bodies[2]["usage"]["total_tokens"] == 12


def test_an_error() -> None:
    assert answers.error(PromptTooLong("too long", "prompt")) == {
        "error": {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "prompt",
            "code": "context_length_exceeded",
        }
    }
