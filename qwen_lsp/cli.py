"""The command line. Bare, it serves an editor on stdio; the sub-commands are for people and scripts.

Exit codes: 0 done, 1 it could not, 2 wrong usage. Does not know what the parts do, only how to join them.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from qwen_lsp import __version__
from qwen_lsp.eval.options import add_options
from qwen_lsp.settings import EngineChoice
from qwen_lsp.setup.options import add_options as setup_options

DAEMON_COMMAND_TIMEOUT_S = 60.0  # status and stop only talk to a socket


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code = _run(options)
        if options.command is not None:  # else stdout was the editor's
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # `| head` has read enough; Python would say so once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "setup":
            from qwen_lsp.setup import command as setup

            return setup.main(options)
        case "demo":
            return _demo(options)
        case "doctor":
            return _doctor(options)
        case "index":
            from qwen_lsp import lookup

            return lookup.index(options)
        case "context":
            from qwen_lsp import lookup

            return lookup.context(options)
        case "status":
            return _status(options)
        case "stats":
            return _stats(options)
        case "eval":
            from qwen_lsp.eval import command

            return command.main(options)
        case "trust":
            from qwen_lsp import shell

            return shell.trust(options)
        case "refactor":
            from qwen_lsp import rework

            return rework.run(options)
        case "stop":
            return 0 if _daemon("stop", []) is not None else 1
        case _:
            return _serve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qwen-lsp",
        description="An AI pair programmer behind the Language Server Protocol. Without a command it serves an editor "
        "on stdin and stdout.",
    )
    parser.add_argument("--version", action="version", version=f"qwen-lsp {__version__}")
    parser.add_argument("--stdio", action="store_true", help="serve on stdin and stdout, as without any option")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    setup = commands.add_parser("setup", help="fetch a model that suits this machine, try it, put it into the settings")
    setup_options(setup)
    demo = commands.add_parser("demo", help="play a short editing session with the real server")
    demo.add_argument("folder", nargs="?", type=_folder, metavar="FOLDER", help="source code to play on (a copy of it)")
    demo.add_argument("--engine", choices=[name for name in get_args(EngineChoice) if name != "auto"])
    doctor = commands.add_parser("doctor", help="check everything from the packages to a completion")
    doctor.add_argument("--file", type=_file, metavar="PATH", help="complete at the end of this file")
    doctor.add_argument(
        "--bundle", type=Path, metavar="FILE", help="for a bug report: show what goes in, ask, write a zip"
    )
    doctor.add_argument("--yes", action="store_true", help="with --bundle: do not ask")
    index = commands.add_parser("index", help="read a folder's code now, as an editor would in the background")
    index.add_argument("folder", nargs="?", type=_folder, metavar="FOLDER", default=".", help="instead of this one")
    context = commands.add_parser("context", help="show what else of the repository a prompt would hold, and why")
    context.add_argument("place", type=_place, metavar="FILE:LINE:COL", help="where the cursor is, both from 1")
    context.add_argument("--tokens", type=int, default=2_000, metavar="N", help="budget (default: 2000)")
    trust = commands.add_parser("trust", help="let a project's own checks run in a folder, or no longer")
    trust.add_argument("folder", nargs="?", type=_folder, metavar="FOLDER", default=".", help="instead of this one")
    what = trust.add_mutually_exclusive_group()
    what.add_argument("--no", action="store_true", help="no longer")
    what.add_argument("--list", action="store_true", help="the folders that are trusted")
    refactor = commands.add_parser("refactor", help="change code as an instruction says, and print the difference")
    refactor.add_argument("instruction", metavar="INSTRUCTION")
    refactor.add_argument("--path", type=_existing, action="append", default=[], help="all that may change; repeatable")
    how = refactor.add_mutually_exclusive_group()
    how.add_argument("--apply", action="store_true", help="write the files, unless checks find something new")
    how.add_argument("--diff", action="store_true", help="only print (default)")
    refactor.add_argument(
        "--report", action="store_true", help="print a report in Markdown instead of the bare difference"
    )
    refactor.add_argument(
        "--check", action="append", default=[], metavar="CMD", help="run this on a copy, in a folder that you trust"
    )
    evaluate = commands.add_parser("eval", help="how good are suggestions on this repository's own code?")
    add_options(evaluate)
    status = commands.add_parser("status", help="show the engine that the windows share, and why they are silent")
    status.add_argument("--web", action="store_true", help="as a page: write it to a private file and print where")
    stats = commands.add_parser("stats", help="show what became of suggestions, in counts and percentiles")
    commands.add_parser("stop", help="stop that engine")
    for command in (setup, demo, doctor, index, context, trust, refactor, evaluate, status, stats):
        command.add_argument("--json", action="store_true", help="for programs")
    return parser


def _folder(name: str) -> Path:
    path = Path(name)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{name} is not a folder")
    return path


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"{name} is not a file")
    return path


def _existing(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no {name}")
    return path


def _place(text: str) -> tuple[Path, int, int]:
    name, *numbers = text.rsplit(":", 2)
    if len(numbers) != 2 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise argparse.ArgumentTypeError(f"{text} is not FILE:LINE:COL")
    return _file(name), int(numbers[0]), int(numbers[1])


def _serve() -> int:
    if sys.stdin is not None and sys.stdin.isatty():
        print(
            "qwen-lsp speaks the Language Server Protocol on stdin and stdout; an editor starts it.\n"
            "Try `qwen-lsp demo` or `qwen-lsp doctor`. Ctrl-C ends this.",
            file=sys.stderr,
        )
    gc.disable()
    from qwen_lsp.engine import egress
    from qwen_lsp.lsp.server import make_server, serve

    egress.guard()
    server = make_server()
    gc.freeze()  # what is there by now stays: walking it again and again held keys up for 40 ms and more
    gc.enable()
    return serve(server)


def _demo(options: argparse.Namespace) -> int:
    from qwen_lsp.demo.main import run

    return run(options.folder, options.engine, options.json)


def _doctor(options: argparse.Namespace) -> int:
    from qwen_lsp.doctor import chain, links

    outcomes = []
    for outcome in chain.examine(options.file):
        outcomes.append(outcome)
        if not options.json and options.bundle is None:
            print(outcome.line(), flush=True)
    if options.bundle is not None:
        from qwen_lsp.doctor import bundle

        return bundle.make(options.bundle, outcomes, options.yes)
    if options.json:
        told = {"ok": all(o.ok for o in outcomes), "checks": [o.as_json() for o in outcomes]}
        print(json.dumps({**told, "machine": links.machine()}, indent=2))
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def _status(options: argparse.Namespace) -> int:
    from qwen_lsp import windows

    if options.web:
        return 1 if _daemon("status", ["--web"]) is None else 0
    said = _daemon("status", ["--json"] if options.json else [], keep=options.json)
    shown = windows.read(windows.windows_folder())
    if said is None:
        return 1
    if options.json:
        print(json.dumps({"daemons": json.loads(said), "windows": shown}, indent=2))
    else:
        print("\n".join(line for window in shown for line in windows.lines(window)) or "no window is open")
    return 0


def _stats(options: argparse.Namespace) -> int:
    from qwen_lsp.stats import read, stats_file

    found = read(stats_file())
    print(json.dumps(found.summary(), indent=2) if options.json else "\n".join(found.lines()))
    return 0


def _daemon(command: str, arguments: list[str], *, keep: bool = False) -> str | None:
    """`inference` is another package on purpose: it is run, never imported. What it said, where that is to be kept;
    None where it failed."""
    full = [sys.executable, "-P", "-m", "inference", command, *arguments]
    try:
        done = subprocess.run(
            full, timeout=DAEMON_COMMAND_TIMEOUT_S, check=False, text=True, stdout=subprocess.PIPE if keep else None
        )
        return (done.stdout or "") if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"qwen-lsp: {command} failed: {type(error).__name__}", file=sys.stderr)
        return None
