"""The catalogue against what a hub has: filled, left alone, contradicted. The hub is one of our own."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.lifecycle import egress
from inference.models.entries import load
from inference.setup import refresh
from tests.hub import COMMIT, FakeHub, Fault, serving
from tests.inference.setup_runs import REPOSITORY, SHAPE, published, variant
from tests.inference.weights import EMBEDDED


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """One model with what is right, what is not there and what another model is."""
    values = json.loads((EMBEDDED.parent / "catalogue.json").read_text("utf-8"))
    model = {**values["models"][0], "name": "embedded", "shape": SHAPE}
    other = {**model, "name": "other", "shape": {**SHAPE, "hidden_size": 200}, "variants": [variant("mlx", "mlx")]}
    model["variants"] = [
        variant("gguf", "llama", "model.gguf"),
        variant("mlx", "mlx"),
        variant("gone", "llama", "gone.gguf"),
        variant("nowhere", "llama", "x.gguf", repository="no/such"),
    ]
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps({**values, "models": [model, other]}, indent=1) + "\n")
    return path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(egress, "guard", lambda: None)  # it could not be taken off again
    with serving(FakeHub({REPOSITORY: published()})) as fake:
        yield fake


def run(hub: FakeHub, catalogue: Path, *arguments: str) -> int:
    return refresh.main(["--endpoint", hub.url, "--catalogue", str(catalogue), *arguments])


def test_what_is_there_is_filled_in_and_the_rest_is_named(
    hub: FakeHub, catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load(catalogue)
    assert run(hub, catalogue) == 1
    said = capsys.readouterr().out
    assert f"embedded/gguf: renewed, revision {COMMIT}" in said and f"embedded/mlx: renewed, revision {COMMIT}" in said
    assert "embedded/gone: left as it is: some/embedded has no gone.gguf" in said
    assert "embedded/nowhere: left as it is: there is no no/such" in said
    assert "other/mlx: left as it is: its config.json contradicts the catalogue: hidden_size is 192, not 200" in said
    model, other = load(catalogue).models
    gguf, mlx, *rest = model.variants
    weights = (EMBEDDED / "model.gguf").read_bytes()
    assert [(file.n_bytes, file.sha256) for file in gguf.files] == [(len(weights), hashlib.sha256(weights).hexdigest())]
    assert (gguf.n_bytes, gguf.n_bytes_from, gguf.revision) == (len(weights), "hub", COMMIT)
    assert gguf.trust.startswith("verified 2") and "not verified" in rest[0].trust
    assert {file.name for file in mlx.files} >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert not [file.name for file in mlx.files if file.name.endswith((".py", ".gguf"))]
    assert tuple(rest) == before.models[0].variants[2:] and other == before.models[1]


def test_a_second_time_it_is_the_same(hub: FakeHub, catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(hub, catalogue, "embedded/gguf") == 0
    text = catalogue.read_text()
    assert run(hub, catalogue, "embedded/gguf") == 0
    assert catalogue.read_text() == text and "embedded/gguf: the same" in capsys.readouterr().out
    hub.commit = "f" * 40
    assert run(hub, catalogue, "embedded/gguf", "--check") == 0
    assert catalogue.read_text() == text and "embedded/gguf: renewed" in capsys.readouterr().out


def test_what_can_not_be_asked_changes_nothing(
    hub: FakeHub, catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = catalogue.read_text()
    hub.faults = [Fault(REPOSITORY, "status", None, 500)]
    assert run(hub, catalogue, "embedded/mlx") == 1 and catalogue.read_text() == text
    assert "can not answer" in capsys.readouterr().out
    assert run(hub, catalogue, "embedded/no-such") == 1, "nothing was asked for"
    catalogue.write_text(text.replace('"revision"', '"revison"', 1))
    assert run(hub, catalogue) == 1 and "unknown field revison" in capsys.readouterr().err


def test_the_script_s_command(catalogue: Path) -> None:
    """In a process of its own, with the guard on."""
    with serving(FakeHub({REPOSITORY: published()})) as fake:
        command = [sys.executable, "-m", "inference.setup.refresh", "embedded/gguf", "--catalogue", str(catalogue)]
        environment = os.environ | {"HF_ENDPOINT": fake.url}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0 and "renewed" in done.stdout, done.stderr
