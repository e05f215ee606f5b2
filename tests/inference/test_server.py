"""The HTTP face over a real unix socket: what is answered, what is refused, and that leaving is a cancel."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.backends.base import EngineSettings
from inference.backends.scripted import ScriptedBackend
from inference.earlier import LEAST_TOKENS
from inference.errors import EngineUnavailable, ModelBroken
from inference.generation import Priority
from inference.memory import GIB, Machine, MemoryPlan, ModelSizes, plan
from inference.server.app import MAX_BODY_BYTES
from inference.server.service import SHORT_CHARS
from tests.inference.live import Live, Pace, counting, live, saying


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A daemon that answers with letters without an end."""
    with live(tmp_path_factory.mktemp("d"), lambda: ScriptedBackend(counting)) as running:
        yield running


def events(body: str) -> list[Any]:
    """The data of a stream of events; the final DONE as it is."""
    data = [block.removeprefix("data: ") for block in body.split("\n\n") if block]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def check_error(response: httpx.Response, status: int, code: str, param: str | None = None) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param), response.text
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]


def test_health_and_models(letters: Live) -> None:
    assert letters.client.get("/health").json() == {
        "status": "ready",
        "model": "asked-for",
        "engine": "scripted",
        "pid": 1,
        "build": "build",
        "version": "version",
    }
    (entry,) = letters.client.get("/v1/models").json()["data"]
    assert (entry["id"], entry["object"], entry["max_model_len"]) == ("scripted", "model", 32_768)


def test_health_tells_the_memory_plan(tmp_path: Path) -> None:
    def load() -> ScriptedBackend:
        backend = ScriptedBackend(counting, EngineSettings(n_ctx=100, n_cells=4096, max_sequences=2))
        sizes = ModelSizes(100, GIB, row_bytes=1, snapshot_bytes=1000, work_bytes=0, work_ctx_bytes=0, process_bytes=0)
        planned = plan(Machine(8 * GIB), sizes, None, 2)
        assert isinstance(planned, MemoryPlan)
        backend.info = replace(backend.info, plan=planned)
        return backend

    with live(tmp_path, load) as running:
        told = running.client.get("/health").json()["memory"]
        assert (told["n_ctx"], told["weight_bytes"], told["limited_by"]) == (100, GIB, "model")
        assert told["line"].startswith("weights 1.0 GiB + rows for 4k 0 MiB + ")
        asked = running.post("/v1/completions", prompt="x" * 90, max_tokens=20)
        check_error(asked, 400, "context_length_exceeded", "prompt")
        assert "the context of 100 (the model's own limit) by 10; max_tokens 10 or a prompt of 80" in asked.text


