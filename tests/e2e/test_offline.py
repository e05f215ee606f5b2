"""The whole path where there is no network at all, and what the kernel counted of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNSHARE = shutil.which("unshare")


def has_namespaces() -> bool:
    if UNSHARE is None or sys.platform != "linux":
        return False
    return subprocess.run([UNSHARE, "-n", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="network namespaces need Linux and root")
def test_no_packet_is_needed_and_none_is_sent(tmp_path: Path) -> None:
    """Editor, language server, daemon and model in a namespace without an interface that is up."""
    story = f"{sys.executable} -m qwen_lsp demo --json; code=$?; {sys.executable} -m qwen_lsp stop >&2; exit $code"
    script = f"({story}); code=$?; cat /proc/net/snmp >{tmp_path}/snmp; exit $code"
    environment = os.environ | {"QWEN_LSP_HOME": str(tmp_path)}
    done = subprocess.run(
        [str(UNSHARE), "-n", "bash", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in (tmp_path / "snmp").read_text().splitlines()]
    counts = {
        f"{names[0]}{name}": int(count)
        for names, counts in zip(lines[::2], lines[1::2], strict=True)
        for name, count in zip(names[1:], counts[1:], strict=True)
    }
    sent = ("Tcp:ActiveOpens", "Tcp:PassiveOpens", "Tcp:AttemptFails", "Udp:OutDatagrams", "Ip:OutRequests")
    assert {name: counts[name] for name in sent} == dict.fromkeys(sent, 0)
