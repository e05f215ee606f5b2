"""The engine's state reaches the editor: notification, progress, one message per failure; settings from all sources."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from qwen_lsp import windows
from qwen_lsp.errors import EngineMissing
from qwen_lsp.features.trial import Trial
from qwen_lsp.lsp.status import ANSWERS_KEPT
from tests.qwen_lsp.lsp.wire import TIMEOUT_S, Wire

PROGRESS: dict[str, Any] = {"window": {"workDoneProgress": True}}


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_loading_is_shown_as_progress_and_status() -> None:
    wire = Wire()
    await wire.begin(PROGRESS)
    await turns()
    engine = wire.engines[0]
    assert engine.n_started == 1
    engine.become("starting", "looking for the engine")
    engine.become("starting", "loading 40 %")
    await wire.until(lambda: bool(wire.said("$/progress")))
    engine.become("starting", "loading 80 %")
    engine.become("ready", "", "tiny")
    engine.become("ready", "", "tiny")
    values = [params["value"] for params in wire.said("$/progress")]
    assert [(value["kind"], value["message"]) for value in values] == [
        ("begin", "loading 40 %"),
        ("report", "loading 80 %"),
        ("end", "ready"),
    ]
    states = [(params["state"], params["detail"]) for params in wire.said("qwen/status")]
    assert states == [
        ("starting", "looking for the engine"),
        ("starting", "loading 40 %"),
        ("starting", "loading 80 %"),
        ("ready", ""),
    ]
    assert wire.said("qwen/status")[-1]["model"] == "tiny"


async def test_without_progress_support_none_is_created() -> None:
    wire = Wire()
    await wire.begin()
    await turns()
    wire.engines[0].become("starting", "x")
    wire.engines[0].become("ready")
    await turns()
    assert wire.said("window/workDoneProgress/create") == []
    assert wire.said("$/progress") == []


async def test_a_start_that_is_over_before_the_editor_allows_progress_shows_none() -> None:
    wire = Wire()
    await wire.begin(PROGRESS)
    await turns()
    wire.engines[0].become("starting", "x")
    wire.engines[0].become("ready")
    await turns()
    assert wire.said("$/progress") == []


async def test_a_failure_is_told_once_until_the_engine_was_ready_again() -> None:
    wire = Wire()
    await wire.begin()
    await turns()
    engine = wire.engines[0]
    for detail in ("no model", "no model, retry in 4 s"):
        engine.become("failed", detail)
    assert len(wire.said("window/showMessage")) == 1
    engine.become("ready")
    engine.become("failed", "gone")
    assert [said["message"] for said in wire.said("window/showMessage")] == ["qwen-lsp: no model", "qwen-lsp: gone"]


async def test_a_start_that_raises_is_told_and_kept_as_a_reason() -> None:
    wire = Wire()
    make = wire._engine

    def broken(settings: Any) -> Any:
        engine = make(settings)
        engine.start_error = EngineMissing("no engine here")
        return engine

    wire.server.session.model._make = broken
    await wire.begin()
    await wire.until(lambda: bool(wire.said("window/showMessage")))
    assert wire.server.session.status.why()[0]["reason"] == "no engine here"


async def test_a_model_that_fills_no_holes_as_asked_is_told_and_asked_otherwise() -> None:
    wire = Wire()
    wire.script.trial = Trial("chat", frozenset({"joint"}), "this model talks")
    await wire.begin()
    await wire.until(lambda: bool(wire.said("window/showMessage")))
    session = wire.server.session
    assert [said["message"] for said in wire.said("window/showMessage")] == ["qwen-lsp: this model talks"]
    assert session.snapshot().settings.completion_layout == "chat"
    wire.engines[0].become("ready", "", "tiny")
    assert wire.said("qwen/status")[-1]["detail"] == "this model talks"
    session.configure({"completion": {"layout": "suffix-first"}})  # the user knows better, so that is tried
    await turns()
    assert wire.script.tried == ["joint", "suffix-first"] and len(wire.engines) == 1
    assert session.snapshot().settings.completion_layout == "suffix-first"


async def test_a_trial_of_an_engine_that_is_let_go_of_counts_for_nothing() -> None:
    wire = Wire()
    wire.script.trial = Trial("chat", frozenset({"joint"}), "this model talks")
    await wire.begin()
    await wire.until(lambda: bool(wire.said("window/showMessage")))
    wire.script.trial = None
    wire.server.session.configure({"model": "another"})
    assert wire.server.session.snapshot().settings.completion_layout == "joint"
    await turns()
    wire.engines[1].become("ready", "", "another")
    assert wire.said("qwen/status")[-1]["detail"] == "" and wire.engines[0].closed


async def test_a_server_that_the_user_named_is_not_tried() -> None:
    wire = Wire()
    await wire.begin(initializationOptions={"engine": "openai", "remote": {"url": "http://localhost:9"}})
    await turns()
    assert wire.engines[0].n_started == 1 and wire.script.tried == []


async def test_the_window_writes_why_it_is_silent_and_takes_it_back() -> None:
    wire = Wire()
    await wire.begin(rootUri="file:///w")
    wire.server.session.status.nothing("inline", "file:///a", "the file is excluded")
    folder = windows.windows_folder()
    async with asyncio.timeout(TIMEOUT_S):
        while not windows.read(folder):  # a thread writes it
            await turns()
    (state,) = windows.read(folder)
    assert state["roots"] == ["/w"] and [answer["reason"] for answer in state["empty"]] == ["the file is excluded"]
    await wire.ask("shutdown", None)
    assert windows.read(folder) == []


async def test_the_ring_keeps_the_newest_and_counts_repeats() -> None:
    wire = Wire()
    await wire.begin()
    status = wire.server.session.status
    for n in range(ANSWERS_KEPT + 10):
        status.nothing("inline", "file:///a", f"reason {n}")
    status.nothing("inline", "file:///a", "again")
    status.nothing("inline", "file:///a", "again")
    found = status.why()
    assert len(found) == ANSWERS_KEPT
    assert (found[0]["reason"], found[0]["times"]) == ("again", 2)
    assert set(found[0]) == {"at", "feature", "uri", "reason", "usage", "times"}


async def test_settings_from_options_and_their_problems_once(tmp_path: Path) -> None:
    (tmp_path / "qwen-lsp.toml").write_text('engine = "llama"\n[completion]\nmax_tokens = 9\n', "utf-8")
    wire = Wire()
    options = {"completion": {"maxTokens": "many"}, "colour": "red"}
    await wire.begin(rootUri=tmp_path.as_uri(), initializationOptions=options)
    settings = wire.server.session.settings
    assert (settings.engine, settings.completion_max_tokens) == ("auto", 9)
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": {"colour": "red"}}})
    await turns()
    (said,) = wire.said("window/showMessage")
    for part in ("a repository may not set engine", "completion.max_tokens takes", "unknown setting colour"):
        assert part in said["message"]


async def test_settings_that_are_pushed_or_asked_for() -> None:
    wire = Wire()
    asked: list[Any] = []

    def on_request(method: str, params: Any) -> Any:
        asked.append((method, params))
        return [{"completion": {"max_tokens": 5}}]

    wire.on_request = on_request
    await wire.begin(
        {"workspace": {"configuration": True}}, initializationOptions={"qwen": {"log": {"level": "error"}}}
    )
    await wire.until(lambda: bool(asked))
    await turns()
    session = wire.server.session
    assert (session.settings.completion_max_tokens, session.settings.log_level) == (5, "error")
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": {"completion": {"max_tokens": 6}}}})
    await turns()
    assert (session.settings.completion_max_tokens, session.settings.log_level) == (6, "error")
    wire.notify("workspace/didChangeConfiguration", {"settings": None})
    await wire.until(lambda: len(asked) == 2)
    assert asked[0] == ("workspace/configuration", {"items": [{"section": "qwen"}]})


async def test_another_engine_replaces_the_running_one() -> None:
    wire = Wire()
    await wire.begin()
    await turns()
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": {"engine": "scripted"}}})
    await turns()
    assert len(wire.engines) == 2
    assert wire.engines[0].closed and not wire.engines[1].closed
    assert wire.engines[1].n_started == 1
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": {"engine": "scripted", "log.level": "info"}}})
    await turns()
    assert len(wire.engines) == 2


@pytest.mark.parametrize("options", [[1], "text", 5, {"a": {"b": {"c": {"d": {"e": 1}}}}}, {"": None}])
async def test_absurd_options_are_a_message_not_a_crash(options: Any) -> None:
    wire = Wire()
    await wire.begin(initializationOptions=options)
    assert len(wire.said("window/showMessage")) == 1


async def test_each_folder_of_several_has_its_own_settings(tmp_path: Path) -> None:
    """Its file and what the editor says of it; both no more than a repository may. What is outside has the window's."""
    one, two = tmp_path / "one", tmp_path / "two ü"
    for root, count in ((one, 1), (two, 2)):
        root.mkdir()
        (root / "qwen-lsp.toml").write_text(f"completion.max_tokens = {count}\n", "utf-8")
    wire = Wire()
    said: dict[str, dict[str, object]] = {
        "": {"completion.debounceMs": 9},
        two.as_uri(): {"completion.contextTokens": 7, "log.level": "debug"},
    }
    wire.on_request = lambda method, params: [said.get(item.get("scopeUri", "")) for item in params["items"]]
    folders = [{"uri": root.as_uri(), "name": root.name} for root in (one, two)]
    await wire.begin({"workspace": {"configuration": True}}, workspaceFolders=folders)
    await turns()
    session = wire.server.session

    def tokens(path: Path) -> tuple[int, int, int]:
        found = session.snapshot().at(path).settings
        return found.completion_max_tokens, found.completion_context_tokens, found.completion_debounce_ms

    assert [tokens(root / "a.py") for root in (one, two, tmp_path)] == [(1, 1024, 9), (2, 7, 9), (64, 1024, 9)]
    assert session.snapshot().at(two / "a.py").roots == (two, one)
    assert session.snapshot().at(two / "a.py").settings.log_level == "warning"
    said |= {"": {"completion.debounceMs": 8}, one.as_uri(): {"completion.maxTokens": 3}}
    wire.notify("workspace/didChangeConfiguration", {"settings": {"qwen": said[""]}})
    await turns()
    assert [tokens(root / "a.py") for root in (one, two)] == [(3, 1024, 8), (2, 7, 8)]
    wire.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": folders[1:]}})
    await turns()
    assert tokens(one / "a.py") == (1, 1024, 8) and session.snapshot().roots == (one,)


async def test_the_index_leaves_out_a_folder_that_says_so(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        root.mkdir()
    (one / "qwen-lsp.toml").write_text("index.enabled = false\n", "utf-8")
    wire = Wire()
    await wire.begin(workspaceFolders=[{"uri": root.as_uri(), "name": root.name} for root in (one, two)])
    await wire.until(lambda: len(wire.children) == 1)
    assert wire.children[0].arguments == [str(two)]
