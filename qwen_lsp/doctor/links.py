"""What is looked at, one function each: it says what it found, or raises Failed.

Never imports an engine: whether its package is there is looked up, and whether it works is asked of the other package.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs

from qwen_lsp import windows
from qwen_lsp.engine.client import Engine, engine_for
from qwen_lsp.features.complete import complete
from qwen_lsp.features.fill import Nothing
from qwen_lsp.features.trial import tried
from qwen_lsp.index.database import SUFFIX, connected, index_folder, is_damage
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.repository import repository_top
from qwen_lsp.index.scan import why
from qwen_lsp.settings import Settings, parse, user_file
from qwen_lsp.stats import stats_file
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot

LEAST_PYTHON = (3, 12)
PACKAGES = ("pygls", "lsprotocol", "aiohttp", "httpx", "platformdirs", "tree_sitter", "inference")
ENGINES = ("mlx_lm", "cyllama")
SAMPLE = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return "
MAX_FILE_BYTES = 1_000_000
MACHINE_S = 30.0  # an engine is imported and its GPUs are asked
CHECK_S = 120.0  # and the headers of a large model are read from a slow disk
INDEX_S = 5.0  # for each database
LEAST_FREE_BYTES = 100 << 20  # the index of one repository may take as much


class Failed(Exception):
    """A check found something wrong; the message says what."""


def engine_fix() -> str:
    if _user_settings().engine == "openai":
        return "start that server, or look at remote.url, remote.model and remote.key in " + str(user_file())
    return "run `python -m inference start` and read what it says"


def python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < LEAST_PYTHON:
        raise Failed(f"{version} is too old")
    return f"{version} at {sys.executable}"


def packages() -> str:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise Failed("missing: " + ", ".join(missing))
    return f"{len(PACKAGES)} found"


def engine_packages() -> str:
    found = [name for name in ENGINES if find_spec(name) is not None]
    if not found:
        raise Failed("none of " + ", ".join(ENGINES))
    return ", ".join(found)


def settings_file() -> str:
    settings, problems = parse(user=user_file())
    if problems:
        raise Failed("; ".join(problems))
    return f"engine {settings.engine}, model {settings.model or 'default'}"


def folder() -> str:
    home = os.environ.get("QWEN_LSP_HOME")
    folder = Path(home) if home else platformdirs.user_cache_path("qwen-lsp", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder):
        free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise Failed(f"{folder} has {free / 2**20:.0f} MiB free")
    return f"{folder} is writable, {free / 2**30:.1f} GiB free"


def counts_here(file: Path) -> str:
    """Whether prompts and the index may hold the file, and where it is said if they may not."""
    root = repository_top(file.absolute().parent) or file.absolute().parent
    found = why(root, file.absolute())
    if found is not None:
        raise Failed(f"{found.reason} ({found.rule})")
    return f"counts in {root}"


def embedded_model() -> str:
    spec = find_spec("inference")
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    files = [path for place in places for path in sorted(Path(place, "models", "embedded").glob("*")) if path.is_file()]
    weights = [path for path in files if path.suffix in (".safetensors", ".gguf")]
    if {path.suffix for path in weights} != {".safetensors", ".gguf"}:
        raise Failed("its weights are not in the package")
    return ", ".join(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in weights)


def model_files() -> str:
    """What the settings name: whole, understood by its engine, which is imported for it, and not too large."""
    settings = _user_settings()
    if settings.engine in ("openai", "scripted"):
        return "the server's" if settings.engine == "openai" else "none: answers are scripted"
    wished = {"--engine": settings.engine if settings.engine != "auto" else None, "--model": settings.model}
    asked = {**wished, "--ctx": settings.ctx}.items()
    return inference("check", *(part for name, value in asked if value is not None for part in (name, str(value))))


def inference(*arguments: str, timeout_s: float = CHECK_S) -> str:
    """What a command of the other package says, which is run and never imported. Raises Failed with its reason."""
    command = [sys.executable, "-P", "-m", "inference", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"python -m inference {arguments[0]} took longer than {timeout_s:g} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
        raise Failed(last.removeprefix("inference: "))
    return done.stdout.strip()


def daemons() -> str:
    """Those that run; one that does not answer or could not load says why. A dead one's socket is nobody's trouble."""
    found = json.loads(inference("status", "--json"))
    bad = [each for each in found if each["state"] not in ("ready", "loading")]
    if bad:
        raise Failed(f"pid {bad[0]['pid']} is {bad[0]['state']} {bad[0]['reason']}".strip())
    return ", ".join(f"pid {each['pid']} ({each['engine']}, {each['state']})" for each in found) or "none runs yet"


def index_databases() -> str:
    """Each repository's database. Those that an editor opens are made anew by themselves; this one says so before."""
    found = sorted(index_folder().glob(f"*/*{SUFFIX}"))
    for path in found:
        try:
            with closing(connected(path, read_only=True)) as db:
                db.set_progress_handler(partial(_is_over, time.monotonic() + INDEX_S), 10_000)
                said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise Failed(f"{path} is damaged: {error}") from error
            continue  # large, or in use: as far as it was read, it is whole
        except sqlite3.DatabaseError as error:
            raise Failed(f"{path} is damaged: {error}") from error
        if said != "ok":
            raise Failed(f"{path} is damaged")
    n_bytes = sum(path.stat().st_size for path in found)
    return f"{len(found)} repositories, {n_bytes / 2**20:.1f} MiB" if found else "nothing is indexed yet"


