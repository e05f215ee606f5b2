"""One command in the copy, from its start to its outcome. Cancelling kills it. Does not know what tools print."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from qwen_lsp.verify import sandbox, warden
from qwen_lsp.verify.output import Places, parse
from qwen_lsp.verify.sandbox import Guard
from qwen_lsp.verify.shadow import Shadow
from qwen_lsp.verify.verdict import Check, Limits, Outcome

TAIL_CHARACTERS = 4_000  # of output nothing was understood of: what fits in a prompt
SLACK_S = 15.0  # the warden ends by itself; beyond its own limits only a broken system makes it late


async def run(
    check: Check, shadow: Shadow, guard: Guard, limits: Limits, environ: Mapping[str, str] = os.environ
) -> Outcome:
    """Run the command where nothing but the copy can be written, as far as the system has the means."""
    sandbox.prepared(guard, shadow)
    own = sandbox.environment(guard, shadow, environ)
    folder = shadow.tree / check.folder
    if not folder.is_dir():
        return Outcome(check, "not started", detail=f"there is no folder {check.folder}")
    order = {
        "argv": sandbox.wrapped(guard, shadow, check.command, check.folder, own),
        "environ": own,
        "folder": str(folder),
        "written": str(shadow.scratch),
        "wall_s": limits.wall_s,
        "cpu_s": limits.cpu_s,
        "output_bytes": limits.output_bytes,
        "processes": limits.processes,
        "memory_bytes": limits.memory_bytes,
        "file_bytes": limits.file_bytes,
        "disk_bytes": limits.disk_bytes,
    }
    started = time.monotonic()
    output, status = await _watched(json.dumps(order).encode() + b"\n", limits)
    outcome = _outcome(check, status)
    text = output.decode("utf-8", "replace")
    places = Places(shadow.files, {str(sandbox.place(guard, shadow)), str(shadow.tree), str(shadow.root)}, check.folder)
    findings = await asyncio.to_thread(parse, text, places, check.title)
    return replace(outcome, wall_s=time.monotonic() - started, findings=findings, tail=text[-TAIL_CHARACTERS:])


async def _watched(order: bytes, limits: Limits) -> tuple[bytes, bytes]:
    """What the command printed, and what the warden says about it. The warden is gone when this returns."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(Path(warden.__file__))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
        start_new_session=True,  # a Ctrl-C in a shell is for us; we tell it
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    try:
        process.stdin.write(order)
        await process.stdin.drain()
        async with asyncio.timeout(limits.wall_s + SLACK_S):
            output, status = await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
        return output, status
    except (TimeoutError, ConnectionError):
        return b"", b""
    finally:
        process.stdin.close()  # it stops what it watches
        if process.returncode is None:
            await asyncio.shield(_ended(process))


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Let it kill its command; what does not end by itself is killed."""
    assert process.stdout is not None and process.stderr is not None
    with suppress(TimeoutError):
        async with asyncio.timeout(SLACK_S):
            await asyncio.gather(process.stdout.read(), process.stderr.read())
            await process.wait()
            return
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _outcome(check: Check, status: bytes) -> Outcome:
    try:
        told = json.loads(status.splitlines()[-1])
        detail = told["detail"]
        if told["left"]:
            detail = f"{detail}; {told['left']} processes could not be killed".removeprefix("; ")
        return Outcome(check, told["ended"], told["code"], detail=detail)
    except (ValueError, IndexError, KeyError, TypeError):
        return Outcome(check, "not started", detail="the program that watches it failed")
