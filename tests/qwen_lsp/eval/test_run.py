"""A whole run on a small repository: nothing of a hole's future in any prompt, and a stopped run goes on."""

import asyncio
import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from qwen_lsp import cli
from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.errors import EngineLost, NotDone
from qwen_lsp.eval import command, llama_server
from qwen_lsp.eval import run as run_module
from qwen_lsp.eval.holes import KINDS
from qwen_lsp.eval.options import KINDS as OPTION_KINDS
from qwen_lsp.eval.plan import Plan, variants
from qwen_lsp.eval.replay import Typing
from qwen_lsp.eval.results import FILE_NAME, Results, Variant
from qwen_lsp.eval.run import FIGURES, PAGE, run
from qwen_lsp.settings import LAYOUTS, Settings
from tests.qwen_lsp.eval.repositories import Tree, repository
from tests.qwen_lsp.features.refactor.saying import text_of

TIMES = re.compile(r'"ms": [0-9.]+')
LEAK = "planted_secret_of_the_future"
HEAD = "import os\n\n\ndef first(path):\n    found = os.listdir(path)\n    return sorted(found)\n"
BODY = "\n\ndef second(path, {0}):\n    value = first(path) + [{0}]\n    return value.index({0})\n"
TREES: tuple[Tree, ...] = (
    {"a.py": HEAD, "b.py": "from a import first\n\n\ndef main():\n    return first('.')\n"},
    {"a.py": HEAD + BODY.format("item")},
    # The commit that writes the answer also writes it into files that come after it, and the next one repeats it.
    {"a.py": HEAD + BODY.format("item") + BODY.format(LEAK), "z.py": f"{LEAK} = 1\nother = {LEAK} + 2\n"},
    {"b.py": f"def main():\n    value = {LEAK}\n    return value + {LEAK}\n", "y.py": f"y = {LEAK}\nz = y + y\n"},
)


class Model:
    """Says the same to everything; `stop_at`: the connection breaks at so many answers."""

    def __init__(self, stop_at: int = 1_000_000) -> None:
        self.prompts: list[str] = []
        self.state = EngineState("ready", model="fake")
        self._stop_at = stop_at

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    def on_state(self, callback: object) -> None: ...

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        if len(self.prompts) == self._stop_at:
            raise EngineLost("it is gone")
        self.prompts.append(text_of(request))
        yield Piece("value")
        yield Usage(10, 5, 1, 6, 1.0)


@pytest.fixture(autouse=True)
def no_llama_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prompt is asked of the model below."""
    monkeypatch.setattr(llama_server, "is_installed", lambda: False)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("past") / "shop", TREES)


def plan(past: Path, out: Path) -> Plan:
    return Plan(past, out, variants(("joint",), (512, 0), (True,)), holes=6, baseline=True)


async def asked(past: Path, out: Path, model: Model) -> dict[str, object]:
    await run(plan(past, out), model, lambda *_: None)
    found: dict[str, object] = await asyncio.to_thread(lambda: json.loads((out / FIGURES).read_text()))
    return found


async def test_nothing_of_the_future_is_in_a_prompt(past: Path, tmp_path: Path) -> None:
    """A hole's own commit and later ones hold its text; prompts at it may hold only what was there before it."""
    model = Model()
    await asked(past, tmp_path / "out", model)
    with Results(tmp_path / "out", json.loads((tmp_path / "out" / FIGURES).read_text())["about"]) as results:
        holes = {answer.hole: answer for answer in results.answers.values()}
    assert any("b.py" in answer.path for answer in holes.values()) and len(model.prompts) > 10
    by_file = [(prompt.rpartition("<|file_sep|>")[2].partition("\n")[0], prompt) for prompt in model.prompts]
    assert {"a.py", "b.py"} <= {path for path, _ in by_file}
    for path, prompt in by_file:
        assert path == "y.py" or "y = planted" not in prompt, "the last file of the last commit"
        assert path != "a.py" or "other = planted" not in prompt, "z.py comes after it, in the same commit"
    first = [answer for answer in holes.values() if answer.path == "a.py" and answer.wanted.count(LEAK)]
    assert first, "the commit that wrote it has holes"
    before = [prompt for prompt in model.prompts if "def main" in prompt and LEAK not in prompt]
    assert before, "prompts of the commits before know the other file as it was"


async def test_a_stopped_run_goes_on_and_says_the_same(past: Path, tmp_path: Path) -> None:
    whole = Model()
    figures = await asked(past, tmp_path / "whole", whole)
    broken = Model(stop_at=7)
    with pytest.raises(EngineLost):
        await asked(past, tmp_path / "out", broken)
    rest = Model()
    again = await asked(past, tmp_path / "out", rest)
    assert len(broken.prompts) + len(rest.prompts) <= len(whole.prompts) + 2  # one hole was asked in part
    assert 0 < len(rest.prompts) < len(whole.prompts)
    assert _scores(again) == _scores(figures)
    page = (tmp_path / "out" / PAGE).read_text()
    assert "How good are the suggestions on shop" in page and "llama.vim" in page
    untouched = Model()
    assert _scores(await asked(past, tmp_path / "out", untouched)) == _scores(figures)
    assert untouched.prompts == []


