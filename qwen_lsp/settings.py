"""What the user and a repository may set: parsed here once, frozen, passed in everywhere else.

Four sources, each laid over the one before: the user's `qwen-lsp.toml`, the workspace's `qwen-lsp.toml`, the
editor's `initializationOptions`, the editor's configuration section `qwen`. A wrong value is a problem for the
user to read, never an exception. Keys are the same in all four, nested or dotted, `snake_case` or `camelCase`.
Nothing here knows an editor or an engine.
"""

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import platformdirs

EngineChoice = Literal["auto", "mlx", "llama", "scripted", "openai"]
Layout = Literal["joint", "suffix-first", "prefix-first", "chat", "search-replace"]  # how a prompt is laid out
LogLevel = Literal["debug", "info", "warning", "error"]

FILE_NAME = "qwen-lsp.toml"
PROPOSED = "refactor.checks"  # the one key that a repository may only propose
LOOPBACK = ("localhost", "127.0.0.1", "::1")
FILE_LIMIT_BYTES = 64 * 1024  # a settings file is written by hand; anything larger is not one


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings with their defaults."""

    engine: EngineChoice = "auto"
    model: str | None = None  # a catalogue name or a path; None: the engine's default
    ctx: int | None = None  # tokens; None: what the memory allows
    idle_exit_s: int = 600  # a reload of the editor must not reload the model
    remote_url: str | None = None  # with engine "openai": the server
    remote_model: str | None = None  # None: the first that it offers
    remote_key: str | None = None  # where its key is, never the key: "env:NAME", or an entry of the keyring
    remote_timeout_s: int = 60  # until the first piece, and between two
    completion_enabled: bool = True
    completion_max_tokens: int = 64
    completion_debounce_ms: int = 25  # below the pause between two keys of a fast typist
    completion_context_tokens: int = 1024  # of other files; small: most people start on a processor
    completion_comments: bool = True  # suggest in comments, too
    completion_strings: bool = True
    completion_layout: Layout = "joint"
    completion_prefetch: bool = True  # make the next suggestion while one is read
    index_enabled: bool = True
    refactor_checks: tuple[str, ...] = ()  # commands; none: what the repository proposes, where it is trusted
    refactor_rounds: int = 2  # how often new findings go back to the model
    log_level: LogLevel = "warning"

    def same_engine(self, other: "Settings") -> bool:
        """Whether both ask for the same engine, so that a running one can stay."""
        return all(getattr(self, key) == getattr(other, key) for key in _ENGINE_FIELDS)


_ENGINE_FIELDS = (
    *("engine", "model", "ctx", "idle_exit_s"),
    *("remote_url", "remote_model", "remote_key", "remote_timeout_s"),
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the field that it sets, what it takes, and whether a repository may set it."""

    field: str
    takes: str  # for a person
    accepts: Callable[[Any], bool]
    repository: bool = False


