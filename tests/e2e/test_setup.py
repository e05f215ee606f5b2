"""The one command, from a hub to a completion: fetched, tried, set, checked. The hub is one of our own, and what it
publishes is the embedded model."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_lsp.settings import parse
from tests.e2e.daemons import Daemons
from tests.hub import COMMIT, FakeHub, serving
from tests.inference.setup_runs import REPOSITORY, SHAPE, published, variant
from tests.inference.weights import EMBEDDED

WAIT_S = 380  # a model that is not "embedded" has as many threads as cores, which spin: slow where others work, too
pytestmark = pytest.mark.timeout(WAIT_S + 20)


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    with serving(FakeHub({REPOSITORY: published()})) as fake:
        yield fake


def qwen_lsp(hub: FakeHub, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "qwen_lsp", *arguments]
    environment = os.environ | {"HF_ENDPOINT": hub.url}
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=WAIT_S, check=False
    )


@pytest.mark.parametrize("engine", ["llama", "mlx"])
def test_from_a_hub_to_a_completion(engine: str, hub: FakeHub, daemons: Daemons) -> None:
    file = daemons.home / "qwen-lsp.toml"
    file.write_text("# mine\n[completion]\nmax_tokens = 32  # short\n")
    done = qwen_lsp(hub, "setup", "--model", REPOSITORY, "--engine", engine, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    settings, problems = parse(user=file)
    assert problems == () and settings.engine == engine and settings.model == told["model"]["path"]
    assert settings.model is not None and f"@{COMMIT[:12]}" in settings.model
    assert "# mine" in file.read_text() and "max_tokens = 32  # short" in file.read_text()
    assert {each["layout"] for each in told["layouts"]} >= {"joint", "suffix-first", "prefix-first"}
    assert told["speed"]["reads"] > 0 and told["model"]["tokens"]["<|fim_prefix|>"] > 0
    assert all(each["ok"] for each in told["checks"])
    last = {each["name"]: each["detail"] for each in told["checks"]}["completion"]
    assert "tokens of prompt" in last
    assert [each["model"] for each in daemons.running() if each["engine"] == engine] == [settings.model]


def test_files_of_ones_own_need_no_network(hub: FakeHub, daemons: Daemons, tmp_path: Path) -> None:
    own = tmp_path / "mine.gguf"
    own.write_bytes(hub.repositories[REPOSITORY]["model.gguf"])
    hub.asked.clear()
    done = qwen_lsp(hub, "setup", "--offline", str(own))
    assert done.returncode == 0, done.stderr
    assert parse(user=daemons.home / "qwen-lsp.toml")[0].model == str(own)
    assert f"model = {json.dumps(str(own))}" in done.stderr and "checks are green" in done.stderr
    assert hub.asked == []


def test_what_can_not_be_is_told_and_changes_nothing(hub: FakeHub, daemons: Daemons) -> None:
    file = daemons.home / "qwen-lsp.toml"
    before = file.read_text()
    for arguments, said in [
        (("--model", "no/such", "--yes"), "there is no no/such"),
        (("--model", REPOSITORY), "--yes does"),
        (("--model", "gpt", "--yes"), "the catalogue has no 'gpt'"),
        (("--offline", "/nowhere"), "/nowhere is not there"),
    ]:
        done = qwen_lsp(hub, "setup", *arguments)
        assert done.returncode == 1 and said in done.stderr
        assert file.read_text() == before


def test_a_wrong_path_leaves_the_engine_alone(hub: FakeHub, daemons: Daemons) -> None:
    daemons.run("start", "--engine", "llama")
    before = daemons.running()
    done = qwen_lsp(hub, "setup", "--offline", "/nowhere")
    assert done.returncode == 1 and "/nowhere is not there" in done.stderr
    assert [each["pid"] for each in daemons.running()] == [each["pid"] for each in before] != []


def test_what_the_catalogue_suggests_for_this_machine(hub: FakeHub, daemons: Daemons, tmp_path: Path) -> None:
    """A catalogue that was just compared with the hub, no model named: plan, pinned fetch, settings."""
    values = json.loads((EMBEDDED.parent / "catalogue.json").read_text("utf-8"))
    variants = [variant("gguf", "llama", "model.gguf"), variant("mlx", "mlx")]
    values["models"] = [{**values["models"][0], "name": "tiny", "shape": SHAPE, "variants": variants}]
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps(values))
    command = [sys.executable, "-m", "inference.setup.refresh", "--catalogue", str(catalogue), "--endpoint", hub.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    done = qwen_lsp(hub, "setup", "--catalogue", str(catalogue), "--engine", "llama", "--yes")
    assert done.returncode == 0, done.stderr
    assert "tiny/gguf on llama, context" in done.stderr and f"revision {COMMIT}" in done.stderr
    assert f"fetch {REPOSITORY} ({COMMIT}) from" in done.stderr, "the pinned commit, told before the network is used"
    assert "note: <|fim_prefix|> is token" in done.stderr, "the catalogue's ids are another model's, and that is told"
    model = parse(user=daemons.home / "qwen-lsp.toml")[0].model
    assert model == str(daemons.home / "models" / f"tiny-gguf@{COMMIT[:12]}" / "model.gguf")
