"""The client against a real HTTP server on a unix socket: streams, failures, cancelling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwen_lsp.engine import http
from qwen_lsp.engine.client import EngineState, LocalEngine, Piece, Request, Usage
from qwen_lsp.engine.grammars import EditBlocks, Grammar, JsonSchema, Lark
from qwen_lsp.engine.http import PART_CHARS
from qwen_lsp.engine.launch import Progress
from qwen_lsp.engine.sent import LEAST_TOKENS
from qwen_lsp.errors import EngineBusy, EngineError, EngineLost, EngineMissing, EngineRefused, EngineSuperseded
from qwen_lsp.prompt.segments import Control, Prompt, Text
from qwen_lsp.settings import Settings
from tests.qwen_lsp.engine.daemon import (
    FakeDaemon,
    Receive,
    Send,
    begin,
    dies,
    problem,
    refuses,
    running,
    say,
    speaks,
    tokens,
)

PROMPT = Prompt(
    (Control("<|fim_prefix|>"), Text("<|fim_middle|>é"), Control("<|fim_middle|>"), Text("x =")),
    marks=(2, 3),
    stop=("\n",),
    stop_controls=("<|endoftext|>", "<|nobody knows|>"),
)
REQUEST = Request(PROMPT, 32, "typing", "inline")


class Found:
    """Finds the daemon where the test put it, and counts how often it was looked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.times = 0

    async def __call__(self, settings: Settings, progress: Progress) -> str:
        self.times += 1
        return self.path


@pytest.fixture
def daemon() -> FakeDaemon:
    return FakeDaemon([speaks("1 +", " 2")])


@pytest.fixture
async def found(daemon: FakeDaemon, tmp_path: Path) -> AsyncIterator[Found]:
    async with running(daemon, tmp_path) as path:
        yield Found(path)


@pytest.fixture
async def engine(found: Found) -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(Settings(), found)
    yield engine
    await engine.close()


async def ask(engine: LocalEngine) -> tuple[str, Usage]:
    """The whole answer and its last counts."""
    items = [item async for item in engine.generate(REQUEST)]
    usage = [item for item in items if isinstance(item, Usage)][-1]
    return "".join(item.text for item in items if isinstance(item, Piece)), usage


async def test_streams_text_and_counts(engine: LocalEngine) -> None:
    text, usage = await ask(engine)
    assert text == "1 + 2"
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.evaluated_tokens) == (7, 5, 2, 4)
    assert usage.engine_ms > 0


async def test_the_prompt_travels_as_ids_with_marks_at_segment_borders(engine: LocalEngine, daemon: FakeDaemon) -> None:
    await ask(engine)
    (body,) = daemon.asked
    text = tokens("<|fim_middle|>é", False)
    assert body["prompt"] == [1, *text, 3, *tokens("x =", False)]
    assert body["cache_marks"] == [1 + len(text), 2 + len(text)]
    assert body["stop"] == ["\n"] and body["stop_token_ids"] == [4]
    assert (body["temperature"], body["priority"], body["max_tokens"], body["model"]) == (0, "typing", 32, "tiny")
    assert body["stream"] is True and body["user"] == http.WINDOW and body["latest_of"] == "inline"


@pytest.mark.parametrize(
    ("grammar", "sent"),
    [
        (None, None),
        (EditBlocks({"a.py": "x\n"}, 3), {"type": "edit_blocks", "files": {"a.py": "x\n"}, "max_blocks": 3}),
        (Lark('start: "a"'), {"type": "lark", "grammar": 'start: "a"'}),
        (JsonSchema('{"type": "object"}'), {"type": "json_schema", "schema": {"type": "object"}}),
    ],
)
async def test_a_prediction_and_a_form_travel_along(
    engine: LocalEngine, daemon: FakeDaemon, grammar: Grammar | None, sent: object
) -> None:
    async with aclosing(engine.generate(replace(REQUEST, prediction="1 + 2", grammar=grammar))) as items:
        assert [item async for item in items]
    (body,) = daemon.asked
    assert body["prediction"] == {"type": "content", "content": "1 + 2"} and body.get("grammar") == sent
    await ask(engine)
    assert "prediction" not in daemon.asked[1] and "grammar" not in daemon.asked[1]


async def test_users_text_is_never_parsed_for_control_tokens(engine: LocalEngine, daemon: FakeDaemon) -> None:
    await ask(engine)
    assert [call["contents"] for call in daemon.tokenized if not call["parse_special"]] == [["<|fim_middle|>é", "x ="]]
    assert [call["contents"] for call in daemon.tokenized if call["parse_special"]] == [
        ["<|fim_prefix|>", "<|fim_middle|>"],
        ["<|endoftext|>", "<|nobody knows|>"],
    ]