def test_a_completion_says_what_it_cost(letters: Live) -> None:
    body = letters.post("/v1/completions", prompt="cost: ", max_tokens=3, temperature=0, return_tokens=True).json()
    (choice,) = body["choices"]
    assert (choice["text"], choice["finish_reason"], choice["tokens"]) == ("ghi", "length", [103, 104, 105])
    assert body["usage"]["prompt_tokens"] == 6
    assert body["usage"]["completion_tokens"] == 3
    assert body["usage"]["total_tokens"] == 9
    cached = body["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert body["usage"]["evaluated_tokens"] == 6 - cached + 2  # the last token of the answer is never evaluated
    again = letters.post("/v1/completions", prompt="cost: ", max_tokens=3).json()["usage"]
    assert again["prompt_tokens_details"]["cached_tokens"] == 5


def test_ids_and_text_are_the_same_prompt(letters: Live) -> None:
    ids = letters.post("/tokenize", content="é<|im_end|>", parse_special=True).json()["tokens"]
    assert ids == [0xC3, 0xA9, 258]
    by_text = letters.post("/v1/completions", prompt="é<|im_end|>", max_tokens=4).json()
    by_ids = letters.post("/v1/completions", prompt=ids, max_tokens=4, cache_marks=[1, 2]).json()
    assert by_text["choices"][0]["text"] == by_ids["choices"][0]["text"] == "defg"


def test_a_prompt_goes_on_from_an_earlier_one_as_if_it_were_sent_whole(letters: Live) -> None:
    ids = [97 + n % 26 for n in range(LEAST_TOKENS)]
    first = letters.post("/v1/completions", prompt=ids, max_tokens=3).json()
    begun = {"id": first["id"], "n_tokens": LEAST_TOKENS - 6}
    more = {"prompt": [100, 101], "cache_marks": [LEAST_TOKENS - 5], "max_tokens": 4}
    short = letters.post("/v1/completions", prompt_from=begun, **more).json()
    whole = letters.post("/v1/completions", **more | {"prompt": [*ids[:-6], 100, 101]}).json()
    assert short["choices"] == whole["choices"]
    assert short["usage"]["prompt_tokens"] == whole["usage"]["prompt_tokens"] == LEAST_TOKENS - 4
    check_error(
        letters.post("/v1/completions", prompt_from=begun | {"id": "cmpl-0"}, **more),
        412,
        "prompt_unknown",
        "prompt_from.id",
    )


def test_ids_and_texts_by_turns_are_the_same_prompt(letters: Live) -> None:
    ids = [97 + n % 26 for n in range(LEAST_TOKENS)]
    name = letters.post("/v1/completions", prompt=ids, max_tokens=1).json()["id"]
    begun, more = {"id": name, "n_tokens": LEAST_TOKENS}, {"max_tokens": 4, "return_tokens": True}
    parts = ["é<|im_end|>", 258, "", 100, "e"]
    marks = [LEAST_TOKENS - 1, LEAST_TOKENS + 1, LEAST_TOKENS + 2, LEAST_TOKENS + 3, LEAST_TOKENS + 4]
    plain = letters.post("/tokenize", content=parts[0], parse_special=False).json()["tokens"]
    short = letters.post("/v1/completions", prompt_from=begun, prompt_parts=parts, cache_marks=marks, **more).json()
    whole = letters.post("/v1/completions", prompt=[*ids, *plain, 258, 100, 101], **more).json()
    assert short["choices"] == whole["choices"]
    assert whole["usage"]["prompt_tokens_details"]["cached_tokens"] == whole["usage"]["prompt_tokens"] - 1


def test_several_texts_are_tokenized_at_once(letters: Live) -> None:
    texts = ["é", "", "<|im_end|>", "x" * SHORT_CHARS]
    found = letters.post("/tokenize", contents=texts, parse_special=False).json()["tokens"]
    assert found == [letters.post("/tokenize", content=text, parse_special=False).json()["tokens"] for text in texts]


def test_tokenize_and_detokenize(letters: Live) -> None:
    assert letters.post("/tokenize", content="<|im_end|>", parse_special=False).json() == {
        "tokens": list(b"<|im_end|>")
    }
    assert letters.post("/tokenize", content="").json() == {"tokens": []}
    assert letters.post("/detokenize", tokens=[0xC3, 0xA9, 258, 0xC3]).json() == {"content": "é\ufffd"}


def test_a_stream_says_the_same_and_ends_with_the_counts(letters: Live) -> None:
    asked: dict[str, Any] = {"prompt": "stream", "max_tokens": 5, "return_tokens": True}
    letters.post("/v1/completions", **asked)  # so that both of the following find the prompt in the cache
    whole = letters.post("/v1/completions", **asked).json()
    response = letters.post("/v1/completions", **asked, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    *parts, done = events(response.text)
    assert done == "[DONE]"
    assert "".join(part["choices"][0]["text"] for part in parts) == whole["choices"][0]["text"]
    assert [token for part in parts for token in part["choices"][0]["tokens"]] == whole["choices"][0]["tokens"]
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + ["length"]
    assert parts[-1]["usage"] == whole["usage"]
    assert len({part["id"] for part in parts}) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer(letters: Live, stream: bool) -> None:
    response = letters.post("/v1/completions", prompt="stop", max_tokens=20_000, stop=["jk", "zz"], stream=stream)
    parts = events(response.text)[:-1] if stream else [response.json()]
    assert "".join(part["choices"][0]["text"] for part in parts) == "efghi"
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert 7 <= parts[-1]["usage"]["completion_tokens"] < 20_000
    letters.until(lambda: letters.scheduler.stats().running == 0)


def test_behind_a_stop_string_that_is_in_one_token_nothing_is_drawn(letters: Live) -> None:
    body = letters.post("/v1/completions", prompt="stop", max_tokens=20_000, stop=["zz", "k"]).json()
    assert (body["choices"][0]["text"], body["choices"][0]["finish_reason"]) == ("efghij", "stop")
    assert body["usage"]["completion_tokens"] == len("efghijk")


def test_the_models_end_is_a_stop(tmp_path: Path) -> None:
    with live(tmp_path, lambda: ScriptedBackend(saying(b"hi", b"x"))) as running:
        body = running.post("/v1/completions", prompt="x").json()
        assert (body["choices"][0]["text"], body["choices"][0]["finish_reason"]) == ("hi", "stop")


def test_a_finished_grammar_is_a_stop(letters: Live) -> None:
    """The letters where they are allowed, else the smallest id; in both routes, streamed or not."""
    grammar = {"type": "edit_blocks", "files": {"a.py": "one\ntwo\n"}, "max_blocks": 1}
    asked: dict[str, Any] = {"prompt": "edit", "max_tokens": 200, "grammar": 'start: /[a-z]/ "!"? "done"'}
    body = letters.post("/v1/completions", **asked).json()
    assert (body["choices"][0]["text"], body["choices"][0]["finish_reason"]) == ("e!done", "stop")
    parts = events(letters.post("/v1/completions", **asked, stream=True).text)[:-1]
    assert "".join(part["choices"][0]["text"] for part in parts) == "e!done"
    messages = [{"role": "user", "content": "x"}]
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object", "additionalProperties": False}}}
    asked = {"messages": messages, "response_format": form, "max_tokens": 200}
    (choice,) = letters.post("/v1/chat/completions", **asked).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("{}", "stop")
    prediction = {"type": "content", "content": "a.py\n<<<<<<< SEARCH\none\n=======\n"}
    answers = [
        letters.post("/v1/completions", prompt="edit", max_tokens=60, grammar=grammar, **more).json()["choices"][0]
        for more in ({}, {"prediction": prediction})
    ]
    assert answers[0] == answers[1]
    assert answers[0]["text"].startswith("a.py\n<<<<<<< SEARCH\n")


@pytest.mark.parametrize(
    "asked",
    [
        {"grammar": "start: x"},
        {"grammar": {"type": "edit_blocks", "files": {"a.py": ""}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 3}}}},
    ],
)
def test_what_makes_no_grammar_is_refused(letters: Live, asked: dict[str, Any]) -> None:
    before = letters.scheduler.stats()
    check_error(letters.post("/v1/completions", prompt="x", **asked), 400, "invalid_request", "grammar")
    assert letters.scheduler.stats() == before  # no job, no token


