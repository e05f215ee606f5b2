"""The daemon's port: only when asked for, only on this machine unless told, only with the token."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.server.token import TokenRequired, read_token

TOKEN = "0123456789abcdef" * 3
START_S = 30.0


def token_file(folder: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A daemon with the scripted engine and a port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="q-") as folder:
        command = [sys.executable, "-m", "inference", "serve", "--engine", "scripted", "--tcp", str(free)]
        command += ["--token-file", str(token_file(Path(folder)))]
        environment = os.environ | {"QWEN_LSP_HOME": folder}
        child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        said = ""
        while f":{free}, with a token" not in said:
            line = child.stderr.readline()
            assert line, said
            said += line
        try:
            yield free
        finally:
            child.terminate()
            rest = child.stderr.read()
            child.stderr.close()
            assert child.wait(START_S) == 0 and TOKEN not in said + rest


def get(port: int, *authorization: str, host: str = "127.0.0.1") -> int:
    connection = http.client.HTTPConnection(host, port, timeout=START_S)
    try:
        connection.putrequest("GET", "/v1/models")
        for value in authorization:
            connection.putheader("Authorization", value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "authorization",
    [
        (),
        ("",),
        ("Bearer",),
        (f"Basic {TOKEN}",),
        (f"Bearer {TOKEN}0",),
        (f"Bearer {TOKEN[:-1]}",),
        (TOKEN,),
        (f"Bearer {TOKEN}", "Bearer x"),
        (f"bearer {TOKEN}",),
    ],
)
def test_without_the_token_there_is_nothing(port: int, authorization: tuple[str, ...]) -> None:
    assert get(port, *authorization) == 401


def test_with_it_there_is_everything(port: int) -> None:
    assert get(port, f"Bearer {TOKEN}") in (200, 503)  # 503: the model loads


def test_a_file_that_others_can_read_or_that_is_short_is_refused(tmp_path: Path) -> None:
    assert read_token(token_file(tmp_path)) == TOKEN
    with pytest.raises(PermissionError, match="mode 0600"):
        read_token(token_file(tmp_path, mode=0o644))
    with pytest.raises(ValueError, match="32 printable characters"):
        read_token(token_file(tmp_path, "short"))


def test_a_port_without_a_token_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inference", "serve", "--engine", "scripted", "--tcp", "127.0.0.1:0"]
    environment = os.environ | {"QWEN_LSP_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=START_S, check=False)
    assert done.returncode == 1 and "--tcp needs --token-file" in done.stderr


async def test_only_a_peer_without_an_address_needs_none() -> None:
    """The unix socket's, whose user has been checked."""
    reached: list[object] = []

    async def app(scope: object, receive: object, send: object) -> None:
        reached.append(scope)

    async def send(message: object) -> None:
        pass

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    guarded = TokenRequired(app, TOKEN)
    for client in (None, ("127.0.0.1", 5), ("", 0)):
        await guarded({"type": "http", "client": client, "headers": []}, receive, send)
    assert len(reached) == 1