async def sent(engine: LocalEngine, daemon: FakeDaemon, *texts: str, max_tokens: int = 32) -> dict[str, Any]:
    """The prompt's fields in a request with these texts."""
    prompt = Prompt((Control("<|fim_prefix|>"), *map(Text, texts)), marks=(2, 1 + len(texts)))
    async for _ in engine.generate(Request(prompt, max_tokens, "typing")):
        pass
    names = ("prompt", "prompt_parts", "prompt_from", "cache_marks")
    return {name: daemon.asked[-1][name] for name in names if name in daemon.asked[-1]}


async def test_a_long_prompt_goes_on_from_the_one_before_it(engine: LocalEngine, daemon: FakeDaemon) -> None:
    base = "a" * LEAST_TOKENS
    daemon.answers = [speaks("1", name="cmpl-1"), speaks("2", name="cmpl-2"), speaks("3", name="cmpl-3")]
    assert await sent(engine, daemon, base, "x", max_tokens=0) == {
        "prompt": [1, *tokens(base + "x", False)],
        "cache_marks": [257, 258],
    }
    assert await sent(engine, daemon, base, "yz", "x") == {
        "prompt_parts": ["yz", *tokens("x", False)],
        "prompt_from": {"id": "cmpl-1", "n_tokens": 257},
        "cache_marks": [257, 259],
    }, "a short text that is new is left to the daemon: a key is one request"
    assert await sent(engine, daemon, base, "x") == {
        "prompt": [],
        "prompt_from": {"id": "cmpl-1", "n_tokens": 258},
        "cache_marks": [257, 258],
    }
    assert "prompt_from" not in await sent(engine, daemon, "b" + base, "x"), "another beginning"
    assert len(daemon.tokenized) == 2, "what was to be read ahead, and the control token in it"


async def test_much_that_is_new_is_tokenized_before(engine: LocalEngine, daemon: FakeDaemon) -> None:
    body = await sent(engine, daemon, "a" * PART_CHARS, "b")
    assert body["cache_marks"] == [1 + PART_CHARS, 2 + PART_CHARS] and "prompt_parts" not in body


async def test_a_prompt_that_the_daemon_has_lost_is_sent_whole(engine: LocalEngine, daemon: FakeDaemon) -> None:
    request = Request(Prompt((Text("a" * LEAST_TOKENS), Text("x"))), 0, "warm-up")
    daemon.answers = [speaks("1", name="cmpl-1"), refuses(412, problem("not kept")), speaks("2")]
    for _ in range(2):
        said = [item.text async for item in engine.generate(request) if isinstance(item, Piece)]
    assert said == ["2"] and engine.state.kind == "ready"
    first, short, again = daemon.asked
    assert short["prompt_from"]["id"] == "cmpl-1" and again == first


async def test_segments_are_tokenized_once(engine: LocalEngine, daemon: FakeDaemon) -> None:
    await ask(engine)
    first = len(daemon.tokenized)
    await ask(engine)
    assert len(daemon.tokenized) == first == 3


async def test_an_unknown_control_token_is_a_clear_refusal(engine: LocalEngine) -> None:
    request = Request(Prompt((Control("<|fim_elsewhere|>"),)), 1, "typing")
    with pytest.raises(EngineRefused, match="does not know the control token"):
        await anext(engine.generate(request))


