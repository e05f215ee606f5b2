"""`python -m inference serve | start | status | stop`, and what is there for models: plan, setup, check.

`start` prints the daemon's address, `unix:PATH`, as its last line. Exit codes: 0 done, 1 it could not, 2 wrong usage.
What only `serve` needs is imported there: every editor window runs `start`.
"""

import argparse
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from inference import model_commands as models
from inference.backends.base import Backend, EngineSettings, ModelInfo
from inference.backends.replies import Told, read
from inference.backends.scripted import ScriptedBackend
from inference.hardware import machine
from inference.lifecycle import control, launch
from inference.lifecycle.home import Home, Refused, home
from inference.lifecycle.places import Identity, Places, build, places, records, version
from inference.models.catalogue import EMBEDDED, load_planned, resolve
from inference.models.checksum import checksum
from inference.power import power
from inference.runner import CHUNK
from inference.saved import SavedPrefixes
from inference.setup.options import add_options
from inference.thrift import Thrift

if TYPE_CHECKING:
    from inference.lifecycle.daemon import Tcp

SCRIPTED_TOKEN_S = 0.001  # a test that ends a job must find it running
SCRIPTED_CTX = 1 << 20  # its tokens are bytes: a prompt that others take has four times as many
SAVED_BYTES = 4 << 30  # on disk: a trunk of 32k tokens of the real model is 0.7 GiB
IDLE_EXIT_S = 600.0  # a window's reload must not reload the model
ENGINES = ("mlx", "llama", "scripted")  # the last one for tests


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace, Home], int] = options.run
    try:
        return run(options, home(os.environ))
    except Refused as problem:
        _say(str(problem))
        return 1
    except OSError as problem:
        _say(f"{problem.strerror}: {problem.filename}" if problem.filename else str(problem))
        return 1


def _serve(options: argparse.Namespace, folders: Home) -> int:
    from inference.lifecycle import egress
    from inference.lifecycle.daemon import serve
    from inference.scheduler import Scheduler
    from inference.server.service import About

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    egress.guard()
    os.umask(0o077)  # what it writes holds the user's text as token ids
    identity = models.identity_of(options)
    about = About(identity.model, identity.engine, os.getpid(), build(), version())
    scheduler = Scheduler(
        lambda: _backend(identity),
        saved=lambda info: _saved(identity, info, folders),
        spares=Thrift(power, time.monotonic),
    )
    code = serve(_places(folders, identity), identity, about, scheduler, options.idle_exit, _tcp(options))
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)  # the model's thread may be loading or computing, and nothing can interrupt it


def _tcp(options: argparse.Namespace) -> "Tcp | None":
    """The port asked for: on this machine, unless another address is named."""
    from inference.lifecycle.daemon import Tcp
    from inference.server.token import read_token

    if options.tcp is None:
        return None
    if options.token_file is None:
        raise Refused("--tcp needs --token-file FILE")
    host, _, port = options.tcp.rpartition(":")
    try:
        return Tcp(host.strip("[]") or "127.0.0.1", int(port), read_token(options.token_file))
    except ValueError as error:
        raise Refused(str(error)) from error


def _start(options: argparse.Namespace, folders: Home) -> int:
    identity = models.identity_of(options)
    arguments = ["--engine", identity.engine, "--model", identity.model, "--idle-exit", str(options.idle_exit)]
    if identity.n_ctx is not None:
        arguments += ["--ctx", str(identity.n_ctx)]
    print(launch.start(_places(folders, identity), arguments, options.timeout, _say))
    return 0


def _setup(options: argparse.Namespace, folders: Home) -> int:
    from inference.setup import command

    return command.main(options, folders.models)


def _status(options: argparse.Namespace, folders: Home) -> int:
    found = control.status(folders)
    if options.web:
        return _show(found)
    if options.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
        return 0
    for each in found:
        memory = "?" if each.memory_bytes is None else f"{each.memory_bytes / 2**20:.0f} MiB"
        evaluated, reused = ("?" if n is None else n for n in (each.tokens_evaluated, each.tokens_reused))
        print(f"pid {each.pid}  {each.engine}  {each.model}  {each.state}  {memory}  up {each.uptime_s:.0f} s")
        print(f"  {each.address}  tokens evaluated {evaluated}, reused {reused}")
        if each.memory is not None:
            print(f"  context {each.memory['n_ctx']} tokens; {each.memory['line']}")
    if not found:
        print("no daemon runs")
    return 0


def _show(found: Sequence[control.Status]) -> int:
    """Each daemon's page as a file of the user's own. No port is opened: a browser can not send a token by itself."""
    for each in found:
        path = control.save_page(each)
        print(f"pid {each.pid}  {'does not answer' if path is None else path.as_uri()}")
    if not found:
        print("no daemon runs")
    return 0


