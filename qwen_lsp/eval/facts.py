"""What the other package says of a model: where its file lies, and when it came out. Runs it, never imports it."""

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from qwen_lsp.settings import Settings

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Facts:
    """engine: which "auto" is. gguf: None where it is not here.

    released: seconds since 1970; None: not known. source: who says so.
    """

    engine: str = "auto"
    gguf: Path | None = None
    released: int | None = None
    source: str = "nobody was asked"


async def facts(settings: Settings, model: str) -> Facts:
    """`model`: what the engine says that it has loaded; what a server calls its own tells when it came out."""
    command = [sys.executable, "-P", "-m", "inference", "about", "--json"]
    if settings.engine in ("mlx", "llama"):
        command += ["--engine", settings.engine]
    if (name := model if settings.engine == "openai" else settings.model) is not None:
        command += ["--model", name]
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe)
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        found = json.loads(said)
        released = day(found["released"]) if found["released"] else None
        gguf = Path(found["gguf"]) if found["gguf"] else None
        return Facts(str(found["engine"]), gguf, released, str(found["source"]))
    except (OSError, ValueError, KeyError, TimeoutError):
        return Facts(source="the package that knows could not be asked")


def day(text: str) -> int:
    """The end of a day in UTC: what was written on it may have been seen. Raises ValueError."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) + 86_399