def _is_over(deadline: float) -> bool:
    return time.monotonic() > deadline


def machine_here() -> str:
    found = machine()
    if found is None:
        raise Failed("the engine's package could not look at this machine")
    gpu, power = found["gpu"], found["power"]["source"]
    name = f"{gpu['name']}, {gpu['free_bytes'] / 2**30:.1f} GiB to use" if gpu else "none"
    return f"{found['n_cores']} cores, {found['total_bytes'] / 2**30:.1f} GiB of memory, GPU: {name}, power: {power}"


def machine() -> dict[str, Any] | None:
    """The report of `python -m inference hardware`; None where it fails."""
    try:
        found = json.loads(inference("hardware", "--json", timeout_s=MACHINE_S))
    except (Failed, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def open_windows() -> str:
    """Which editors are there now; a window that closed leaves nothing behind."""
    found = windows.read(windows.windows_folder())
    states = ", ".join(f"{each.get('pid')} ({each.get('state')})" for each in found)
    try:
        last = datetime.fromtimestamp(stats_file().stat().st_mtime).astimezone().strftime("%Y-%m-%d %H:%M")
    except OSError:
        last = "never"
    return states or f"no editor's window is open; the last that counted something was here: {last}"


def engine() -> str:
    return asyncio.run(_start())


async def _start() -> str:
    async with _engine(_user_settings()) as engine:
        await engine.start()
        return f"{engine.state.model} answers"


def layout() -> str:
    return asyncio.run(_try())


async def _try() -> str:
    settings = _user_settings()
    if settings.engine == "openai":
        return "the server was asked what it can do"
    async with _engine(settings) as engine:
        found = await tried(engine, settings.completion_layout)
    if found.problem:
        raise Failed(found.problem)
    return f'the model fills a hole in the layout "{found.layout}"'


def completion(file: Path | None) -> str:
    return asyncio.run(_complete(file))


async def _complete(file: Path | None) -> str:
    settings = _user_settings()
    async with _engine(settings) as engine:
        name, text = _subject(file)
        language = language_of(name, text.partition("\n")[0])
        document = opened(name, language.name if language is not None else "plaintext", 1, text)
        snapshot = Snapshot({name: document}, (name,), (), settings)
        found = await complete(snapshot, Cursor(document, len(document.text)), engine)
    shown = f"no suggestion ({found.reason})" if isinstance(found, Nothing) else f"{len(found.text)} characters"
    usage = found.usage
    if usage is None:
        raise Failed(shown)
    tokens = f"{usage.prompt_tokens} tokens of prompt, {usage.completion_tokens} of answer"
    return f"{shown}; {tokens}, {usage.engine_ms:.0f} ms"


def _subject(file: Path | None) -> tuple[str, str]:
    if file is None:
        return "file:///doctor.py", SAMPLE
    counts_here(file)  # what prompts leave out is not asked about either
    data = file.read_bytes()[:MAX_FILE_BYTES]
    return file.absolute().as_uri(), data.decode(errors="replace")


@asynccontextmanager
async def _engine(settings: Settings) -> AsyncIterator[Engine]:
    engine = engine_for(settings)
    try:
        yield engine
    finally:
        await engine.close()


def _user_settings() -> Settings:
    return parse(user=user_file())[0]