def _stop(options: argparse.Namespace, folders: Home) -> int:
    mine = build()
    wanted = [
        record
        for _, record in records(folders)
        if options.all
        or (
            record.build == mine
            and options.engine in (None, record.engine)
            and (options.model is None or models.model_of(options.model) == record.model)
        )
    ]
    stopped = control.stop(folders, wanted)
    for record in stopped:
        print(f"stopped pid {record.pid}, {record.engine}, {record.model}")
    if not stopped:
        n_others = len(control.status(folders))  # of code that has changed since, too
        print(f"no such daemon runs; {n_others} other: stop --all" if n_others else "no daemon runs")
    return 0


def _backend(identity: Identity) -> Backend:
    """The model in memory; runs on the thread that will own it."""
    if identity.engine == "scripted":
        return _scripted(identity)
    files = resolve(identity.model, identity.engine)
    return load_planned(files, identity.n_ctx, EngineSettings(chunk=CHUNK), machine())


def _saved(identity: Identity, info: ModelInfo, folders: Home) -> SavedPrefixes | None:
    """What earlier daemons left of these very weights in this very format."""
    if identity.engine == "scripted":
        return None
    weights = checksum(resolve(identity.model, identity.engine).path)
    return SavedPrefixes(folders.cache / "prefixes", f"{weights} {info.state_format}", SAVED_BYTES)


def _scripted(identity: Identity) -> Backend:
    """The test engine: what a named .json file tells it to say, else the alphabet."""
    if not identity.model.endswith(".json"):
        return ScriptedBackend(_alphabet, _settings(identity.n_ctx))
    path = Path(identity.model)
    read(path)  # what is no file of answers is said at once
    return ScriptedBackend(Told(path), _settings(identity.n_ctx or SCRIPTED_CTX))


def _alphabet(tokens: tuple[int, ...]) -> int:
    """What the test engine says: the alphabet, over and over, no faster than a small model would."""
    time.sleep(SCRIPTED_TOKEN_S)
    return ord("a") + len(tokens) % 26


def _settings(n_ctx: int | None) -> EngineSettings:
    """The test engine takes no memory: the defaults, or a context of the user's, with room for two such."""
    settings = EngineSettings()
    return settings if n_ctx is None else replace(settings, n_ctx=n_ctx, n_cells=max(settings.n_cells, 2 * n_ctx))


def _places(folders: Home, identity: Identity) -> Places:
    return places(folders, identity, build(), os.getuid())


def _say(line: str) -> None:
    print(f"inference: {line}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace, Home], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    def which(added: argparse.ArgumentParser) -> None:
        added.add_argument("--engine", choices=ENGINES, metavar="{mlx,llama}", help="default: by platform")
        added.add_argument("--model", metavar="NAME|PATH", help=f"default: {EMBEDDED}")

    def how(added: argparse.ArgumentParser) -> None:
        which(added)
        added.add_argument("--ctx", type=_positive_int, metavar="N", help="context in tokens")
        added.add_argument("--idle-exit", type=_positive, default=IDLE_EXIT_S, metavar="SECONDS")

    serving = command("serve", _serve, "be the daemon, in the foreground")
    how(serving)
    serving.add_argument("--tcp", metavar="[HOST:]PORT", help="listen there, too; this machine unless HOST is given")
    serving.add_argument("--token-file", type=Path, metavar="FILE", help="what clients over TCP must send, mode 0600")
    starting = command("start", _start, "find the daemon or start it; print its address")
    how(starting)
    starting.add_argument("--timeout", type=_positive, default=launch.START_TIMEOUT_S, metavar="SECONDS")
    status = command("status", _status, "what runs")
    status.add_argument("--json", action="store_true")
    status.add_argument("--web", action="store_true", help="write each daemon's page to a private file; print where")
    command("hardware", models.hardware, "what this machine has").add_argument("--json", action="store_true")
    about = command("about", models.about, "where a model lies, and when it came out")
    about.add_argument("--engine", choices=("mlx", "llama"), help="default: by platform")
    about.add_argument("--model", metavar="NAME|PATH", help=f"default: {EMBEDDED}")
    about.add_argument("--json", action="store_true")
    plan = command("plan", models.plan, "which model of the catalogue suits this machine, and why")
    plan.add_argument("--model", metavar="MODEL[/VARIANT]", help="this one, if it fits")
    plan.add_argument("--engine", choices=("mlx", "llama"))
    plan.add_argument("--ctx", type=int, metavar="TOKENS", help="a context that must fit")
    plan.add_argument("--machine", type=Path, metavar="FILE", help="another machine's `hardware --json`")
    plan.add_argument("--json", action="store_true")
    add_options(command("setup", _setup, "fetch a model that suits this machine; `qwen-lsp setup` also sets it"))
    checking = command("check", models.check, "whether a model's files are whole, make sense and fit this machine")
    which(checking)
    checking.add_argument("--ctx", type=_positive_int, metavar="N", help="context in tokens")
    checking.add_argument("--sums", action="store_true", help="read every byte for its checksum")
    stopping = command("stop", _stop, "end the daemons of this build")
    which(stopping)
    stopping.add_argument("--all", action="store_true", help="those of other builds, too")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError("must be a positive number")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be a positive integer")
    return value


if __name__ == "__main__":
    sys.exit(main())