def _number(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in choices


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096 and value.isprintable()


def _commands(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) <= 32 and all(_text(each) for each in value)


def _address(value: Any) -> bool:
    """A server. Plain HTTP is for this machine only, and no address holds a password."""
    if not _text(value):
        return False
    try:
        parts = urlsplit(value)
        is_here = parts.hostname in LOOPBACK
        parts.port  # noqa: B018  (raises where it is no number)
    except ValueError:
        return False
    is_plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
    return bool(parts.hostname) and is_plain and (parts.scheme == "https" or (parts.scheme == "http" and is_here))


def _key_place(value: Any) -> bool:
    """A name, short enough that it can not be the key itself."""
    return isinstance(value, str) and re.fullmatch(r"(?:env:)?[A-Za-z][A-Za-z0-9_.@-]{0,31}", value) is not None


def _switch(value: Any) -> bool:
    return isinstance(value, bool)


_ENGINES: tuple[str, ...] = get_args(EngineChoice)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
_LEVELS: tuple[str, ...] = get_args(LogLevel)

KEYS: Mapping[str, Key] = {
    "engine": Key("engine", "one of " + ", ".join(_ENGINES), _one_of(_ENGINES)),
    "model": Key("model", "a name or a path", _text),
    "ctx": Key("ctx", "a number of tokens from 512 to 1048576", _number(512, 1_048_576)),
    "idle_exit_s": Key("idle_exit_s", "seconds from 0 to 604800", _number(0, 604_800)),
    "remote.url": Key("remote_url", "an address https://HOST or, on this machine, http://localhost:PORT", _address),
    "remote.model": Key("remote_model", "the server's name of a model", _text),
    "remote.key": Key("remote_key", "env:NAME or the name of an entry of the keyring, not the key", _key_place),
    "remote.timeout_s": Key("remote_timeout_s", "seconds from 1 to 3600", _number(1, 3600)),
    "completion.enabled": Key("completion_enabled", "true or false", _switch, repository=True),
    "completion.max_tokens": Key(
        "completion_max_tokens", "a number of tokens from 1 to 1024", _number(1, 1024), repository=True
    ),
    "completion.debounce_ms": Key(
        "completion_debounce_ms", "milliseconds from 0 to 5000", _number(0, 5000), repository=True
    ),
    "completion.context_tokens": Key(
        "completion_context_tokens", "a number of tokens from 0 to 1000000", _number(0, 1_000_000), repository=True
    ),
    "completion.comments": Key("completion_comments", "true or false", _switch, repository=True),
    "completion.strings": Key("completion_strings", "true or false", _switch, repository=True),
    "completion.layout": Key("completion_layout", "one of " + ", ".join(LAYOUTS), _one_of(LAYOUTS), repository=True),
    "completion.prefetch": Key("completion_prefetch", "true or false", _switch, repository=True),
    "index.enabled": Key("index_enabled", "true or false", _switch, repository=True),
    # A repository's are proposals: `verify/choose.py` reads them, and the user's come first.
    "refactor.checks": Key("refactor_checks", "a list of commands", _commands),
    "refactor.rounds": Key("refactor_rounds", "a number of rounds from 0 to 5", _number(0, 5)),
    "log.level": Key("log_level", "one of " + ", ".join(_LEVELS), _one_of(_LEVELS)),
}


def overlay(base: Settings, options: object, origin: str, *, repository: bool = False) -> tuple[Settings, list[str]]:
    """`base` with `options` laid over it, and what was wrong with them. `origin` names the source to the user."""
    if options is None:
        return base, []
    if not isinstance(options, Mapping):
        return base, [f"{origin}: expected a table of settings"]
    problems: list[str] = []
    fields: dict[str, Any] = {}
    for name, value in _flat(options):
        key = KEYS.get(name)
        if key is None:
            problems.append(f"{origin}: unknown setting {_shown(name)}")
        elif repository and name == PROPOSED:
            continue  # `proposed_checks` has it
        elif repository and not key.repository:
            problems.append(f"{origin}: a repository may not set {name}")
        elif value is None:  # editors send null for "not set"
            continue
        elif not key.accepts(value):
            problems.append(f"{origin}: {name} takes {key.takes}")
        else:
            fields[key.field] = tuple(value) if isinstance(value, list) else value
    return replace(base, **fields), problems


def parse(
    client: Sequence[object] = (), files: Sequence[Path] = (), user: Path | None = None
) -> tuple[Settings, tuple[str, ...]]:
    """The settings from the user's file, the workspaces' files and the client's options; the last one wins.

    `files` are the workspaces' settings files, the most important first.
    """
    settings = Settings()
    problems: list[str] = []
    layers: list[tuple[object, str, bool]] = []
    for path, repository in [(user, False), *((path, True) for path in reversed(files))]:
        if path is None:
            continue
        table, trouble = read(path)
        problems += [trouble] if trouble else []
        layers.append((table, str(path), repository))
    layers += [(section(options), "editor settings", False) for options in client]
    for options, origin, repository in layers:
        settings, found = overlay(settings, options, origin, repository=repository)
        problems += found
    return settings, tuple(dict.fromkeys(problems))


def of_window(
    roots: Sequence[Path], client: Sequence[object], folders: Mapping[Path, object], user: Path | None
) -> tuple[Settings, Mapping[Path, Settings], tuple[str, ...]]:
    """A window's settings; those in each of its roots, where there are several; and what is wrong with any.

    A root's file then counts in that root, and so does what the client says of it in `folders`. Both set no more than a
    repository may: there is one engine.
    """
    files = [root / FILE_NAME for root in roots]
    if len(roots) < 2:
        settings, told = parse(client, files, user)
        return settings, MappingProxyType({}), told
    window, problems = parse(client, (), user)
    found: dict[Path, Settings] = {}
    for root, file in zip(roots, files, strict=True):
        settings, told = parse((*client, folders.get(root)), (file,), user)
        own = {key.field: getattr(settings, key.field) for key in KEYS.values() if key.repository}
        found[root] = replace(window, **own)
        problems += told
    return window, MappingProxyType(found), tuple(dict.fromkeys(problems))


def proposed_checks(file: Path) -> tuple[str, ...]:
    """The commands that a repository's settings file proposes. They are no settings: only trust lets them run."""
    table, _ = read(file)
    value = dict(_flat(table)).get(PROPOSED)
    return tuple(value) if KEYS[PROPOSED].accepts(value) and isinstance(value, list) else ()


def section(options: object) -> object:
    """The part named `qwen` where there is one: some editors send it wrapped, some bare."""
    if isinstance(options, Mapping) and isinstance(options.get("qwen"), Mapping):
        return options["qwen"]
    return options


def read(path: Path) -> tuple[Mapping[str, Any], str | None]:
    """The table in a settings file and what is wrong with it. A file that is not there is an empty one."""
    try:
        with path.open("rb") as file:
            octets = file.read(FILE_LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}, None
    except OSError as error:
        return {}, f"{path}: can not be read ({error.strerror})"
    if len(octets) > FILE_LIMIT_BYTES:
        return {}, f"{path}: larger than {FILE_LIMIT_BYTES} bytes, not read"
    try:
        return tomllib.loads(octets.decode()), None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        # Only the place is told: the parser's message can quote the file.
        place = re.search(r"\(at [^)]*\)$", str(error))
        return {}, f"{path}: not valid TOML {place.group() if place else ''}".rstrip()


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the user's own settings are: in `QWEN_LSP_HOME`, else in the platform's configuration folder."""
    home = environ.get("QWEN_LSP_HOME")
    folder = Path(home) if home else platformdirs.user_config_path("qwen-lsp", appauthor=False)
    return folder / FILE_NAME


def _flat(options: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        path = above + re.sub(r"(?<=[a-z])([A-Z])", r"_\1", str(name)).lower()
        if isinstance(value, Mapping) and path not in KEYS and path.count(".") < 3:
            yield from _flat(value, path + ".")
        else:
            yield path, value


def _shown(name: str) -> str:
    return "".join(c for c in name[:60] if c.isprintable())
