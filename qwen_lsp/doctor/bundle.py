"""What a bug report needs, in one file, without a line of anybody's source, a name of a file, a key or a server.

Everything in it is named here: versions, the checks, the machine, the settings, what runs, counts, the ends of the
daemons' logs. It is shown before it is written. Paths, addresses and names of this user and machine are put out of
every text, credentials are stars, and what a window says of its files is left out altogether.
"""

import getpass
import json
import os
import platform
import re
import socket
import sys
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from qwen_lsp import __version__, windows
from qwen_lsp.doctor.chain import Outcome
from qwen_lsp.doctor.links import Failed, inference, machine
from qwen_lsp.settings import parse, user_file
from qwen_lsp.stats import read, stats_file
from qwen_lsp.text.secrets import masked

RECORD = "fetched.json"  # what setup leaves beside a model
LOG_LINES = 200  # of each daemon
LOG_BYTES = 1 << 16
LOGS = 4  # the newest
PACKAGES = (
    *("pygls", "lsprotocol", "aiohttp", "httpx", "tree-sitter"),
    *("uvicorn", "starlette", "tokenizers", "llguidance", "numpy"),
    *("cyllama", "cyllama-cuda12", "cyllama-vulkan", "cyllama-rocm", "mlx", "mlx-lm", "huggingface-hub"),
)
_WINDOW_KEYS = ("state", "paused")  # roots and reasons name files
_SHORTEST_NAME = 3  # a user called "a" can not be put out of a text
_BODY = r"""(?:[^\s"'<>:,;()|]|<\w+>)*"""  # of a path, in which names were put out already
_PLACE = re.compile(
    rf"""(?:[a-z][a-z0-9+.-]*:)?//(?:[^\s"'<>]|<\w+>)+   # an address of any kind
    | (?<![\w.])[a-z]:\\{_BODY}                         # a path of Windows
    | \bunix:(?:<ours>)?{_BODY}
    | (?:<home>|<root>){_BODY}
    | (?<![\w<>.])~?/{_BODY}                             # anybody's""",
    re.VERBOSE | re.IGNORECASE,
)


