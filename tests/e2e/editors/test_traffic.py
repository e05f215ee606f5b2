"""The checker finds what is wrong, and the tee writes down what passes through it: no editor is needed for this."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.editors import tee
from tests.e2e.editors.traffic import check, read

ASKED = {"jsonrpc": "2.0", "id": 1, "method": "shutdown"}
ANSWERED = {"jsonrpc": "2.0", "id": 1, "result": None}
HOVERED = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "textDocument/hover",
    "params": {"textDocument": {"uri": "file:///a"}, "position": {"line": 0, "character": 0}},
}
OPENED = {
    "jsonrpc": "2.0",
    "method": "textDocument/didOpen",
    "params": {"textDocument": {"uri": "file:///a", "languageId": "python", "version": 1, "text": "🧺"}},
}
ECHO = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.exit(3)"


def frame(message: Any) -> bytes:
    body = json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


def log_of(path: Path, *said: tuple[str, Any]) -> Path:
    log = path / "log.jsonl"
    log.write_text("".join(json.dumps({"session": 1, "from": who, "message": what}) + "\n" for who, what in said))
    return log


def test_a_clean_log_passes(tmp_path: Path) -> None:
    [session] = check(log_of(tmp_path, ("editor", OPENED), ("editor", ASKED), ("server", ANSWERED)))
    assert session.was_shut_down
    assert session.answers("shutdown") == [None]


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ([("editor", HOVERED), ("editor", ASKED)], "has 0 answers"),
        ([("editor", ASKED), ("server", ANSWERED), ("server", ANSWERED)], "has 2 answers"),
        ([("server", ANSWERED)], "what was not asked"),
        ([("editor", {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": 1}})], "didOpen"),
        ([("server", {"jsonrpc": "2.0", "method": "qwen/other", "params": {}})], "which the specification does not"),
        (
            [
                (
                    "server",
                    {"jsonrpc": "2.0", "method": "window/showMessage", "params": {"type": 3, "message": "", "x": 1}},
                )
            ],
            "more than the specification has",
        ),
    ],
)
def test_a_fault_is_found(tmp_path: Path, said: list[tuple[str, Any]], fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        check(log_of(tmp_path, *said))


def test_the_tee_passes_bytes_through_and_writes_frames_down(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    sent = frame(OPENED) + frame(ASKED)
    command = [sys.executable, str(Path(tee.__file__)), str(log), "--", sys.executable, "-c", ECHO]
    for _ in range(2):  # an editor starts its server again
        done = subprocess.run(command, input=sent, capture_output=True, timeout=30, check=False)
        assert (done.stdout, done.returncode) == (sent, 3)
    first, second = read(log)
    assert list(first.messages("editor")) == [OPENED, ASKED] == list(second.messages("server"))


def test_the_tee_tells_what_is_no_frame(tmp_path: Path) -> None:
    frames = tee.Frames(tee.Log(tmp_path / "log.jsonl"), "server")
    for octet in frame(OPENED):
        frames.feed(bytes([octet]))  # pipes cut where they like
    frames.feed(b"Traceback: of all places\r\n\r\n")
    [session] = read(tmp_path / "log.jsonl")
    assert list(session.messages("server")) == [OPENED]
    with pytest.raises(AssertionError, match="server sent no frame: Traceback"):
        check(tmp_path / "log.jsonl")
