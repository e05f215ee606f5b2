"""What lies on the disk after everything has run, and who may reach the socket: nobody else."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons

NOBODY = 65534
ASK = """
import os, socket, sys
os.setgid({uid}); os.setuid({uid})
with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(20)
    s.connect(sys.argv[1])
    try:
        s.sendall(b"GET /v1/models HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
        print(s.recv(12))
    except (BrokenPipeError, ConnectionResetError):
        print(b"")
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)


def test_every_file_is_its_owner_s_alone(daemons: Daemons, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def total(prices):\n    return sum(prices)\n")
    before = os.umask(0o022)  # the usual one, which lets everybody read
    try:
        for arguments in (("index", str(tmp_path)), ("doctor",), ("status", "--web"), ("trust", str(tmp_path))):
            done = run(sys.executable, "-m", "qwen_lsp", *arguments)
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        os.umask(before)
    found = [path for path in daemons.home.rglob("*") if not path.is_symlink()]
    names = {path.suffix for path in found}
    assert names >= {".sqlite", ".log", ".sock", ".json", ".html"}, "index, log, socket, record and page are there"
    wide = {
        str(path.relative_to(daemons.home)): oct(mode)
        for path in found
        if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077
    }
    assert wide == {}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_the_socket_hangs_up_on_another_user(daemons: Daemons) -> None:
    """Even where folder and socket were opened to all, by hand."""
    address = daemons.run("start", "--engine", "scripted").strip().splitlines()[-1].removeprefix("unix:")
    path = Path(address)
    modes = {place: stat.S_IMODE(place.stat().st_mode) for place in (path, *path.parents) if place.owner() == "root"}
    closed = run(sys.executable, "-c", ASK.format(uid=NOBODY), address)
    assert "PermissionError" in closed.stderr, "the folder is closed"
    try:
        for place in (path, *[each for each in path.parents if each.is_relative_to(daemons.home)]):
            place.chmod(0o777)
        assert run(sys.executable, "-c", ASK.format(uid=NOBODY), address).stdout == "b''\n"
        assert run(sys.executable, "-c", ASK.format(uid=os.getuid()), address).stdout == "b'HTTP/1.1 200'\n"
    finally:
        for place, mode in modes.items():
            place.chmod(mode)
    assert [each["state"] for each in json.loads(daemons.run("status", "--json"))].count("ready") >= 1
