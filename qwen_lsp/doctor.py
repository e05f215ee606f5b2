"""The whole chain, link by link, with a remedy for each that is broken.

The checks are rows of a table, run in order. Never imports an engine: whether its package is there is looked up, and
whether it works is asked of the daemon.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import platformdirs

from qwen_lsp import windows
from qwen_lsp.engine.client import engine_for
from qwen_lsp.errors import QwenError
from qwen_lsp.features.complete import complete
from qwen_lsp.features.fill import Nothing
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.repository import repository_top
from qwen_lsp.index.scan import why
from qwen_lsp.settings import Settings, parse, user_file
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot

LEAST_PYTHON = (3, 12)
PACKAGES = ("pygls", "lsprotocol", "httpx", "platformdirs", "tree_sitter", "inference")
ENGINES = ("mlx_lm", "cyllama")
SAMPLE = "def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return "
MAX_FILE_BYTES = 1_000_000
MACHINE_S = 30.0  # an engine is imported and its GPUs are asked


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: what was found and, where it failed, what to do."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def line(self) -> str:
        """For a person."""
        mark = "ok  " if self.ok else "FAIL"
        return f"{mark}  {self.name}: {self.detail}" + ("" if self.ok else f"\n      {self.fix}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Failed(Exception):
    """A check found something wrong; the message says what."""


@dataclass(frozen=True, slots=True)
class Check:
    """`run` says what it found or raises Failed."""

    name: str
    run: Callable[[], str]
    fix: str


def examine(file: Path | None) -> Iterator[Outcome]:
    """Run all checks; each answers, whatever happened to the one before."""
    for check in checks(file):
        try:
            yield Outcome(check.name, True, check.run())
        except (Failed, QwenError, OSError) as error:
            yield Outcome(check.name, False, str(error) or type(error).__name__, check.fix)


def checks(file: Path | None) -> tuple[Check, ...]:
    """The table."""
    install = "run scripts/install, or `pip install qwen-lsp` in a fresh environment"
    counts = "prompts and the index leave it out; change that rule if they should not"
    return (
        *(() if file is None else (Check("file", partial(_counts, file), counts),)),
        Check("python", _python, "install Python 3.12 or newer and run scripts/install again"),
        Check("packages", _packages, install),
        Check("engine packages", _engine_packages, "install `cyllama` (or `mlx-lm` on an Apple Silicon Mac)"),
        Check("settings", _settings, f"edit {user_file()}"),
        Check("folder", _folder, "make the folder writable, or set QWEN_LSP_HOME to one that is"),
        Check("embedded model", _embedded_model, install),
        Check("model", _model, "name a folder of safetensors or a .gguf file that is there, or remove `model`"),
        Check("machine", _machine, "run `python -m inference hardware` and read what it says"),
        Check("windows", _windows, "remove that folder: it holds nothing that is needed"),
        Check("engine", _engine, "run `python -m inference start` and read what it says"),
        Check("completion", partial(_completion, file), "run `qwen-lsp status`; `qwen-lsp stop` starts afresh"),
    )


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < LEAST_PYTHON:
        raise Failed(f"{version} is too old")
    return f"{version} at {sys.executable}"


def _packages() -> str:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise Failed("missing: " + ", ".join(missing))
    return f"{len(PACKAGES)} found"


def _engine_packages() -> str:
    found = [name for name in ENGINES if find_spec(name) is not None]
    if not found:
        raise Failed("none of " + ", ".join(ENGINES))
    return ", ".join(found)


def _settings() -> str:
    settings, problems = parse(user=user_file())
    if problems:
        raise Failed("; ".join(problems))
    return f"engine {settings.engine}, model {settings.model or 'default'}"


def _folder() -> str:
    home = os.environ.get("QWEN_LSP_HOME")
    folder = Path(home) if home else platformdirs.user_cache_path("qwen-lsp", appauthor=False)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=folder):
        return f"{folder} is writable"


def _counts(file: Path) -> str:
    """Whether prompts and the index may hold the file, and where it is said if they may not."""
    root = repository_top(file.absolute().parent) or file.absolute().parent
    found = why(root, file.absolute())
    if found is not None:
        raise Failed(f"{found.reason} ({found.rule})")
    return f"counts in {root}"


def _embedded_model() -> str:
    spec = find_spec("inference")
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    files = [path for place in places for path in sorted(Path(place, "models", "embedded").glob("*")) if path.is_file()]
    weights = [path for path in files if path.suffix in (".safetensors", ".gguf")]
    if {path.suffix for path in weights} != {".safetensors", ".gguf"}:
        raise Failed("its weights are not in the package")
    return ", ".join(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in weights)


def _model() -> str:
    """What the settings name. Names without a slash are the engine's own: it says itself what it does not know."""
    name = _user_settings().model
    if name is None or (os.sep not in name and not name.endswith(".gguf")):
        return name or "the engine's default"
    path = Path(name).expanduser()
    files = [path] if path.is_file() else [*path.glob("*.safetensors"), *path.glob("*.gguf")]
    if not files:
        raise Failed(f"{path} is not there" if not path.exists() else f"{path} holds no .safetensors and no .gguf")
    return f"{path}, {sum(each.stat().st_size for each in files) / 2**30:.1f} GiB"