async def test_waits_while_the_model_loads(
    engine: LocalEngine, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LOAD_POLL_S", 0)
    daemon.loading = 2
    states: list[EngineState] = []
    engine.on_state(states.append)
    await engine.start()
    assert states == [
        EngineState("starting", "looking for the engine"),
        EngineState("starting", "the model is loading: 63 %"),
        EngineState("ready", model="tiny"),
    ]


async def test_many_starts_are_one(engine: LocalEngine, found: Found) -> None:
    await asyncio.gather(*(engine.start() for _ in range(5)))
    await engine.start()
    assert found.times == 1 and engine.state.kind == "ready"


async def test_one_impatient_caller_does_not_stop_the_start(engine: LocalEngine, found: Found) -> None:
    impatient = asyncio.create_task(engine.start())
    patient = asyncio.create_task(engine.start())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert impatient.cancelled() and found.times == 1


async def test_a_break_in_mid_stream_is_told_and_the_next_request_starts_again(
    engine: LocalEngine, daemon: FakeDaemon, found: Found
) -> None:
    daemon.answers = [dies("1 +"), speaks("3")]
    states: list[str] = []
    engine.on_state(lambda state: states.append(state.kind))
    with pytest.raises(EngineLost):
        await ask(engine)
    assert states == ["starting", "ready", "off"]
    assert (await ask(engine))[0] == "3"
    assert found.times == 2


async def test_a_request_that_heard_nothing_is_asked_again_once(
    engine: LocalEngine, daemon: FakeDaemon, found: Found
) -> None:
    daemon.answers = [dies(), speaks("4")]
    assert (await ask(engine))[0] == "4"
    assert found.times == 2
    daemon.answers = [dies()]
    with pytest.raises(EngineLost):
        await ask(engine)
    assert len(daemon.asked) == 4, "twice, and no more"


async def test_closing_the_stream_is_seen_by_the_daemon(engine: LocalEngine, daemon: FakeDaemon) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def endless(receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, {"choices": [{"text": "1"}]})
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    daemon.answers = [endless]
    async with aclosing(engine.generate(REQUEST)) as items:
        async for item in items:
            if isinstance(item, Piece):
                break
    await asyncio.wait_for(gone.wait(), 10)

    begun.clear()
    gone.clear()
    task = asyncio.create_task(ask(engine))
    await begun.wait()
    task.cancel()
    await asyncio.wait_for(gone.wait(), 10)
    assert engine.state.kind == "ready", "cancelling is a normal ending"


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (400, problem("the prompt is too long"), EngineRefused, "the prompt is too long"),
        (404, problem("another model is loaded"), EngineRefused, "another model"),
        (429, problem("too many jobs"), EngineBusy, "too many jobs"),
        (409, problem("a newer request came"), EngineSuperseded, "a newer request"),
        (500, b"<html>", EngineError, "status 500"),
    ],
)
async def test_a_refusal_has_its_own_error(
    engine: LocalEngine, daemon: FakeDaemon, status: int, body: object, error: type[EngineError], message: str
) -> None:
    daemon.answers = [refuses(status, body)]
    with pytest.raises(error, match=message) as raised:
        await ask(engine)
    assert type(raised.value) is error
    assert engine.state.kind == "ready" and len(daemon.asked) == 1


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"choices": [7]}', b'{"choices": [], "usage": {"prompt_tokens": 1}}'])
async def test_gibberish_is_not_believed(engine: LocalEngine, daemon: FakeDaemon, line: bytes) -> None:
    async def answer(receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, line)
        await send({"type": "http.response.body", "body": b""})

    daemon.answers = [answer]
    with pytest.raises(EngineLost, match="not understood"):
        await ask(engine)


async def test_an_error_within_the_stream_is_raised(engine: LocalEngine, daemon: FakeDaemon) -> None:
    async def answer(receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, problem("the logits are not numbers"))
        await send({"type": "http.response.body", "body": b""})

    daemon.answers = [answer]
    with pytest.raises(EngineLost, match="logits"):
        await ask(engine)


async def test_a_stream_whose_place_a_newer_request_took(engine: LocalEngine, daemon: FakeDaemon) -> None:
    async def answer(receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, {"choices": [{"text": "1"}]})
        await say(send, {"error": {"message": "a newer request came", "code": "superseded"}})
        await send({"type": "http.response.body", "body": b""})

    daemon.answers = [answer]
    with pytest.raises(EngineSuperseded, match="newer"):
        await ask(engine)
    assert engine.state.kind == "ready" and len(daemon.asked) == 1


async def test_a_failed_start_is_not_repeated_at_each_key() -> None:
    times = 0

    async def never(settings: Settings, progress: Progress) -> str:
        nonlocal times
        times += 1
        raise EngineMissing("no engine is installed")

    engine = LocalEngine(Settings(), never)
    for _ in range(3):
        with pytest.raises(EngineMissing, match="no engine is installed"):
            await engine.start()
    assert times == 1 and engine.state == EngineState("failed", "no engine is installed")
    await engine.close()


async def test_a_socket_that_nobody_listens_on_is_a_failed_start(tmp_path: Path) -> None:
    engine = LocalEngine(Settings(), Found(str(tmp_path / "nothing")))
    with pytest.raises(EngineMissing, match="connection to the engine broke"):
        await engine.start()
    await engine.close()


async def test_closing_lets_a_running_stream_end(engine: LocalEngine, daemon: FakeDaemon) -> None:
    go_on = asyncio.Event()

    async def answer(receive: Receive, send: Send) -> None:
        await begin(send)
        await say(send, {"choices": [{"text": "1"}]})
        await go_on.wait()
        await say(send, {"choices": [{"text": "2"}]})
        await send({"type": "http.response.body", "body": b""})

    daemon.answers = [answer]
    text = ""
    async with aclosing(engine.generate(REQUEST)) as items:
        async for item in items:
            if isinstance(item, Piece):
                text += item.text
                await engine.close()
                go_on.set()
    assert text == "12"


async def test_nothing_that_leaves_holds_a_credential(engine: LocalEngine, daemon: FakeDaemon) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 4
    prompt = Prompt((Control("<|fim_prefix|>"), Text(f"token = '{secret}'\n")))
    request = Request(prompt, 1, "action", prediction=f"# {secret}", grammar=EditBlocks({"a.py": f"x = '{secret}'\n"}))
    async for _ in engine.generate(request):
        pass
    assert secret not in repr((daemon.asked, daemon.tokenized)) and "*" * len(secret) in repr(daemon.asked)
