"""What there is for models: `hardware`, `plan`, `check` and `about` of `python -m inference`. Loads no model.

What only one of them needs is imported there: every editor window imports this for the names of models.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from inference.backends.base import EngineSettings
from inference.hardware import machine
from inference.lifecycle.home import Home, Refused
from inference.lifecycle.places import Identity
from inference.memory import size
from inference.models.catalogue import EMBEDDED, default_engine, resolve
from inference.runner import CHUNK


def hardware(options: argparse.Namespace, folders: Home) -> int:
    from inference.models.survey import survey

    found = survey(folders.models)
    if options.json:
        print(json.dumps(found.as_json(), indent=2))
        return 0
    gpu = f"{found.gpu.name}, {size(found.gpu.free_bytes)} to use" if found.gpu else "none"
    print(f"{found.system} {found.arch}, {found.n_cores} cores, {size(found.total_bytes)} of memory; GPU: {gpu}")
    print(f"power: {found.power.source}; disk for models: {size(found.free_disk_bytes)} free")
    print("\n".join(found.notes) or "engines: " + (", ".join(found.engines) or "none"))
    return 0


def plan(options: argparse.Namespace, folders: Home) -> int:
    from inference.models.choice import Wishes, choose
    from inference.models.entries import load
    from inference.models.survey import survey
    from inference.report import from_json

    try:
        recorded = json.loads(options.machine.read_bytes()) if options.machine is not None else None
        report = survey(folders.models) if recorded is None else from_json(recorded)
        choice = choose(report, load(), Wishes(options.model, options.engine, options.ctx))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Refused(f"no plan: {error}") from error
    print(json.dumps(choice.as_json(), indent=2) if options.json else "\n".join(choice.lines()))
    return 0 if choice.plan is not None else 1


def check(options: argparse.Namespace, folders: Home) -> int:
    """Whether a model's files are whole, make sense and fit; loads nothing."""
    from inference.errors import EngineError
    from inference.models.catalogue import plan_of
    from inference.models.fetch.place import problems

    identity = identity_of(options)
    try:
        files = resolve(identity.model, identity.engine)
        wrong = list(problems(files.path if files.path.is_dir() else files.path.parent, sums=options.sums))
        plan = plan_of(files, identity.n_ctx, EngineSettings(chunk=CHUNK), machine())
    except EngineError as problem:
        raise Refused(problem.message) from problem
    if wrong:
        raise Refused(wrong[0])
    print(f"{files.name} on {files.engine}: context {plan.n_ctx:,} tokens; {plan.line}")
    return 0


def about(options: argparse.Namespace, folders: Home) -> int:
    from inference.models.facts import facts

    found = facts(model_of(options.model or EMBEDDED), options.engine or default_engine())
    if options.json:
        print(json.dumps(asdict(found)))
        return 0
    print(f"{found.model} for {found.engine}: {found.path or 'not on this machine'}")
    print(f"released: {found.released or 'not known'} ({found.source})")
    return 0


def identity_of(options: argparse.Namespace) -> Identity:
    return Identity(options.engine or default_engine(), model_of(options.model or EMBEDDED), options.ctx)


def model_of(name: str) -> str:
    """A path becomes absolute, so that it means the same from every folder."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name
