"""`qwen-lsp setup`: the model, a few questions to it, the settings, and whether all of it works.

`python -m inference setup` chooses, asks and fetches, in a process of its own: this one talks to local sockets only.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from qwen_lsp import settings_file
from qwen_lsp.doctor.chain import examine
from qwen_lsp.doctor.links import Failed, inference
from qwen_lsp.engine import egress
from qwen_lsp.engine.client import engine_for
from qwen_lsp.errors import NotDone, QwenError
from qwen_lsp.settings import Layout, overlay, parse, user_file
from qwen_lsp.setup.probe import Score, Speed, best, score, speed

# What a key costs grows from left to right.
LAYOUTS: tuple[Layout, ...] = ("joint", "suffix-first", "chat", "search-replace", "prefix-first")
SLOW_KEY_MS = 600.0  # editors wait about as long


@dataclass(frozen=True, slots=True)
class Ready:
    """What the other package says of the model that is there now."""

    engine: str
    path: str
    n_ctx: int | None
    layout: str | None
    tokens: dict[str, int]
    notes: tuple[str, ...]
    origin: str
    plan: str


def main(options: argparse.Namespace) -> int:
    """0 done, 1 it could not."""
    egress.guard()
    try:
        if options.offline is not None and not Path(options.offline).exists():
            raise NotDone(f"{options.offline} is not there; name a folder of safetensors or a .gguf file")
        if "stopped pid" in inference("stop"):
            say("the engine that ran is stopped: its memory counts as free for the plan, and windows start it again")
        ready = fetched(options)
        if ready is None:
            return 1
        found = asyncio.run(tried(ready))
        values = wished(ready, found.scores)
        settings_file.write(user_file(), values)
    except (Failed, QwenError, OSError) as error:
        print(f"qwen-lsp: {error}", file=sys.stderr)
        return 1
    say(f"written to {user_file()}: {settings_file.shown(values)}; open windows take it up when they start again")
    outcomes = list(examine(None))
    for outcome in outcomes:
        if not outcome.ok:
            say(outcome.line())
    n_ok = sum(outcome.ok for outcome in outcomes)
    say(f"doctor: {n_ok} of {len(outcomes)} checks are green")
    if options.json:
        told: dict[str, Any] = {
            "model": asdict(ready),
            "settings": values,
            "layouts": [asdict(s) for s in found.scores],
        }
        print(json.dumps({**told, "speed": asdict(found.speed), "checks": [each.as_json() for each in outcomes]}))
    return 0 if n_ok == len(outcomes) else 1


def fetched(options: argparse.Namespace) -> Ready | None:
    """What the other package has put in place, or None: it has said why not. Its terminal is ours."""
    command = [sys.executable, "-P", "-m", "inference", "setup", *_forwarded(options)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        return None
    try:
        values = json.loads(done.stdout)
        return Ready(**{**values, "notes": tuple(values["notes"])})
    except (ValueError, KeyError, TypeError) as error:
        raise NotDone("python -m inference setup said something that is not understood") from error


def _forwarded(options: argparse.Namespace) -> Sequence[str]:
    names = ("model", "engine", "ctx", "offline", "endpoint", "catalogue")
    given = [(f"--{name}", getattr(options, name)) for name in names] + [("--also", host) for host in options.also]
    said = [part for name, value in given if value is not None for part in (name, str(value))]
    return [*said, *(["--yes"] if options.yes else [])]


@dataclass(frozen=True, slots=True)
class Found:
    """What the model has shown."""

    scores: tuple[Score, ...]
    speed: Speed


async def tried(ready: Ready) -> Found:
    """Loaded by the daemon that editors will use, and asked. Raises EngineError."""
    say(f"{ready.path}, {ready.origin}: {ready.plan}")
    say(f"control tokens that are one token: {', '.join(ready.tokens) or 'none'}")
    for note in ready.notes:
        say(f"note: {note}")
    settings, _ = overlay(replace(parse(user=user_file())[0], remote_url=None), as_settings(ready), "setup")
    engine = engine_for(settings)
    engine.on_state(lambda state: say(state.detail) if state.kind == "starting" else None)
    try:
        await engine.start()
        scores = []
        for layout in order(ready.layout):
            scores.append(await score(engine, layout))
            say(f"layout {scores[-1].line()}")
        heard = await speed(engine, random.randrange(2**32))
    finally:
        await engine.close()
    say(heard.line())
    if (key := heard.key_ms()) is not None and key > SLOW_KEY_MS:
        say("that is slower than typing: a smaller variant or a server of yours (remote.url) would be faster")
    return Found(tuple(scores), heard)


def as_settings(ready: Ready) -> dict[str, settings_file.Value]:
    """The settings that name the model. The context stays as it is set unless one was asked for."""
    found: dict[str, settings_file.Value] = {"engine": ready.engine, "model": ready.path}
    return found if ready.n_ctx is None else found | {"ctx": ready.n_ctx}


def wished(ready: Ready, scores: Sequence[Score]) -> dict[str, settings_file.Value]:
    """What goes into the user's file."""
    chosen = best(scores)
    if chosen is None:
        say("no layout has filled the holes as expected, so the usual one stays: do not expect much of this model")
    return as_settings(ready) | {"completion.layout": chosen.layout if chosen is not None else order(ready.layout)[0]}


def order(first: str | None) -> tuple[Layout, ...]:
    """The catalogue's first, where it names one."""
    return tuple(sorted(LAYOUTS, key=lambda layout: layout != first))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
