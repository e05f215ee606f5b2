"""The guard, in processes of their own: it can not be taken off again."""

import subprocess
import sys

import pytest

CHILD = """
import socket, sys
from contextlib import closing
from {module} import guard
guard()
{more}
def tried(family, *address):
    with closing(socket.socket(family)) as s:
        s.settimeout(2)
        try:
            s.connect(address[0] if len(address) == 1 else address)
            return "connected"
        except OSError as error:
            return type(error).__name__
def looked_up(name):
    try:
        socket.getaddrinfo(name, 80)
        return "found"
    except OSError as error:
        return type(error).__name__
with closing(socket.socket()) as listener:
    listener.bind(("127.0.0.1", 0)); listener.listen()
    print(tried(socket.AF_INET, *listener.getsockname()), tried(socket.AF_INET, "192.0.2.1", 443))
    print(looked_up("secret.evil.example"), looked_up("127.0.0.1"), looked_up("localhost"))
    print(tried(socket.AF_UNIX, "/nowhere"))
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
        try:
            s.sendto(b"x", ("192.0.2.1", 53))
        except OSError as error:
            print(type(error).__name__)
"""


def run(module: str, more: str = "") -> tuple[list[str], str]:
    code = CHILD.format(module=module, more=more)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("module", "figures"), [("qwen_lsp.engine.egress", "found"), ("inference.lifecycle.egress", "Egress")]
)
def test_nobody_can_be_reached_and_no_name_is_told(module: str, figures: str) -> None:
    lines, said = run(module)
    assert lines == ["Egress Egress", f"Egress {figures} Egress", "FileNotFoundError", "Egress"]
    assert "egress refused: a connection to 192.0.2.1" in said


def test_setup_reaches_the_hub_that_it_has_named_and_nothing_else() -> None:
    more = "from inference.lifecycle.egress import allow; allow('LOCALHOST'); socket.getaddrinfo('localhost', 80)"
    lines, said = run("inference.lifecycle.egress", more)
    assert lines == ["connected Egress", "Egress Egress found", "FileNotFoundError", "Egress"]
    assert "192.0.2.1" in said and "evil" not in said


def test_the_named_server_alone_can_be_reached() -> None:
    lines, _ = run("qwen_lsp.engine.egress", "from qwen_lsp.engine.egress import name; name('127.0.0.1')")
    assert lines == ["connected Egress", "Egress found Egress", "FileNotFoundError", "Egress"]
    again = "from qwen_lsp.engine.egress import name; name('127.0.0.1'); name('localhost'); name(None)"
    assert run("qwen_lsp.engine.egress", again)[0][0] == "Egress Egress", "what was named before is so no more"


def test_a_server_is_reached_by_what_its_name_stands_for() -> None:
    more = "from qwen_lsp.engine.egress import name; name('localhost'); socket.getaddrinfo('localhost', 80)"
    assert run("qwen_lsp.engine.egress", more)[0][:2] == ["connected Egress", "Egress found found"]
