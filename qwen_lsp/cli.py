"""The command line. Bare, it serves an editor on stdio; the sub-commands are for people and scripts.

Exit codes: 0 done, 1 it could not, 2 wrong usage. Does not know what the parts do, only how to join them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from qwen_lsp import __version__
from qwen_lsp.settings import EngineChoice

DAEMON_COMMAND_TIMEOUT_S = 60.0  # status and stop only talk to a socket


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "demo":
                return _demo(options)
            case "doctor":
                return _doctor(options)
            case "status" | "stop":
                return _daemon(options.command, ["--json"] if getattr(options, "json", False) else [])
            case _:
                return _serve()
    except KeyboardInterrupt:
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qwen-lsp",
        description="An AI pair programmer behind the Language Server Protocol. Without a command it serves an editor "
        "on stdin and stdout.",
    )
    parser.add_argument("--version", action="version", version=f"qwen-lsp {__version__}")
    parser.add_argument("--stdio", action="store_true", help="serve on stdin and stdout, as without any option")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser("demo", help="play a short editing session with the real server")
    demo.add_argument("folder", nargs="?", type=_folder, metavar="FOLDER", help="source code to play on (a copy of it)")
    demo.add_argument("--engine", choices=[name for name in get_args(EngineChoice) if name != "auto"])
    doctor = commands.add_parser("doctor", help="check everything from the packages to a completion")
    doctor.add_argument("--file", type=_file, metavar="PATH", help="complete at the end of this file")
    status = commands.add_parser("status", help="show the engine that the windows share")
    commands.add_parser("stop", help="stop that engine")
    for command in (demo, doctor, status):
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


def _serve() -> int:
    if sys.stdin is not None and sys.stdin.isatty():
        print(
            "qwen-lsp speaks the Language Server Protocol on stdin and stdout; an editor starts it.\n"
            "Try `qwen-lsp demo` or `qwen-lsp doctor`. Ctrl-C ends this.",
            file=sys.stderr,
        )
    from qwen_lsp.lsp.server import make_server, serve

    return serve(make_server())


def _demo(options: argparse.Namespace) -> int:
    from qwen_lsp.demo.main import run

    return run(options.folder, options.engine, options.json)


def _doctor(options: argparse.Namespace) -> int:
    from qwen_lsp import doctor

    outcomes = []
    for outcome in doctor.examine(options.file):
        outcomes.append(outcome)
        if not options.json:
            print(outcome.line(), flush=True)
    if options.json:
        print(json.dumps({"ok": all(o.ok for o in outcomes), "checks": [o.as_json() for o in outcomes]}, indent=2))
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def _daemon(command: str, arguments: list[str]) -> int:
    """`inference` is another package on purpose: it is run, never imported."""
    full = [sys.executable, "-P", "-m", "inference", command, *arguments]
    try:
        done = subprocess.run(full, timeout=DAEMON_COMMAND_TIMEOUT_S, check=False)
        return 0 if done.returncode == 0 else 1
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"qwen-lsp: {command} failed: {type(error).__name__}", file=sys.stderr)
        return 1