def test_a_warm_up_evaluates_and_says_nothing(letters: Live) -> None:
    body = letters.post("/v1/completions", prompt="warm me", max_tokens=0, priority="warm-up").json()
    assert (body["choices"][0]["text"], body["choices"][0]["finish_reason"]) == ("", "length")
    assert body["usage"]["completion_tokens"] == 0
    assert letters.scheduler.stats().jobs[Priority.WARMUP, "length"] == 1


def test_chat(letters: Live) -> None:
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "<|im_end|>"}], "max_tokens": 3}
    whole = letters.post("/v1/chat/completions", **asked).json()
    assert whole["object"] == "chat.completion"
    # <|im_start|> user \n 10 bytes of content <|im_end|> \n <|im_start|> assistant \n
    assert whole["usage"]["prompt_tokens"] == 1 + 5 + 10 + 1 + 1 + 1 + 10
    *parts, done = events(letters.post("/v1/chat/completions", **asked, stream=True).text)
    assert done == "[DONE]"
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = "".join(part["choices"][0]["delta"].get("content", "") for part in parts)
    assert said == whole["choices"][0]["message"]["content"]
    assert parts[-1]["usage"]["total_tokens"] == whole["usage"]["total_tokens"]


def test_chat_may_fill_the_rest_of_the_context(tmp_path: Path) -> None:
    prompt = b"x" * 20
    with live(tmp_path, lambda: ScriptedBackend(saying(b"to the end", prompt))) as running:
        messages = [{"role": "user", "content": "y" * 40_000}]
        check_error(running.post("/v1/chat/completions", messages=messages), 400, "context_length_exceeded", "prompt")


