"""The small parts of a run: progress, scratch folder, an earlier run, the model's day, what the baseline sends."""

import json
import os
from pathlib import Path

import pytest

from qwen_lsp.errors import EngineMissing, NotDone
from qwen_lsp.eval import llama_server, llama_vim
from qwen_lsp.eval.earlier import compared
from qwen_lsp.eval.facts import day, facts
from qwen_lsp.eval.llama_server import LlamaServer
from qwen_lsp.eval.progress import Bar
from qwen_lsp.eval.results import Results, Variant
from qwen_lsp.eval.scratch import LOCK, PREFIX, remove_left, scratch
from qwen_lsp.settings import Settings
from tests.qwen_lsp.eval.answers import answer


def test_progress_tells_how_long_it_takes_by_its_own_pace() -> None:
    now = [100.0]
    bar = Bar(lambda: now[0])
    assert bar.line(0, 0, "cutting holes") == "cutting holes"
    assert bar.line(40, 100, "") == "[" + "#" * 12 + " " * 18 + "] 40 of 100 answers"
    now[0] = 110.0
    assert bar.line(50, 100, "").endswith("50 of 100 answers, about 50 s"), "what was there before took no time"
    assert bar.line(100, 100, "").endswith("100 of 100 answers")


def test_a_scratch_folder_goes_and_a_killed_runs_is_removed(tmp_path: Path) -> None:
    with scratch() as mine:
        assert mine.is_dir() and mine.stat().st_mode & 0o077 == 0
        remove_left(mine.parent)
        assert mine.is_dir(), "its lock is held"
    assert not mine.exists()
    left, begun, unlocked, linked = (tmp_path / f"{PREFIX}{name}" for name in ("left", "begun", "unlocked", "linked"))
    for folder in (left, begun, unlocked):
        (folder / "trees").mkdir(parents=True)
    (left / LOCK).touch()
    os.utime(unlocked, (0, 0))
    linked.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    remove_left(tmp_path)
    assert not left.exists() and not unlocked.exists(), "killed in its work, and before it had its lock"
    assert begun.exists(), "it may be about to lock"
    assert linked.is_symlink() and (tmp_path / "elsewhere").is_dir(), "a link is not followed"


def test_two_runs_do_not_share_a_folder_and_git_does_not_see_it(tmp_path: Path) -> None:
    with Results(tmp_path / "out", {"seed": 1}):
        assert (tmp_path / "out" / ".gitignore").read_text() == "*\n"
        with pytest.raises(NotDone, match="another run writes"):
            Results(tmp_path / "out", {"seed": 1})
    with Results(tmp_path / "out", {"seed": 1}) as again:
        assert again.answers == {}


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NotDone, match="can not be written"):
        Results(tmp_path / "out", {})


def test_an_earlier_run_is_held_against_hole_by_hole(tmp_path: Path) -> None:
    about = {"repository": "shop", "model": "old", "engine": "mlx"}
    with Results(tmp_path, about) as earlier:
        for number in range(40):
            earlier.add(answer(number, exact=number < 10))
    ours = [answer(number, exact=number < 30) for number in range(50)]
    found = compared(tmp_path, {"repository": "shop"}, ours, (Variant("ours"),), 1)
    (row,) = found.rows
    assert (found.name, row.n, row.same) == ("old on mlx", 40, 20 / 40)
    assert row.against.exact.mean == 0.5 and row.against.exact_is == "better"
    with pytest.raises(NotDone, match="no run on store"):
        compared(tmp_path, {"repository": "store"}, ours, (Variant("ours"),), 1)
    with pytest.raises(NotDone, match="shares no hole"):
        compared(tmp_path, {"repository": "shop"}, ours, (Variant("theirs"),), 1)
    with pytest.raises(NotDone, match="holds no run"):
        compared(tmp_path / "none", {"repository": "shop"}, ours, (Variant("ours"),), 1)


async def test_the_other_package_tells_when_a_model_came_out() -> None:
    found = await facts(Settings(), "embedded")
    assert found.gguf is not None and found.gguf.is_file() and found.engine in ("llama", "mlx")
    served = await facts(Settings(engine="openai"), "Qwen/Qwen3.6-35B-A3B")
    assert (served.gguf, served.released) == (None, day("2026-04-16"))


def test_what_llama_vim_sends_holds_no_credential() -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    sent = llama_vim.body(f"token = '{token}'\n  x = ", "\ny", [("b.py", f"key = '{token}'\n" + "z\n" * 40)], 7)
    assert token not in json.dumps(sent)
    assert (sent["prompt"], sent["n_indent"], sent["input_suffix"], sent["seed"]) == ("  x = ", 2, "\ny\n", 7)
    (extra,) = sent["input_extra"]
    assert extra["filename"] == "b.py" and extra["text"].count("\n") == llama_vim.CHUNK_LINES


@pytest.mark.skipif(not llama_server.is_installed(), reason="needs xllamacpp, of the bench profile")
async def test_llama_server_answers_and_goes(tmp_path: Path) -> None:
    known = await facts(Settings(), "embedded")
    assert known.gguf is not None
    server = await LlamaServer.start(known.gguf, tmp_path, 1)
    try:
        body = llama_vim.body("import os\n\n\ndef first(path):\n    found = os.", "\n", [("b.py", "x = 1\n")], 1)
        text, usage = await server.infill(body)
        assert text and usage.prompt_tokens > 20 and usage.cached_tokens == 0
        assert usage.evaluated_tokens == usage.prompt_tokens + usage.completion_tokens - 1
    finally:
        server.stop()
    with pytest.raises(EngineMissing, match="did not start"):
        await LlamaServer.start(tmp_path / "no.gguf", tmp_path)