def entries(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """The names and texts of all that is in it."""
    found: dict[str, object] = {
        "about.json": _about(),
        "checks.json": [_check(outcome) for outcome in outcomes],
        "machine.json": machine(),
        "settings.json": _settings(),
        "daemons.json": _daemons(),
        "windows.json": [
            {key: state.get(key) for key in _WINDOW_KEYS} for state in windows.read(windows.windows_folder())
        ],
        "counts.json": read(stats_file()).summary(),
    }
    texts = {name: json.dumps(_cleaned(value), indent=1, default=str) + "\n" for name, value in found.items()}
    for i, path in enumerate(_logs()):
        texts[f"daemon-{i + 1}.log"] = "".join(f"{clean(line)}\n" for line in _tail(path))
    return texts


def _check(outcome: Outcome) -> dict[str, Any]:
    """What is said of the user's own file names rules of the repository."""
    return {"name": outcome.name, "ok": outcome.ok} if outcome.name == "file" else outcome.as_json()


def shown(texts: Mapping[str, str]) -> str:
    """All of it, for the person who is asked whether it may be written."""
    return "\n".join(f"--- {name}\n{text.rstrip()}" for name, text in texts.items())


def write(file: Path, texts: Mapping[str, str]) -> None:
    """A zip for its owner only. Raises OSError; a file that is there already is one."""
    out = os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    with out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, text in texts.items():
            bundle.writestr(name, text)


def clean(text: str) -> str:
    """A text without places, names and credentials."""
    return _PLACE.sub("<place>", _without_names(masked(text)))


def _cleaned(value: object) -> object:
    """All texts in a value of JSON's kinds, keys too."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(key)): _cleaned(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(each) for each in value]
    return value


def _without_names(text: str) -> str:
    for name, stands_for in _names():
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", stands_for, text, flags=re.IGNORECASE)
    return text


def _names() -> list[tuple[str, str]]:
    """What tells who and where: the longest first, since one may lie in another."""
    found = {str(Path.home()): "<home>", socket.gethostname(): "<host>"}
    found |= {str(folder): "<ours>" for folder in _own_folders()}
    for window in windows.read(windows.windows_folder()):
        found |= {str(root): "<root>" for root in window.get("roots") or ()}
    model = parse(user=user_file())[0].model
    if model is not None and os.sep in model and not _is_ours(Path(model)):
        found |= {model: "<model>", Path(model).name: "<model>", Path(model).stem: "<model>"}
    with suppress(OSError, KeyError):
        found[getpass.getuser()] = "<user>"
    found.pop("root", None)  # the same everywhere, and a word of its own
    usable = [(name, stands_for) for name, stands_for in found.items() if len(name) >= _SHORTEST_NAME]
    return sorted(usable, key=lambda each: -len(each[0]))


def _own_folders() -> list[Path]:
    """What is in them has names that we gave."""
    home = os.environ.get("QWEN_LSP_HOME")
    if home:
        return [Path(home).expanduser(), Path(home).expanduser().resolve()]
    dirs = platformdirs.PlatformDirs("qwen-lsp", appauthor=False)
    return [dirs.user_config_path, dirs.user_cache_path, dirs.user_state_path, dirs.user_data_path, dirs.user_log_path]


def _is_ours(model: Path) -> bool:
    """Whether `setup` has put it there: its name says what it is and nothing of the user."""
    return (model / RECORD).is_file() or (model.parent / RECORD).is_file()


def _about() -> dict[str, Any]:
    versions = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"qwen-lsp": __version__, "python": python, "system": platform.platform(), "packages": versions}


def _settings() -> dict[str, Any]:
    """What is set, not what it names: of a model its last name, of a server only that there is one."""
    settings, problems = parse(user=user_file())
    found = asdict(settings)
    if settings.model is not None:
        found["model"] = _model(settings.model)
    for name in ("remote_url", "remote_model", "remote_key"):
        found[name] = None if found[name] is None else "<set>"
    found["refactor_checks"] = len(settings.refactor_checks)
    return {**found, "problems": list(problems)}


def _daemons() -> object:
    try:
        found = json.loads(inference("status", "--json"))
    except (Failed, OSError, ValueError) as error:
        return str(error)
    for each in found:
        each["model"] = _model(each["model"])
    return found


def _model(name: str) -> str:
    path = Path(name)
    if os.sep not in name:
        return name
    if _is_ours(path):
        return path.name if path.is_dir() else f"{path.parent.name}, {path.name}"
    return f"<a path>{path.suffix}"


def _logs() -> list[Path]:
    """The newest of the daemons' logs, which hold ids, counts and milliseconds."""
    home = os.environ.get("QWEN_LSP_HOME")
    folder = Path(home).expanduser() / "log" if home else platformdirs.user_log_path("qwen-lsp", appauthor=False)
    found = []
    for path in folder.glob("*.log"):
        with suppress(OSError):
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)[:LOGS]]


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            text = file.read(LOG_BYTES).decode("utf-8", "replace")
    except OSError as error:
        return [f"it can not be read: {error.strerror}"]
    return text.split("\n")[-LOG_LINES:]


def make(file: Path, outcomes: Iterable[Outcome], yes: bool) -> int:
    """Show it, ask, write it. 0 done, 1 it could not or may not."""
    texts = entries(outcomes)
    print(shown(texts))
    if not yes:
        if not sys.stdin.isatty():
            print("qwen-lsp: nobody is there to say yes: --yes does", file=sys.stderr)
            return 1
        print(f"--- write this to {file}? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 1
    try:
        write(file, texts)
    except OSError as error:
        print(f"qwen-lsp: {file}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"--- written to {file}; nothing was sent", file=sys.stderr)
    return 0