BAD_BODIES: list[tuple[bytes, str, str | None]] = [
    (b"", "invalid_request", None),
    (b"{", "invalid_request", None),
    (b"[1]", "invalid_request", None),
    (b"\xff", "invalid_request", None),
    (b'{"prompt": ""}', "invalid_request", "prompt"),
    (b'{"prompt": [999]}', "invalid_request", "prompt"),
    (b'{"prompt": "x", "temperature": NaN}', "invalid_request", "temperature"),
    (b'{"prompt": "x", "max_tokens": -1}', "invalid_request", "max_tokens"),
    (b'{"prompt": "x", "max_tokens": 99999}', "context_length_exceeded", "prompt"),
    (b'{"prompt": "x", "n": 2}', "invalid_request", "n"),
    (b'{"prompt": "x", "grammar": "root ::= x"}', "invalid_request", "grammar"),
]


@pytest.mark.parametrize(("body", "code", "param"), BAD_BODIES)
def test_bad_bodies(letters: Live, body: bytes, code: str, param: str | None) -> None:
    before = letters.scheduler.stats()
    check_error(letters.client.post("/v1/completions", content=body), 400, code, param)
    assert letters.scheduler.stats() == before  # no job, no token


def test_other_refusals(letters: Live) -> None:
    check_error(letters.client.get("/nothing"), 404, "not_found")
    check_error(letters.client.get("/health/"), 404, "not_found")
    check_error(letters.client.get("/v1/completions"), 405, "method_not_allowed")
    check_error(letters.post("/health"), 405, "method_not_allowed")
    check_error(letters.post("/v1/completions", prompt="x", model="gpt-9"), 404, "model_not_found", "model")
    check_error(letters.client.post("/v1/completions", content=b" " * (MAX_BODY_BYTES + 1)), 413, "body_too_large")
    check_error(letters.post("/tokenize", content=5), 400, "invalid_request", "content")
    check_error(letters.post("/detokenize", tokens=[-1]), 400, "invalid_request", "tokens")
    assert letters.client.get("/health").status_code == 200


@pytest.mark.parametrize("name", [None, "default", "scripted", "asked-for"])
def test_names_of_the_model(letters: Live, name: str | None) -> None:
    assert letters.post("/v1/completions", prompt="x", max_tokens=1, model=name).status_code == 200


def test_any_content_type(letters: Live) -> None:
    headers = {"content-type": "text/plain"}
    response = letters.client.post("/tokenize", content=b'{"content": "x"}', headers=headers)
    assert response.json() == {"tokens": [120]}


