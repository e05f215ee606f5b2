"""Mechanical refactors asked of an engine: scored by the answer's syntax trees and by tests, resumed, shown."""

import json
import shlex
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest

from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.eval import command, refactoring
from qwen_lsp.eval.checks import check_for
from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.refactors import FILE_NAME, asked, cut, totals
from qwen_lsp.settings import Settings
from qwen_lsp.verify.trust import trust
from scripts.benches.refactor_scripted import answers_for
from tests.qwen_lsp.eval.packages import PACKAGE
from tests.qwen_lsp.eval.repositories import repository
from tests.qwen_lsp.eval.test_checks import RUN
from tests.qwen_lsp.features.refactor.saying import text_of


class Knowing:
    """Knows the answers by the instruction in the prompt; of `wrong` kinds it changes something else."""

    def __init__(self, answers: Mapping[str, Mapping[str, str]], model: str = "knowing") -> None:
        self.answers = answers
        self.state = EngineState("ready", model=model)
        self.n_asked = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def on_state(self, callback: object) -> None: ...

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        self.n_asked += 1
        prompt = text_of(request)
        for instruction, answers in self.answers.items():
            for path, answer in answers.items():
                if instruction in prompt and (f"blocks for {path}." in prompt or f"makes {path}." in prompt):
                    yield Piece(answer)
        yield Usage(10, 5, 7, 6, 1.0)


@pytest.fixture
def past(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    return repository(tmp_path / "shop", [dict(PACKAGE)])


def say(root: Path) -> dict[str, dict[str, str]]:
    """The right answer to each but the signature, which gets a change that only breaks."""
    found = {task.instruction: answers_for(task) for task in cut(root)}
    wrong = next(name for name in found if name.startswith("Give"))
    path = "src/shop/cart.py"
    found[wrong] = {path: f"{path}\n<<<<<<< SEARCH\n    return value\n=======\n    return 1\n>>>>>>> REPLACE\n"}
    found[wrong]["src/shop/main.py"] = found[wrong][path].replace(path, "src/shop/main.py")
    return found


async def test_kinds_are_scored_by_trees_and_tests_and_a_stopped_run_goes_on(past: Path, tmp_path: Path) -> None:
    trust(past)
    engine, out = Knowing(say(past)), tmp_path / "out"
    out.mkdir()
    check = check_for(past, Settings(), RUN)

    async def again(number: int, model: Knowing) -> dict[str, tuple[int, float, float | None]]:
        place = tmp_path / f"trees{number}"
        place.mkdir()
        rows = await asked(Repository(past), 9, 1, model, out, place, check, lambda *_: None)
        return {each.kind: (each.n, each.done.mean, each.tests) for each in totals(rows, 1)}

    found = await again(1, engine)
    assert found["rename"] == found["move"] == (1, 1.0, 1.0)
    assert found["signature"] == (1, 0.0, None), "its blocks do not fit the second file"
    assert found["constant"][:2] == (2, 1.0)
    lines = (out / FILE_NAME).read_text().splitlines()
    (out / FILE_NAME).write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20])
    n_asked = engine.n_asked
    assert await again(2, engine) == found
    assert engine.n_asked - n_asked <= 3, "only the task that was cut off"
    other = Knowing({}, "another")
    assert (await again(3, other))["rename"][1] == 0.0 and other.n_asked, "another model is asked itself"


def test_the_command_shows_totals(
    past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(refactoring, "engine_for", lambda _: Knowing(say(past)))
    options = shlex.split(f"{past} --refactors 9 --holes 0 --out {tmp_path / 'out'}")
    from qwen_lsp.cli import _parser

    given = _parser().parse_args(["eval", *options])
    assert command.main(given) == 0
    table = capsys.readouterr().out
    assert "rename" in table and "100.0 %" in table
    kept = json.loads((tmp_path / "out" / "refactors.json").read_text())
    assert {each["kind"] for each in kept["totals"]} == {"rename", "move", "signature", "constant"}
    given = _parser().parse_args(["eval", *options, "--tests", RUN])
    assert command.main(given) == 1 and "trust" in capsys.readouterr().err
