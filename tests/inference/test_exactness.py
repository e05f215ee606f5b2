"""The exactness gate in small: some scripts per engine, and that the gate sees what is wrong.

The whole gate is `scripts/bench exactness`. A failure names its seed: `scripts/bench exactness --script SEED`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.backends.base import EngineName
from scripts.benches.edit_scripts import ALL, Ask, Cancel, Let
from scripts.benches.exact_model import exact_files
from scripts.benches.exactness import Gate, Report, judge, show
from scripts.benches.play import without

pytestmark = pytest.mark.timeout(600)  # seconds on an idle machine, minutes on one that ten others use
SEED = 1  # a short script with nearly everything in it


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(exact_files("llama", tmp_path_factory.mktemp("exactness")))


@pytest.mark.parametrize(("engine", "n_scripts"), [("llama", 12), ("mlx", 2)])
def test_every_answer_is_the_plain_engines(engine: EngineName, n_scripts: int, tmp_path: Path) -> None:
    report = Report(engine, SEED)
    for _, played, faults in Gate(exact_files(engine, tmp_path)).run(range(SEED, SEED + n_scripts)):
        report.add(played, faults)
    assert report.faults == [], "\n".join(report.lines())
    if n_scripts > 10:  # few scripts need not have everything, and other Pythons have other source texts
        did = report.calls
        assert min(did["fork"], did["restore"], did["accepted"], report.cancelled, report.preemptions) > 0


def test_a_script_ends_the_same_way_each_time(gate: Gate) -> None:
    made = gate.script(SEED)
    first, second = gate.play(made), gate.play(made)
    assert first == second


def test_the_gate_sees_a_wrong_token_a_lost_answer_and_wrong_counts(gate: Gate) -> None:
    made = gate.script(SEED)
    played = gate.play(made)
    assert judge(made, played, gate.plain) == []
    number = next(i for i, said in enumerate(played.said) if said.tokens and said.reason == "length")
    said = played.said[number]

    def what(**changed: Any) -> str:
        answers = [*played.said[:number], replace(said, **changed), *played.said[number + 1 :]]
        return " ".join(fault.what for fault in judge(made, replace(played, said=answers), gate.plain))

    assert "token 0" in what(tokens=[(said.tokens[0] + 1) % 4000, *said.tokens[1:]])
    assert "tokens came" in what(tokens=said.tokens[:-1])
    assert "is another one" in what(reason="stop")
    assert "nobody asked" in what(reason="cancelled")
    assert "answered 0 times" in what(n_ends=0)
    wrong_books = replace(played, n_evaluated=played.n_evaluated + 1)
    assert len(judge(made, wrong_books, gate.plain)) == 2


def test_dropped_moves_take_their_cancels_along() -> None:
    asks = [Ask((n,), 1) for n in range(3)]
    moves = (asks[0], Let(1), Cancel(0), asks[1], asks[2], Cancel(2), Let(ALL))
    assert without(moves, {0}) == (Let(1), asks[1], asks[2], Cancel(1), Let(ALL))
    assert without(moves, {1, 3}) == (asks[0], Cancel(0), asks[2], Cancel(1), Let(ALL))


def test_the_shortest_script_that_fails_is_found(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    made = gate.script(SEED)
    culprit = made.asks[-1]
    monkeypatch.setattr(Gate, "fails", lambda _self, script: culprit in script.moves)
    shortest = gate.shortest(made)
    assert shortest.moves == (culprit,)
    assert len(list(show(shortest))) == 2