def _machine() -> str:
    found = machine()
    if found is None:
        raise Failed("the engine's package could not look at this machine")
    gpu, power = found["gpu"], found["power"]["source"]
    name = f"{gpu['name']}, {gpu['free_bytes'] / 2**30:.1f} GiB to use" if gpu else "none"
    return f"{found['n_cores']} cores, {found['total_bytes'] / 2**30:.1f} GiB of memory, GPU: {name}, power: {power}"


def machine() -> dict[str, Any] | None:
    """The report of `python -m inference hardware`, another package's on purpose; None where it fails."""
    command = [sys.executable, "-P", "-m", "inference", "hardware", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MACHINE_S, check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found if isinstance(found, dict) else None


def _windows() -> str:
    """Which editors are there now; a window that closed leaves nothing behind."""
    found = windows.read(windows.windows_folder())
    states = ", ".join(f"{each.get('pid')} ({each.get('state')})" for each in found)
    return states or "no editor's window is open"


def _engine() -> str:
    return asyncio.run(_start())


async def _start() -> str:
    engine = engine_for(_user_settings())
    try:
        await engine.start()
        return f"{engine.state.model} answers"
    finally:
        await engine.close()


def _completion(file: Path | None) -> str:
    return asyncio.run(_complete(file))


async def _complete(file: Path | None) -> str:
    settings = _user_settings()
    engine = engine_for(settings)
    try:
        name, text = _subject(file)
        language = language_of(name, text.partition("\n")[0])
        document = opened(name, language.name if language is not None else "plaintext", 1, text)
        snapshot = Snapshot({name: document}, (name,), (), settings)
        found = await complete(snapshot, Cursor(document, len(document.text)), engine)
    finally:
        await engine.close()
    shown = f"no suggestion ({found.reason})" if isinstance(found, Nothing) else f"{len(found.text)} characters"
    usage = found.usage
    if usage is None:
        raise Failed(shown)
    tokens = f"{usage.prompt_tokens} tokens of prompt, {usage.completion_tokens} of answer"
    return f"{shown}; {tokens}, {usage.engine_ms:.0f} ms"


def _subject(file: Path | None) -> tuple[str, str]:
    if file is None:
        return "file:///doctor.py", SAMPLE
    _counts(file)  # what prompts leave out is not asked about either
    data = file.read_bytes()[:MAX_FILE_BYTES]
    return file.absolute().as_uri(), data.decode(errors="replace")


def _user_settings() -> Settings:
    return parse(user=user_file())[0]