async def test_the_same_seed_says_the_same_but_for_times(past: Path, tmp_path: Path) -> None:
    models = Model(), Model()
    one, two = [await asked(past, tmp_path / str(n), model) for n, model in enumerate(models)]
    assert models[0].prompts == models[1].prompts
    assert one["about"] == two["about"] and _scores(one) == _scores(two)
    first, second = [(tmp_path / str(n) / FILE_NAME).read_text() for n in range(2)]
    assert TIMES.sub("", first) == TIMES.sub("", second)


def _scores(figures: dict[str, object]) -> object:
    summary = figures["summary"]
    assert isinstance(summary, dict)
    return [{key: value for key, value in row.items() if key not in ("ms", "slow_ms")} for row in summary["everything"]]


async def test_another_question_needs_another_folder(past: Path, tmp_path: Path) -> None:
    await asked(past, tmp_path / "out", Model())
    other = Plan(past, tmp_path / "out", variants(("joint",), (0,), (True,)), holes=6)
    with pytest.raises(NotDone, match="of another run"):
        await run(other, Model(), lambda *_: None)


async def test_other_settings_need_another_folder_too(past: Path, tmp_path: Path) -> None:
    """Else a page would hold answers of both, and call them one way of asking."""
    await asked(past, tmp_path / "out", Model())
    other = replace(plan(past, tmp_path / "out"), settings=Settings(completion_max_tokens=8))
    with pytest.raises(NotDone, match=r"another run \(settings differ\)"):
        await run(other, Model(), lambda *_: None)


async def test_a_tree_that_git_does_not_lay_out_here_is_left_out_and_told(past: Path, tmp_path: Path) -> None:
    """As with a name that this system does not take: there is no index of it, so nothing can be asked fairly."""
    odd = tmp_path / "odd"
    shutil.copytree(past, odd)
    _git(odd, "update-index", "--add", "--cacheinfo", f"100644,{_git(odd, 'rev-parse', 'HEAD:a.py')},git~1/x.py")
    _git(odd, "commit", "--quiet", "--message", "a name that is a folder of git's own on Windows")
    (odd / "a.py").write_text("def other(value):\n    return value + 1\n")
    _git(odd, "commit", "--quiet", "--message", "its tree can not be laid out", "a.py")
    found = await run(plan(odd, tmp_path / "out"), Model(), lambda *_: None)
    (note,) = [note for note in found.notes if "not asked" in note]
    assert re.fullmatch(r"\d+ of the holes were not asked: git checkout: .*git~1/x\.py.*", note)
    assert 0 < found.summary.everything[0].n < found.about["holes"]
    assert "were not asked" in (tmp_path / "out" / PAGE).read_text()


def _git(folder: Path, *arguments: str) -> str:
    own = ("-c", "core.protectNTFS=false", "-c", "user.name=a", "-c", "user.email=a@b")
    done = subprocess.run(["git", *own, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


async def test_where_typing_breaks_there_is_a_page_all_the_same(
    past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Typing:
        raise NotDone("the server is gone")

    monkeypatch.setattr(run_module, "replayed", broken)
    found = await run(replace(plan(past, tmp_path / "out"), keys=500), Model(), lambda *_: None)
    assert found.typing is None and "typing was not replayed: the server is gone" in found.notes
    assert (tmp_path / "out" / PAGE).is_file()


def test_variants_are_named_by_what_differs() -> None:
    assert variants(("joint",), (0, 2048), (True,)) == (
        Variant("no context", "joint", 0),
        Variant("2,048 tokens of context", "joint", 2048),
    )
    assert [each.name for each in variants(("joint", "chat"), (8,), (True, False))] == [
        "joint, with log",
        "joint, without log",
        "chat, with log",
        "chat, without log",
    ]


def test_options_offer_what_there_is() -> None:
    assert OPTION_KINDS == KINDS
    assert LAYOUTS[0] == Settings().completion_layout


@pytest.mark.parametrize(
    "wrong",
    [["--context", "many"], ["--layouts", "none"], ["--holes", "0"], ["--released", "soon"], ["--engine", "gpt"]],
)
def test_wrong_usage_is_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["eval", ".", *wrong]) == 2
    assert "qwen-lsp eval: " in capsys.readouterr().err


def test_a_context_that_the_settings_have_no_room_for_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be asked with less, and the page would say that context does not help."""
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path))
    (tmp_path / "qwen-lsp.toml").write_text("ctx = 8192\n")
    assert cli.main(["eval", str(tmp_path), "--context", "0,8192"]) == 2
    assert re.search(r"ctx = 8192 has room for \d+ tokens of other files .*8192", capsys.readouterr().err)
    assert cli.main(["eval", str(tmp_path), "--context", "0,1024"]) == 1  # there is room; no repository is here
    assert "not a git repository" in capsys.readouterr().err


def test_a_disk_that_is_full_is_told_in_a_line(
    past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(command, "run", full)
    out = str(tmp_path / "out")
    assert cli.main(["eval", str(past), "--out", out]) == 1
    told = capsys.readouterr().err
    assert "No space left" in told and f"the same command goes on in {out}" in told and "Traceback" not in told


def test_what_is_surely_better_can_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path))
    file = tmp_path / "qwen-lsp.toml"
    file.write_text('# mine\nengine = "llama"\n[completion]\nmax_tokens = 32 # short\n')
    assert command.write_settings(Variant("x", "suffix-first", 4096)) == str(file)
    text = file.read_text()
    assert text.startswith('# mine\nengine = "llama"\n[completion]\nmax_tokens = 32 # short\n')
    assert "context_tokens = 4096" in text and 'layout = "suffix-first"' in text
