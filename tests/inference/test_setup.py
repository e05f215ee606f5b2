"""From a wish to a model in its place, whatever happens in between; the hub is one of our own."""

import argparse
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inference.lifecycle.places import FileLock
from inference.models.choice import Wishes
from inference.models.entries import File, load
from inference.models.fetch import place
from inference.models.fetch.listing import FetchFailed
from inference.report import Report
from inference.setup import command
from inference.setup.ready import offline
from tests.hub import COMMIT, FakeHub, Fault, serving
from tests.inference.models.machines import mac, pc
from tests.inference.setup_runs import NAMES, REPOSITORY, Run, catalogue_of, published
from tests.inference.weights import EMBEDDED

MINE = Wishes(REPOSITORY, "llama")
FOLDER = f"some--embedded-gguf@{COMMIT[:12]}"
GGUF = (EMBEDDED / "model.gguf").read_bytes()


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with serving(FakeHub({REPOSITORY: published()})) as fake:
        yield fake


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def refused(run: Run, hub: FakeHub, models: Path, wishes: Wishes = MINE, report: Report | None = None) -> str:
    with pytest.raises(FetchFailed) as caught:
        run(hub, models, wishes, report=report)
    assert not list(models.glob("*@*")), "nothing stands in its place"
    assert caught.value.fix
    return caught.value.message


@pytest.mark.parametrize("engine", ["llama", "mlx"])
def test_a_repository_of_the_hub(engine: str, hub: FakeHub, tmp_path: Path) -> None:
    run = Run()
    ready = run(hub, tmp_path, Wishes(REPOSITORY, engine))
    assert ready is not None and (ready.engine, ready.origin) == (engine, f"revision {COMMIT[:12]}")
    folder = tmp_path / FOLDER.replace("gguf", "gguf" if engine == "llama" else "mlx")
    wanted = {"model.gguf"} if engine == "llama" else set(NAMES)
    assert {path.name for path in folder.iterdir()} == wanted | {"fetched.json"}
    assert ready.path == str(folder / "model.gguf" if engine == "llama" else folder)
    assert run.asked == [f"fetch {REPOSITORY} (its newest revision) from {hub.url} into {tmp_path}?"]
    assert run.allowed == ["127.0.0.1"]
    assert json.loads((folder / "fetched.json").read_text())["revision"] == COMMIT
    assert list(place.problems(folder, sums=True)) == []
    before = len(hub.sent("model.gguf"))
    assert run(hub, tmp_path, Wishes(REPOSITORY, engine)) == ready
    assert len(hub.sent("model.gguf")) == before, "what is there is not fetched again"


def test_a_no_is_a_no_before_anything_is_sent(hub: FakeHub, tmp_path: Path) -> None:
    assert Run()(hub, tmp_path, MINE, answer=False) is None
    assert hub.asked == [] and not list(tmp_path.iterdir())


