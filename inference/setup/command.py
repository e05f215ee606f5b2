"""`python -m inference setup`: this terminal, the real hub, exit codes.

What is for people goes to stderr; what `qwen-lsp setup` reads, to stdout.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from inference.lifecycle import egress
from inference.models.choice import Wishes
from inference.models.entries import load
from inference.models.fetch.download import Progress
from inference.models.fetch.hub import Hub, endpoint
from inference.models.fetch.listing import FetchFailed
from inference.models.fetch.progress import Bar
from inference.models.survey import survey
from inference.setup.aim import Say, target
from inference.setup.bring import Ask, Fetching, fetch
from inference.setup.ready import Ready, offline

TIMEOUT_S = 30.0  # of silence


def main(options: argparse.Namespace, models: Path) -> int:
    try:
        ready = run(options, models)
    except FetchFailed as problem:
        told(f"{problem.message}" + (f"; {problem.fix}" if problem.fix else ""))
        return 1
    except KeyboardInterrupt:
        told("stopped; the same command goes on from here")
        return 1
    except ValueError as problem:  # a catalogue that makes no sense
        told(str(problem))
        return 1
    except OSError as problem:
        told(f"{problem.strerror}: {problem.filename or models}; what is there is kept: the same command goes on")
        return 1
    if ready is None:
        return 1
    print(json.dumps(ready.as_json()))
    return 0


def run(options: argparse.Namespace, models: Path) -> Ready | None:
    """None where the user said no. Raises FetchFailed, BadCatalogue, OSError."""
    egress.guard()  # before anything else: what is not named below is not reached
    known = load(options.catalogue) if options.catalogue is not None else load()
    wishes = Wishes(options.model, options.engine, options.ctx)
    report = survey(models)
    if options.offline is not None:
        return offline(options.offline.expanduser(), wishes, known, report)
    url = options.endpoint or os.environ.get("HF_ENDPOINT") or None
    where = endpoint(url, tuple(options.also), os.environ.get("HF_TOKEN") or None)
    bars: list[Bar] = []

    def bar(total: int) -> Progress:
        bars.append(Bar(total, sys.stderr))
        return bars[-1]

    aim = target(replace(report, free_disk_bytes=report.free_disk_bytes + used(models)), known, wishes, told)
    connect = partial(Hub, where, egress.allow, TIMEOUT_S)
    try:
        return fetch(Fetching(models, report, where.url, connect, told, asks(options.yes, told), bar), aim)
    finally:
        for each in bars:
            each.close()


def used(folder: Path) -> int:
    """What lies in the folder already."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def told(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def asks(yes: bool, say: Say) -> Ask:
    """On a terminal; elsewhere only --yes is a yes."""

    def ask(question: str) -> bool:
        say(question + ("" if yes else " [y/N]"))
        if yes:
            return True
        if not sys.stdin.isatty():
            say("nobody is there to say yes: --yes does")
            return False
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return ask
