"""One daemon per user and build: real processes that find, start, lose and stop it. Folders and peers, apart."""

import asyncio
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from inference.__main__ import main
from inference.lifecycle import control
from inference.lifecycle.daemon import FAILED_EXIT_S, Watch
from inference.lifecycle.home import Home, Refused, home, make_private
from inference.lifecycle.launch import LOG_BYTES
from inference.lifecycle.peer import guarded_protocol, peer_uid
from inference.lifecycle.places import (
    SOCKET_PATH_BYTES,
    FileLock,
    Identity,
    Places,
    Record,
    build,
    places,
    read_record,
    records,
    write_record,
)
from inference.lifecycle.probe import Health, health
from tests.inference.weights import EMBEDDED

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60
SCRIPTED = Identity("scripted", "embedded")
UID = os.getuid()


class Box:
    """A home of its own, and the command line in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders = home({"QWEN_LSP_HOME": str(folder)})
        monkeypatch.setenv("QWEN_LSP_HOME", str(folder))

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "inference", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)

    def call(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """A command that starts no process, in this one."""
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            try:
                ended: object = main(arguments)
            except SystemExit as left:
                ended = left.code
        assert ended == code, err.getvalue()
        return out.getvalue(), err.getvalue()

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """A command in a process of its own."""
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == code, err
        return out, err

    def start(self, *arguments: str) -> str:
        out, _ = self.run("start", "--engine", "scripted", *arguments)
        return out.splitlines()[-1]

    def find(self) -> str:
        """As `start`, where one runs already."""
        return self.call("start", "--engine", "scripted")[0].splitlines()[-1]

    def status(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.call("status", "--json")[0])
        return found

    def places(self, identity: Identity = SCRIPTED) -> Places:
        return places(self.folders, identity, build(), UID)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    made = Box(tmp_path / "home", monkeypatch)
    yield made
    control.stop(made.folders, [record for _, record in records(made.folders)])
    folder = made.places().socket.parent
    if folder != made.folders.runtime:  # a long tmp_path has its sockets elsewhere
        folder.rmdir()


def freed(path: Path) -> None:
    """Wait until the holder of the lock is gone."""
    lock = FileLock(path)
    assert control.freed(lock, TIMEOUT_S)
    lock.release()


def test_simultaneous_starts_give_one_daemon(box: Box) -> None:
    starting = [box.begin("start", "--engine", "scripted") for _ in range(4)]
    said = [process.communicate(timeout=TIMEOUT_S) for process in starting]
    assert [process.returncode for process in starting] == [0] * 4, said
    addresses = {out.splitlines()[-1] for out, _ in said}
    assert len(addresses) == 1
    (daemon,) = box.status()
    assert daemon["address"] == addresses.pop()
    assert daemon["state"] == "ready"
    assert daemon["memory_bytes"] > 1_000_000
    assert (daemon["tokens_evaluated"], daemon["tokens_reused"]) == (0, 0)
    assert box.find() == daemon["address"]
    assert [each["pid"] for each in box.status()] == [daemon["pid"]]


def test_a_scripted_daemon_says_what_its_file_tells_it_to(box: Box, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([{"when": ["two", "three"], "say": "five"}, {"when": ["two"], "say": "2"}]), "utf-8")
    socket_path = box.start("--model", str(path)).removeprefix("unix:")
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket_path), base_url="http://daemon") as client:
        for prompt, answer in (("two and three", "five"), ("two", "2"), ("one", "")):
            said = client.post("/v1/completions", json={"prompt": prompt, "max_tokens": 99, "temperature": 0}).json()
            assert said["choices"][0]["text"] == answer
    _, err = box.run("start", "--engine", "scripted", "--model", str(tmp_path / "none.json"), code=1)
    assert "is no list of scripted answers" in err


def test_a_killed_daemon_is_replaced(box: Box) -> None:
    address = box.start()
    (first,) = box.status()
    os.kill(first["pid"], signal.SIGKILL)
    freed(box.places().lock)
    assert box.status() == []
    assert box.start() == address
    (second,) = box.status()
    assert second["pid"] != first["pid"]


def test_a_stale_socket_is_replaced_and_a_long_log_turned_over(box: Box) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(box.places().socket))
    stale.close()
    box.places().log.write_bytes(b"x" * (LOG_BYTES + 1))
    assert box.start() == f"unix:{box.places().socket}"
    assert box.places().socket.stat().st_mode & 0o777 == 0o600
    assert box.places().log.stat().st_size < LOG_BYTES < box.places().log.with_suffix(".log.1").stat().st_size


def test_stop_ends_what_it_names_and_finds_nothing_the_second_time(box: Box) -> None:
    box.start()
    (daemon,) = box.status()
    others = "no such daemon runs; 1 other: stop --all\n"
    assert box.call("stop", "--engine", "llama")[0] == others
    record = read_record(box.places().record)
    assert record is not None
    write_record(box.places().record, replace(record, build="older"))
    assert box.call("stop")[0] == others
    assert f"stopped pid {daemon['pid']}" in box.call("stop", "--all")[0]
    assert not box.places().socket.exists()
    assert not box.places().record.exists()
    assert box.call("stop")[0] == "no daemon runs\n"
    assert box.call("stop", "--all")[0] == "no daemon runs\n"
    assert box.call("status")[0] == "no daemon runs\n"


def test_a_daemon_that_hangs_is_killed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.start()
    ((_, record),) = records(box.folders)
    os.kill(record.pid, signal.SIGSTOP)
    monkeypatch.setattr(control, "TERM_S", 0.1)
    assert control.stop(box.folders, [record]) == [record]
    assert list(records(box.folders)) == []


def test_a_daemon_that_nobody_can_reach_ends(box: Box) -> None:
    box.start()
    box.places().socket.unlink()
    freed(box.places().lock)


def test_idle_exit(box: Box) -> None:
    box.start("--idle-exit", "0.5")
    freed(box.places().lock)
    assert not box.places().socket.exists()
    assert not box.places().record.exists()


def test_sigterm_cancels_jobs_and_is_a_normal_end(box: Box) -> None:
    process = box.begin("serve", "--engine", "scripted")
    while not box.status():
        assert process.poll() is None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(box.places().socket))
        body = b'{"prompt": "x", "max_tokens": 30000, "stream": true}'
        head = b"POST /v1/completions HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b'"error"' in answer
    assert b"the daemon stops" in answer
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert not box.places().socket.exists()


def test_a_second_serve_leaves_at_once(box: Box) -> None:
    address = box.start()
    _, err = box.run("serve", "--engine", "scripted")
    assert "runs already" in err
    assert box.find() == address


def test_the_reason_of_a_failed_start_reaches_the_user(box: Box) -> None:
    _, err = box.run("start", "--engine", "llama", "--model", "nowhere.gguf", code=1)
    assert "there is no model 'nowhere.gguf'" in err


def patched_gguf(folder: Path, key: str, value: int) -> Path:
    """The embedded model with one 32-bit number of its metadata changed."""
    raw = bytearray((EMBEDDED / "model.gguf").read_bytes())
    at = raw.index(key.encode()) + len(key) + 4  # behind the value's type
    raw[at : at + 4] = struct.pack("<I", value)
    path = folder / "model.gguf"
    path.write_bytes(raw)
    return path


def patched_folder(folder: Path, key: str, value: object) -> Path:
    """The embedded model for MLX with one key of its configuration changed; None: gone."""
    config = {name: v for name, v in json.loads((EMBEDDED / "config.json").read_text()).items() if name != key}
    (folder / "config.json").write_text(json.dumps(config if value is None else config | {key: value}))
    (folder / "model.safetensors").symlink_to(EMBEDDED / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("num_experts_per_tok", None, "num_experts_per_tok must be a positive whole number, not None"),
        ("hidden_size", 256, "model.embed_tokens.weight has shape (4096, 192), and config.json says (4096, 256)"),
        ("num_hidden_layers", 10**12, "the weights lack model.layers.4"),
        ("qwen35moe.expert_used_count", 99, "num_experts_per_tok is larger than num_experts"),
        (
            "qwen35moe.embedding_length",
            256,
            "tensor 'token_embd.weight' has wrong shape; expected    256,",
        ),
        ("qwen35moe.block_count", 2**32 - 4, "the model does not fit in memory: weights 9 MiB + rows for 4k "),
    ],
)
def test_a_broken_model_is_named_at_the_start(box: Box, tmp_path: Path, key: str, value: int, reason: str) -> None:
    engine = "llama" if "." in key else "mlx"
    patch = patched_gguf if engine == "llama" else patched_folder
    path = patch(tmp_path, key, value)
    _, err = box.run("start", "--engine", engine, "--model", str(path), code=1)
    assert reason in err.splitlines()[-1]


def test_a_context_that_does_not_fit_is_refused_with_numbers(box: Box, tmp_path: Path) -> None:
    path = patched_gguf(tmp_path, "qwen35moe.context_length", 2**31)
    _, err = box.run("start", "--engine", "llama", "--model", str(path), "--ctx", str(2**31), code=1)
    assert "rows for 2097152k 1072.0 GiB" in err
    assert re.search(r"= \d+\.\d GiB of \d+\.\d GiB \(.*\); a context of \d+ tokens fits: --ctx \d+", err), err


def test_the_memory_plan_is_told_and_logged(box: Box) -> None:
    box.run("start", "--engine", "llama", "--ctx", "2000")
    (daemon,) = box.status()
    assert (daemon["memory"]["n_ctx"], daemon["memory"]["limited_by"]) == (2000, "asked")
    line = f"context 2000 tokens; {daemon['memory']['line']}"
    assert line in box.call("status")[0]
    assert line in box.places(Identity("llama", "embedded", 2000)).log.read_text()


def test_a_daemon_that_can_not_serve_is_named_with_its_log(box: Box) -> None:
    box.places().socket.mkdir()  # nothing can be bound there
    _, err = box.run("start", "--engine", "scripted", code=1)
    assert "the daemon ended with code 1" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["begin"],
        ["start", "--engine", "cuda"],
        ["start", "--ctx", "0"],
        ["start", "--idle-exit", "-1"],
        ["start", "--timeout", "nan"],
        ["status", "--yaml"],
    ],
)
def test_wrong_usage(box: Box, arguments: list[str]) -> None:
    _, err = box.call(*arguments, code=2)
    assert "usage:" in err


def test_a_folder_that_is_a_link_is_refused(box: Box, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    box.folders.runtime.parent.mkdir()
    box.folders.runtime.symlink_to(elsewhere)
    _, err = box.call("start", "--engine", "scripted", code=1)
    assert "not a folder of its own" in err
    box.folders.runtime.unlink()


def test_private_folders(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_private(folder, UID)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    (folder / "ours").touch()
    make_private(folder, UID)
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(Refused, match="belongs to user"):
        make_private(folder, UID + 1)
    with pytest.raises(Refused, match="not a folder"):
        make_private(folder / "ours", UID)


def test_a_folder_that_can_not_be_closed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "chmod", lambda path, mode: None)  # as a file system without modes does
        with pytest.raises(Refused, match="keeps no modes"):
            make_private(folder, UID)
    make_private(folder, UID)


@pytest.mark.skipif(UID != 0, reason="only root can give files away")
def test_an_open_folder_with_files_of_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "planted.sock").touch()
    os.chown(folder / "planted.sock", 12345, 12345)
    folder.chmod(0o777)
    with pytest.raises(Refused, match="files of theirs"):
        make_private(folder, UID)


def test_home_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home({"QWEN_LSP_HOME": str(tmp_path)}) == Home(
        tmp_path / "run", tmp_path / "cache", tmp_path / "log", tmp_path / "models"
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if sys.platform == "linux":
        assert home({}).runtime == tmp_path / "qwen-lsp" / "run"


def test_the_key_tells_daemons_apart(tmp_path: Path) -> None:
    folders = Home(tmp_path / "run", tmp_path / "cache", tmp_path / "log", tmp_path / "models")
    variants = [
        places(folders, SCRIPTED, "1", UID),
        places(folders, SCRIPTED, "2", UID),
        places(folders, replace(SCRIPTED, engine="llama"), "1", UID),
        places(folders, replace(SCRIPTED, model="other"), "1", UID),
        places(folders, replace(SCRIPTED, n_ctx=4096), "1", UID),
    ]
    assert len({variant.key for variant in variants}) == 5
    assert places(folders, SCRIPTED, "1", UID) == variants[0]


def test_a_long_home_has_its_sockets_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = Path("/tmp")
    monkeypatch.setattr("tempfile.tempdir", str(short))
    deep = tmp_path / ("x" * 100)
    found = places(Home(deep, deep, deep, deep), SCRIPTED, "1", UID)
    assert len(os.fsencode(found.socket)) <= SOCKET_PATH_BYTES
    assert found.socket.parent.parent == short
    assert found.socket.parent.stat().st_mode & 0o777 == 0o700
    assert found.record.parent == deep
    found.socket.parent.rmdir()


def test_the_build_follows_the_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = build(tmp_path)
    assert build(tmp_path) == first
    (tmp_path / "a.pyc").write_text("compiled")
    assert build(tmp_path) == first
    (tmp_path / "a.py").write_text("12")
    assert build(tmp_path) != first


def test_records_that_can_not_be_read_are_ignored(tmp_path: Path) -> None:
    folders = Home(tmp_path, tmp_path, tmp_path, tmp_path)
    record = Record(1, "unix:/x", "llama", "m", None, "b", 5.0)
    write_record(tmp_path / "good.json", record)
    (tmp_path / "torn.json").write_text("{")
    (tmp_path / "other.json").write_text('{"pid": 1}')
    (tmp_path / "list.json").write_text("[]")
    assert list(records(folders)) == [(tmp_path / "good.json", record)]


def test_a_socket_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert health(path) == Health("absent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert health(path) == Health("absent")  # bound, not listening
        listener.listen()
        assert health(path, timeout_s=0.05) == Health("silent")


def test_when_to_end() -> None:
    def check(state: str, now: float, expected: str | None, n_open: int = 0, n_requests: int = 0) -> None:
        assert watch.verdict(now, state, n_open, n_requests, is_reachable=True) == expected, now

    watch = Watch(idle_exit_s=10, since=0)
    check("loading", 100, None)
    check("ready", 109, None)
    check("ready", 110, "idle")
    check("ready", 110, None, n_open=1)
    check("ready", 119, None)
    check("ready", 119, None, n_requests=1)
    check("ready", 128, None, n_requests=1)
    check("ready", 129, "idle", n_requests=1)
    check("failed", 119 + FAILED_EXIT_S - 1, None)
    check("failed", 119 + FAILED_EXIT_S, "the model does not load")
    check("stopped", 119, "the model's thread ended")
    assert "socket" in (watch.verdict(119, "ready", 1, 1, is_reachable=False) or "")


def test_the_peers_user_is_known() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert peer_uid(one) == UID


def test_the_peers_user_is_unknown_where_the_system_does_not_say() -> None:
    class Mute:
        def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
            raise OSError("not supported")

    assert peer_uid(Mute()) is None


@asynccontextmanager
async def connected(path: Path, peer: int | None) -> AsyncIterator[tuple[StreamReader, StreamWriter, ServerState]]:
    """A client of a guarded server whose app answers 204 to all that it is asked by `peer`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config, state = uvicorn.Config(app, log_config=None), ServerState()
    config.load()
    guarded = guarded_protocol(UID, ask=lambda connection: peer)
    server = await asyncio.get_running_loop().create_unix_server(
        lambda: guarded(config=config, server_state=state, app_state={}), str(path)
    )
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield reader, writer, state
    finally:
        writer.close()
        server.close()
        await asyncio.sleep(0)
    assert not state.connections


@pytest.mark.parametrize(("peer", "served"), [(UID, True), (UID + 1, False), (None, False)])
async def test_other_users_are_not_served(tmp_path: Path, peer: int | None, served: bool) -> None:
    async with connected(tmp_path / "s", peer) as (reader, writer, _):
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
        except ConnectionError:
            answer = b""
        assert answer.startswith(b"HTTP/1.1 204") == served


@pytest.mark.parametrize("asks", [True, False])
async def test_nobody_is_hung_up_on_who_has_asked(tmp_path: Path, asks: bool) -> None:
    """After a stop of the process both are due: the end of an idle connection, and a request that came on it."""
    async with connected(tmp_path / "s", UID) as (reader, writer, state):
        writer.write(b"GET / HTTP/1.1\r\nHost: d\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        if asks:
            writer.write(b"GET / HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        protocol: Any = next(iter(state.connections))
        protocol.timeout_keep_alive_handler()
        assert (await reader.read()).startswith(b"HTTP/1.1 204") == asks
