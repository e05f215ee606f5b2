"""The thread that asks the index, beside keys."""

import time

import pytest

from qwen_lsp.lsp import retrieval
from qwen_lsp.lsp.retrieval import MOST_STILL_S, STILL_S, Retrieval


def slept(monkeypatch: pytest.MonkeyPatch, asked: Retrieval, *, keys_go_on: bool) -> list[float]:
    """The pauses of one step of a request, during which keys may come."""
    pauses: list[float] = []
    now = [100.0]

    def sleep(wait_s: float) -> None:
        pauses.append(wait_s)
        now[0] += wait_s
        if keys_go_on:
            asked.stand_back()

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    asked.stand_back()
    asked._stand_still()()
    return pauses


def test_a_request_stands_still_when_a_key_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slept(monkeypatch, Retrieval(lambda uri: None), keys_go_on=False) == [pytest.approx(STILL_S)]


def test_a_request_goes_on_after_a_while_however_many_keys_come(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = slept(monkeypatch, Retrieval(lambda uri: None), keys_go_on=True)
    assert MOST_STILL_S <= sum(pauses) <= MOST_STILL_S + STILL_S


def test_a_request_without_keys_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waits"))
    Retrieval(lambda uri: None)._stand_still()()


def test_nothing_is_asked_before_the_pause_is_over() -> None:
    done: list[str] = []

    class Index:
        def __getattr__(self, name: str) -> object:
            return lambda *_: done.append(name)

    patient = retrieval._Patient(Index(), lambda: done.append("pause"))  # type: ignore[arg-type]
    patient.file("a.py")
    patient.known(["a.py"])
    patient.files_defining("f")
    patient.rare_terms(["f"])
    assert done == ["pause", "file", "pause", "known", "pause", "files_defining", "pause", "rare_terms"]