def test_metrics(letters: Live) -> None:
    letters.post("/v1/completions", prompt="count me", max_tokens=1, priority="typing")
    text = letters.client.get("/metrics").text
    stats = letters.scheduler.stats()
    assert f"qwen_tokens_evaluated_total {float(stats.tokens_evaluated)}" in text
    assert f"qwen_tokens_reused_total {float(stats.tokens_reused)}" in text
    assert 'qwen_jobs_total{outcome="length",priority="typing"} 1.0' in text
    assert f"qwen_cache_bytes {float(stats.cache_bytes)}" in text
    values = {name: float(n) for name, n in (line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")}
    assert values["qwen_cache_bytes"] == values["qwen_cache_rows_bytes"] + values["qwen_cache_snapshots_bytes"] > 0
    assert values["qwen_engine_rows_bytes"] == values["qwen_cache_rows_bytes"]  # one byte a token, and no spare room
    assert values["qwen_cache_limit_bytes"] == letters.scheduler.backend_info.cache_bytes
    begun = sum(n for name, n in values.items() if name.startswith("qwen_queue_seconds_count"))
    assert values["qwen_cache_lookups_total"] == begun >= values['qwen_queue_seconds_count{priority="typing"}'] > 0
    hits = values["qwen_cache_hits_total"]
    letters.post("/v1/completions", prompt="count me", max_tokens=1)
    assert f"qwen_cache_hits_total {hits + 1}" in letters.client.get("/metrics").text
    assert values["qwen_cache_evictions_total"] == stats.held.n_evicted
    assert "_created" not in text


def test_while_the_model_loads_and_after(tmp_path: Path) -> None:
    loaded = threading.Event()

    def load() -> ScriptedBackend:
        assert loaded.wait(20)
        return ScriptedBackend(counting)

    with live(tmp_path, load, wait=False) as running:
        health = running.client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "loading")
        asked = running.post("/v1/completions", prompt="x", max_tokens=1)
        check_error(asked, 503, "model_loading")
        assert asked.headers["retry-after"] == "1"
        check_error(running.post("/tokenize", content="x"), 503, "model_loading")
        check_error(running.client.get("/v1/models"), 503, "model_loading")
        assert "qwen_tokens_evaluated_total 0.0" in running.client.get("/metrics").text
        loaded.set()
        running.until(lambda: running.client.get("/health").status_code == 200)
        assert running.post("/v1/completions", prompt="x", max_tokens=1).status_code == 200


def test_ending_does_not_wait_for_a_model_that_loads(tmp_path: Path) -> None:
    loaded = threading.Event()

    def load() -> ScriptedBackend:
        assert loaded.wait(20)
        return ScriptedBackend(counting)

    with live(tmp_path, load, wait=False) as running:
        assert running.client.get("/health").json()["status"] == "loading"
        running.end()
        running.thread.join(10)
        assert not running.thread.is_alive()
        loaded.set()


def test_a_model_that_does_not_load(tmp_path: Path) -> None:
    def load() -> ScriptedBackend:
        raise EngineUnavailable("the engine needs: pip install it")

    with live(tmp_path, load) as running:
        health = running.client.get("/health")
        assert (health.status_code, health.json()["reason"]) == (503, "the engine needs: pip install it")
        check_error(running.post("/v1/completions", prompt="x"), 500, "engine_unavailable")


def failing_after(n: int) -> Callable[[tuple[int, ...]], int]:
    def script(tokens: tuple[int, ...]) -> int:
        if len(tokens) > n:
            raise ModelBroken("the logits are not numbers")
        return counting(tokens)

    return script


def test_an_error_after_the_stream_began_is_its_last_event(tmp_path: Path) -> None:
    with live(tmp_path, lambda: ScriptedBackend(failing_after(3))) as running:
        *parts, last = events(running.post("/v1/completions", prompt="x", stream=True).text)
        assert "".join(part["choices"][0]["text"] for part in parts) == "bcd"
        assert last["error"]["code"] == "model_broken"
        check_error(running.post("/v1/completions", prompt="long", stream=True), 500, "model_broken")
        assert running.post("/v1/completions", prompt="y", max_tokens=1).status_code == 200


def test_surprises_are_answered_and_leave_no_text_in_the_log(
    letters: Live, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(text: str, *, parse_special: bool) -> list[int]:
        raise RuntimeError(f"can not read {text}")

    monkeypatch.setattr(letters.scheduler.tokenizer, "encode", encode)
    with caplog.at_level(logging.DEBUG):
        check_error(letters.post("/v1/completions", prompt="SECRET"), 500, "internal_error")
    assert "RuntimeError at" in caplog.text
    assert "SECRET" not in caplog.text


def test_the_log_has_counts_and_no_text(letters: Live, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="inference"):
        letters.post("/v1/completions", prompt="SECRET", max_tokens=7, stop=["hidden"])
    assert "completion_tokens=7" in caplog.text
    assert "SECRET" not in caplog.text
    assert "hidden" not in caplog.text


def test_streams_at_once_do_not_mix(letters: Live) -> None:
    def ask(n: int) -> bool:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(letters.path)), base_url="http://d") as client:
            answer = client.post("/v1/completions", json={"prompt": [n] * n, "max_tokens": 60, "stream": True}).text
        said = "".join(part["choices"][0]["text"] for part in events(answer)[:-1])
        return said == "".join(chr(ord("a") + at % 26) for at in range(n, n + 60))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(1, 17)))