def test_interrupted_it_goes_on_with_the_commit_it_began(hub: FakeHub, tmp_path: Path) -> None:
    n_bytes: list[int] = []

    def interrupt(name: str, n: int) -> None:
        n_bytes.append(n)
        if sum(n_bytes) > 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Run()(hub, tmp_path, MINE, progress=interrupt)
    assert files(tmp_path) == {
        ".incoming/some--embedded-gguf/fetched.json", ".incoming/some--embedded-gguf/model.gguf.part", ".setup.lock",
    }  # fmt: skip
    run = Run()
    assert run(hub, tmp_path, MINE) is not None
    assert f"({COMMIT})" in run.asked[0] and "of them there already" in run.said[-1]
    [first, second] = hub.sent("model.gguf")
    assert first is None and second is not None and int(second[6:-1]) >= 2_000_000 - (1 << 17)
    assert files(tmp_path) == {f"{FOLDER}/fetched.json", f"{FOLDER}/model.gguf", ".setup.lock"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_ended_in_the_middle_of_a_file_it_goes_on(how: signal.Signals, hub: FakeHub, tmp_path: Path) -> None:
    """The real command, which is then run again."""
    reached, release = threading.Event(), threading.Event()

    def before_piece(name: str, at: int) -> None:
        if at >= 3_000_000 and not release.is_set():
            reached.set()
            release.wait(60)

    part = tmp_path / "models" / ".incoming" / "some--embedded-gguf" / "model.gguf.part"
    hub.before_piece = before_piece
    command = [sys.executable, "-P", "-m", "inference", "setup", "--model", REPOSITORY, "--engine", "llama", "--yes"]
    environment = os.environ | {"QWEN_LSP_HOME": str(tmp_path), "HF_ENDPOINT": hub.url}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert reached.wait(60), child.communicate()
        deadline = time.monotonic() + 60
        while part.stat().st_size < 2_000_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        child.send_signal(how)
    finally:
        _, said = child.communicate()
        release.set()
    assert child.returncode == (1 if how == signal.SIGINT else -how)
    assert (b"stopped; the same command goes on from here" in said) == (how == signal.SIGINT)
    assert 0 < part.stat().st_size < len(GGUF) and not (tmp_path / "models" / FOLDER).exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == str(tmp_path / "models" / FOLDER / "model.gguf")
    assert hub.sent("model.gguf")[1] is not None and not part.exists()
    assert (tmp_path / "models" / FOLDER / "model.gguf").read_bytes() == GGUF


def test_a_newer_commit_begins_anew(hub: FakeHub, tmp_path: Path) -> None:
    hub.faults = [Fault("model.gguf", "status", None, 404)]
    assert "has no" in refused(Run(), hub, tmp_path)
    hub.faults = []
    (tmp_path / ".incoming/some--embedded-gguf/model.gguf.part").write_bytes(GGUF[:1000])
    (tmp_path / ".incoming/some--embedded-gguf/fetched.json").write_text("{}")
    hub.commit = "f" * 40
    assert Run()(hub, tmp_path, MINE) is not None
    assert hub.sent("model.gguf")[-1] is None and (tmp_path / f"some--embedded-gguf@{'f' * 12}").is_dir()


def test_another_revision_is_told_and_kept(hub: FakeHub, tmp_path: Path) -> None:
    assert Run()(hub, tmp_path, MINE) is not None
    hub.commit = "f" * 40
    run = Run()
    assert run(hub, tmp_path, MINE) is not None
    assert run.said[-1].startswith(f"{tmp_path / FOLDER} is another revision") and (tmp_path / FOLDER).is_dir()


def test_what_was_broken_off_is_told(hub: FakeHub, tmp_path: Path) -> None:
    hub.faults = [Fault("model.safetensors", "status", None, 404)]
    assert "has no" in refused(Run(), hub, tmp_path, Wishes(REPOSITORY, "mlx"))
    run = Run()
    assert run(hub, tmp_path, MINE) is not None
    assert run.said[-1].startswith(f"{tmp_path / '.incoming' / 'some--embedded-mlx'} holds 0.00 GB of another download")


def test_a_revision_that_is_gone(hub: FakeHub, tmp_path: Path) -> None:
    known = catalogue_of(hub, revision="e" * 40, files=(File("model.gguf", None, None),))
    with pytest.raises(FetchFailed, match=f"no revision {'e' * 40}"):
        Run()(hub, tmp_path, Wishes(known.models[0].name, "llama"), catalogue=known)


def test_a_variant_of_the_catalogue_by_its_checksum(hub: FakeHub, tmp_path: Path) -> None:
    right = hashlib.sha256(GGUF).hexdigest()
    for sha256, fits in (("0" * 64, False), (right, True)):
        file = File("model.gguf", len(GGUF), sha256)
        known = catalogue_of(hub, revision=COMMIT, files=(file,), verified="2026-11-26", n_bytes_from="hub")
        wishes = Wishes(known.models[0].name, "llama")
        if not fits:
            with pytest.raises(FetchFailed, match="not the file that the catalogue knows"):
                Run()(hub, tmp_path, wishes, catalogue=known)
            continue
        ready = Run()(hub, tmp_path, wishes, catalogue=known)
        assert ready is not None and ready.layout == known.models[0].layout
        folder = Path(ready.path).parent
        assert folder.name == f"{known.models[0].name}-{known.models[0].variants[0].name}@{COMMIT[:12]}"
        assert json.loads((folder / "fetched.json").read_text())["verified"] is True
        hub.asked.clear()
        run = Run()
        assert run(hub, tmp_path, wishes, catalogue=known) == ready
        assert not hub.asked and not run.asked, "a pinned revision that is there needs no network"


def test_what_the_hub_offers_does_not_fit(hub: FakeHub, tmp_path: Path) -> None:
    assert "more than this machine's memory" in refused(Run(), hub, tmp_path, report=replace(pc(2), total_bytes=1000))
    run = Run()
    assert "GB are missing" in refused(run, hub, tmp_path, report=pc(64, disk=1_000_000_000))
    assert hub.sent("model.gguf") == [], "the disk is looked at before"


def test_an_engine_that_is_not_installed_is_told_before_anything_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    run = Run()
    assert "the mlx engine is not installed" in refused(run, hub, tmp_path, Wishes(REPOSITORY, "mlx"), pc(64))
    assert "the llama engine is not installed" in refused(run, hub, tmp_path, Wishes(), mac(16))
    assert "qwen2.5-coder-7b/gguf-q8_0 on llama" in run.said[0] and run.asked == []


def test_files_that_are_no_model_stay_out_of_their_place(hub: FakeHub, tmp_path: Path) -> None:
    config = json.loads((EMBEDDED / "config.json").read_text())
    del config["num_experts_per_tok"]
    whole = published()
    hub.repositories = {REPOSITORY: {**whole, "config.json": json.dumps(config).encode()}}
    assert "num_experts_per_tok must be" in refused(Run(), hub, tmp_path, Wishes(REPOSITORY, "mlx"))
    hub.repositories = {REPOSITORY: {**whole, "model.gguf": GGUF[:-500_000]}}
    hub.commit = "d" * 40
    assert "should have at least" in refused(Run(), hub, tmp_path)


def test_two_at_once(hub: FakeHub, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / ".setup.lock")
    assert lock.acquire()
    assert "another setup" in refused(Run(), hub, tmp_path)
    lock.release()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(REPOSITORY, "status", None, 401), "refuses some/embedded (status 401)"),
        (Fault(REPOSITORY, "status", None, 500), "can not answer for some/embedded now"),
        (Fault(REPOSITORY, "redirect", None, "http://elsewhere.example"), "none that a hub gives"),
    ],
)
def test_a_hub_that_lists_nothing(fault: Fault, said: str, hub: FakeHub, tmp_path: Path) -> None:
    hub.faults = [fault]
    assert said in refused(Run(), hub, tmp_path)


