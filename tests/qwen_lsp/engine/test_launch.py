"""Starting the daemon: the command line, the address, the reasons why not. The commands here are not the daemon."""

import sys

import pytest

from qwen_lsp.engine import launch
from qwen_lsp.engine.launch import run_start, start_command
from qwen_lsp.errors import EngineMissing
from qwen_lsp.settings import Settings


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_only_what_is_set_is_passed_on() -> None:
    bare = ["py", "-P", "-m", "inference", "start", "--idle-exit", "600", "--timeout", "900"]
    assert start_command(Settings(), "py") == bare
    chosen = Settings(engine="llama", model="m.gguf", ctx=4096, idle_exit_s=0)
    assert start_command(chosen, "py") == [
        *["py", "-P", "-m", "inference", "start", "--idle-exit", "1", "--timeout", "900"],
        *["--engine", "llama", "--model", "m.gguf", "--ctx", "4096"],
    ]


async def test_the_last_line_is_the_address_and_complaints_are_progress() -> None:
    heard: list[str] = []
    code = "import sys; print('hello'); print('loading', file=sys.stderr); print('unix:/run/a b.sock')"
    assert await run_start(python(code), heard.append) == "/run/a b.sock"
    assert heard == ["loading"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('inference: no model fits')", "inference: no model fits"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('http://example')", "printed no address"),
        ("pass", "printed no address"),
    ],
)
async def test_a_failure_has_the_daemons_own_reason(code: str, reason: str) -> None:
    with pytest.raises(EngineMissing, match=reason):
        await run_start(python(code))


async def test_a_command_that_is_not_there() -> None:
    with pytest.raises(EngineMissing, match="could not be started"):
        await run_start(["/nowhere/python", "-m", "inference"])


async def test_a_start_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "START_TIMEOUT_S", 0.2)
    with pytest.raises(EngineMissing, match="did not start within"):
        await run_start(python("import time; time.sleep(60)"))


async def test_an_endless_line_does_no_harm() -> None:
    code = f"import sys; sys.stderr.write('x' * {3 * launch.LINE_LIMIT_BYTES}); print('unix:/s')"
    assert await run_start(python(code)) == "/s"