def asking(running: Live, **body: Any) -> socket.socket:
    """A request sent over a plain socket, whose answer nobody has read."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(running.path))
    content = json.dumps(body).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: d\r\nContent-Length: {len(content)}\r\n\r\n"
    connection.sendall(head.encode() + content)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_a_closed_connection_stops_a_job_that_decodes(
    tmp_path: Path, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="inference")
    pace = Pace()
    with live(tmp_path, lambda: ScriptedBackend(counting, hook=pace)) as running:
        connection = asking(running, prompt="x", max_tokens=1000, stream=stream)
        pace.let(3)
        for _ in range(4):  # the fourth token waits in the engine
            assert pace.asked.acquire(timeout=20)
        connection.close()
        running.until(lambda: "left by the client" in caplog.text)
        pace.open()
        running.until(lambda: running.scheduler.stats().jobs.get((Priority.ACTION, "cancelled")) == 1)
        assert running.scheduler.stats().tokens_evaluated <= 5


def test_a_closed_connection_takes_a_waiting_job_out_of_the_queue(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="inference")
    pace = Pace()
    with live(tmp_path, lambda: ScriptedBackend(counting, hook=pace)) as running:
        first = asking(running, prompt="first", max_tokens=2)
        assert pace.asked.acquire(timeout=20)
        second = asking(running, prompt="second", max_tokens=2)
        running.until(lambda: running.scheduler.stats().queued == 1)
        second.close()
        running.until(lambda: "left by the client" in caplog.text)
        pace.open()
        running.until(lambda: sum(running.scheduler.stats().jobs.values()) == 2)
        stats = running.scheduler.stats()
        assert stats.jobs == {(Priority.ACTION, "length"): 1, (Priority.ACTION, "cancelled"): 1}
        assert stats.tokens_evaluated == len("first") + 1
        assert b"200 OK" in first.recv(10_000)
        first.close()


def test_a_client_that_leaves_in_the_middle_of_its_body(letters: Live) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(letters.path))
    connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{")
    connection.close()
    assert letters.client.get("/health").status_code == 200


def test_what_is_no_http(letters: Live) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(letters.path))
        connection.sendall(b"\x00\xff nonsense\r\n\r\n")
        assert b" 400 " in connection.recv(1000)
    assert letters.client.get("/health").status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["prompt", "messages", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "stream", "priority", "user",
     "model", "cache_marks", "content", "tokens", "parse_special", "return_tokens", "chat_template_kwargs"]
)  # fmt: skip
POSTS = st.sampled_from(["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize"])
VALID = {"max_tokens": 2, "messages": [{"role": "user", "content": "x"}], "prompt": "x", "content": "x", "tokens": [1]}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(POSTS, JSON | st.dictionaries(NAMES, JSON).map(lambda body: VALID | body), st.binary(max_size=3))
def test_no_body_breaks_the_daemon(letters: Live, route: str, body: object, tail: bytes) -> None:
    response = letters.client.post(route, content=json.dumps(body).encode() + tail)
    if response.status_code == 200:
        return
    assert 400 <= response.status_code < 500, response.text
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_the_daemon_lives_after_all_this(letters: Live) -> None:
    letters.until(lambda: letters.scheduler.stats().running + letters.scheduler.stats().queued == 0)
    assert letters.post("/v1/completions", prompt="still here", max_tokens=1).status_code == 200
