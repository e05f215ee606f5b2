"""Ask `python -m inference start` for the address of the shared daemon.

Never imports `inference`: whatever it loads and breaks stays in another process. Does not speak HTTP.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

from qwen_lsp.errors import EngineMissing
from qwen_lsp.settings import Settings

# The command ends when the model is in memory. It has the shorter patience, so that its reason is heard and not ours.
LOAD_TIMEOUT_S = 900  # twenty gigabytes from a slow disk
START_TIMEOUT_S = LOAD_TIMEOUT_S + 30.0
STDERR_LINES = 20  # enough for a reason; a traceback's last lines
LINE_LIMIT_BYTES = 1 << 16

# Names the socket of a daemon that runs already. `qwen-lsp eval` sets it for the window that it replays typing in,
# whose QWEN_LSP_HOME is a folder of its own: the user's counts and index are not to hear of that.
DAEMON = "QWEN_LSP_DAEMON"

Progress = Callable[[str], None]


def start_command(settings: Settings, python: str = sys.executable) -> list[str]:
    """The command line; what the settings leave open is the daemon's choice."""
    # -P: the folder we run in may be a stranger's repository with a module of that name.
    command = [python, "-P", "-m", "inference", "start", "--idle-exit", str(max(settings.idle_exit_s, 1))]
    command += ["--timeout", str(LOAD_TIMEOUT_S)]
    if settings.engine != "auto":
        command += ["--engine", settings.engine]
    if settings.model is not None:
        command += ["--model", settings.model]
    if settings.ctx is not None:
        command += ["--ctx", str(settings.ctx)]
    return command


async def find_or_start(settings: Settings, progress: Progress = lambda line: None) -> str:
    """The path of the daemon's socket. Raises EngineMissing with the daemon's own reason."""
    return os.environ.get(DAEMON) or await run_start(start_command(settings), progress)


async def run_start(command: Sequence[str], progress: Progress = lambda line: None) -> str:
    """Run a start command to its end and read the address it prints last."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
        )
    except OSError as error:
        raise EngineMissing(f"the engine could not be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            said, complaints = await asyncio.gather(_lines(process.stdout), _lines(process.stderr, progress))
            code = await process.wait()
    except TimeoutError as error:
        raise EngineMissing(f"the engine did not start within {START_TIMEOUT_S:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        raise EngineMissing(complaints[-1] if complaints else f"the engine's start ended with exit code {code}")
    address = said[-1] if said else ""
    if not address.startswith("unix:/"):
        raise EngineMissing("the engine's start printed no address")
    return address.removeprefix("unix:")


async def _lines(stream: asyncio.StreamReader | None, each: Progress = lambda line: None) -> list[str]:
    """The last lines of `stream`, read to its end; an over-long line is passed over."""
    kept: list[str] = []
    while stream is not None:
        try:
            line = (await stream.readline()).decode(errors="replace")
        except ValueError:  # longer than the limit; asyncio has dropped it
            continue
        if not line:
            break
        if line.strip():
            each(line.strip())
            kept = [*kept[1 - STDERR_LINES :], line.strip()]
    return kept
