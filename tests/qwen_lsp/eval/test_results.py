"""The file of answers: what a kill leaves behind is gone on with, what is of another run is refused."""

import stat
from pathlib import Path

import pytest

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.results import FILE_NAME, Results
from tests.qwen_lsp.eval.answers import answer

ABOUT = {"seed": 1, "model": "embedded"}


def test_a_run_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    answers = [answer(n, said="größe\n📦") for n in range(3)]
    with Results(tmp_path / "out", ABOUT) as results:
        for each in answers:
            results.add(each)
    file = tmp_path / "out" / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    whole = file.read_bytes()
    for n_left in (1, 20, len(whole.splitlines(keepends=True)[-1]) + 5):
        file.write_bytes(whole[:-n_left])
        with Results(tmp_path / "out", ABOUT) as results:
            kept = list(results.answers.values())
            assert kept == answers[: len(kept)] and len(kept) < 3
            for each in answers[len(kept) :]:
                results.add(each)
        assert file.read_bytes() == whole


def test_another_run_is_refused_with_what_differs(tmp_path: Path) -> None:
    with Results(tmp_path, ABOUT):
        pass
    with pytest.raises(NotDone, match=r"another run \(model differ\): name another folder"):
        Results(tmp_path, {**ABOUT, "model": "other"})