def test_names_that_mean_nothing(hub: FakeHub, tmp_path: Path) -> None:
    assert "there is no no/such" in refused(Run(), hub, tmp_path, Wishes("no/such", "llama"))
    assert "names no .gguf" in refused(Run(), hub, tmp_path, Wishes("a/b/c.py", "llama"))
    assert "no name of a repository" in refused(Run(), hub, tmp_path, Wishes("../b", "llama"))
    assert "the catalogue has no 'gpt'" in refused(Run(), hub, tmp_path, Wishes("gpt", "llama"))
    assert "no model of the catalogue fits" in refused(Run(), hub, tmp_path, Wishes(), report=pc(2, disk=10))
    assert not [path for path, *_ in hub.asked if "no/such" not in path]


def test_files_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "m.gguf"
    own.write_bytes(GGUF)
    ready = offline(own, Wishes(), load(), pc(64))
    assert (ready.engine, ready.path, ready.origin) == ("llama", str(own), "files of your own")
    assert offline(EMBEDDED, Wishes(engine="mlx"), load(), pc(64)).path == str(EMBEDDED)
    own.write_bytes(GGUF[:-1000])
    for path, wishes, said in [
        (own, Wishes(), "should have at least"),
        (tmp_path / "gone", Wishes(), "is not there"),
        (own, Wishes("qwen2.5-coder-0.5b/gguf-q8_0"), "which the catalogue names"),
        (own, Wishes("gpt/x"), "the catalogue has no"),
    ]:
        with pytest.raises(FetchFailed, match=said):
            offline(path, wishes, load(), pc(64))


