"""What a model's name tells: where it lies, when it came out."""

import json
from pathlib import Path

import pytest

from inference.__main__ import main
from inference.models.entries import BadCatalogue, load, parse
from inference.models.facts import EMBEDDED_TRAINED, facts, released_of


def test_the_embedded_model_is_here_and_has_the_day_of_its_training() -> None:
    found = facts("embedded", "mlx")
    assert found.path is not None and (Path(found.path) / "config.json").is_file()
    assert found.gguf is not None and Path(found.gguf).suffix == ".gguf"
    assert (found.released, found.source) == (EMBEDDED_TRAINED, "the day of its training")


@pytest.mark.parametrize(
    ("name", "released"),
    [
        ("qwen3.6-35b-a3b", "2026-04-16"),
        ("qwen3.6-35b-a3b/mlx-4bit", "2026-04-16"),
        ("/models/Qwen3.6-35B-A3B-UD-Q4_K_M.gguf", "2026-04-16"),
        ("Qwen/Qwen3.6-35B-A3B", "2026-04-16"),
        ("qwen2.5_coder_7b", "2024-09-19"),
        ("my-own-model", None),
        ("Qwen/Qwen3.5-4B", None),
    ],
)
def test_a_name_tells_when_its_model_came_out(name: str, released: str | None) -> None:
    assert released_of(name)[0] == released


def test_what_is_not_here_is_no_failure() -> None:
    found = facts("/nowhere/some-model", "llama")
    assert (found.path, found.gguf, found.released) == (None, None, None)
    assert "does not know" in found.source


def test_a_day_must_be_one() -> None:
    values = json.loads((Path(__file__).parents[3] / "inference/models/catalogue.json").read_text())
    values["models"][0]["released"] = "spring"
    with pytest.raises(BadCatalogue, match="no day"):
        parse(values)
    assert load().models[0].released == "2026-04-16"


def test_about_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["about", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["released"] == EMBEDDED_TRAINED
    assert main(["about", "--model", "Qwen3.6-35B-A3B.gguf"]) == 0
    assert "not on this machine" in capsys.readouterr().out