def test_files_of_ones_own_have_the_catalogue_s_checksum(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(GGUF)
    for sha256, fits in ((hashlib.sha256(GGUF).hexdigest(), True), ("0" * 64, False)):
        known = catalogue_of(hub, files=(File("model.gguf", len(GGUF), sha256),))
        wishes = Wishes(f"{known.models[0].name}/{known.models[0].variants[0].name}")
        if fits:
            assert offline(tmp_path / "model.gguf", wishes, known, pc(64)).layout == known.models[0].layout
        else:
            with pytest.raises(FetchFailed, match="checksum that the catalogue knows"):
                offline(tmp_path / "model.gguf", wishes, known, pc(64))


def test_what_was_fetched_and_harmed_is_found_and_fetched_again(hub: FakeHub, tmp_path: Path) -> None:
    run = Run()
    ready = run(hub, tmp_path, MINE)
    assert ready is not None
    path = Path(ready.path)
    harmed = bytearray(GGUF)
    harmed[-5] ^= 1
    path.write_bytes(harmed)
    assert list(place.problems(path.parent, sums=False)) == []
    assert "checksum differs" in next(place.problems(path.parent, sums=True))
    path.write_bytes(GGUF[:-9])
    assert "should have" in next(place.problems(path.parent, sums=False))
    assert run(hub, tmp_path, MINE) == ready and path.read_bytes() == GGUF
    path.unlink()
    assert "is missing" in next(place.problems(path.parent, sums=False))


def inference(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "inference", *arguments]
    environment = os.environ | {"QWEN_LSP_HOME": str(home)} | environ
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_the_command_reaches_no_other_host(hub: FakeHub, tmp_path: Path) -> None:
    with serving(FakeHub({REPOSITORY: published()})) as other:
        hub.faults = [Fault("model.gguf", "redirect", None, other.url.replace("127.0.0.1", "localhost"))]
        arguments = ("setup", "--model", REPOSITORY, "--engine", "llama", "--yes", "--endpoint", hub.url)
        done = inference(tmp_path, *arguments)
        assert done.returncode == 1 and "if you trust it: --also localhost" in done.stderr and not done.stdout
        assert other.asked == []
        done = inference(tmp_path, *arguments, "--also", "localhost")
        assert done.returncode == 0 and other.sent("model.gguf") == [None]
    done = inference(tmp_path, "setup", "--model", REPOSITORY, "--yes", "--endpoint", "https://hub.invalid")
    assert done.returncode == 1 and "the connection to the hub failed" in done.stderr


def test_a_disk_that_fills_up_meanwhile(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others write, too: what was looked at before is no promise. What came stays, and the next run needs less."""

    def full(options: object, models: Path) -> None:
        def progress(name: str, n: int) -> None:
            if (tmp_path / ".incoming/some--embedded-gguf/model.gguf.part").stat().st_size > 1_000_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        Run()(hub, models, MINE, progress=progress)

    monkeypatch.setattr(command, "run", full)
    assert command.main(argparse.Namespace(), tmp_path) == 1
    assert f"No space left on device: {tmp_path}; what is there is kept" in capsys.readouterr().err
    assert (tmp_path / ".incoming/some--embedded-gguf/model.gguf.part").stat().st_size > 1_000_000
    monkeypatch.undo()
    assert Run()(hub, tmp_path, MINE) is not None and hub.sent("model.gguf")[-1] is not None


def test_nobody_is_there_to_say_yes(hub: FakeHub, tmp_path: Path) -> None:
    done = inference(tmp_path, "setup", "--model", REPOSITORY, "--engine", "llama", HF_ENDPOINT=hub.url)
    assert done.returncode == 1 and "--yes does" in done.stderr and hub.asked == []


@pytest.mark.parametrize(("answer", "fetched"), [(b"y\n", True), (b"\n", False), (b"no\n", False)])
def test_it_asks_on_a_terminal(answer: bytes, fetched: bool, hub: FakeHub, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-P", "-m", "inference", "setup", "--model", REPOSITORY, "--engine", "llama"]
    environment = os.environ | {"QWEN_LSP_HOME": str(tmp_path), "HF_ENDPOINT": hub.url}
    child = subprocess.Popen(command, env=environment, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        os.write(ours, answer)
        _, said = child.communicate(timeout=100)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (child.returncode == 0, bool(hub.asked)) == (fetched, fetched)
    assert f"fetch {REPOSITORY} (its newest revision) from {hub.url}".encode() in said and b"? [y/N]" in said


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    assert "context 32,768 tokens" in inference(tmp_path, "check", "--engine", "llama").stdout
    (tmp_path / "m.gguf").write_bytes(GGUF[:-1000])
    done = inference(tmp_path, "check", "--engine", "llama", "--model", str(tmp_path / "m.gguf"))
    assert done.returncode == 1 and "m.gguf should have at least" in done.stderr
