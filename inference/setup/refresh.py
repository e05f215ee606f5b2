"""`scripts/refresh-catalogue`: what the hub has today, written into the catalogue: revisions, files, sizes, checksums.

An entry that the hub does not answer for, or whose published configuration contradicts the catalogue, is left as it is
and named. Nothing is guessed. For maintainers: a user's setup reads the catalogue and never writes it.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inference.lifecycle import egress
from inference.models.entries import CATALOGUE, File, Model, Variant, load, parse
from inference.models.fetch.download import download
from inference.models.fetch.hub import Broken, Hub, endpoint
from inference.models.fetch.listing import FetchFailed, Listing, Remote, Wanted, chosen
from inference.models.sizes import shape_of
from inference.setup.bring import Lister

TIMEOUT_S = 30.0  # of silence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one variant. `problem` "": it is as the hub has it now."""

    name: str
    values: Mapping[str, Any]
    changed: bool
    problem: str = ""

    def line(self) -> str:
        """For a person."""
        if self.problem:
            return f"{self.name}: left as it is: {self.problem}"
        return f"{self.name}: {'renewed' if self.changed else 'the same'}, revision {self.values['revision']}"


def refreshed(values: Mapping[str, Any], hub: Lister, today: str, only: str | None) -> Iterator[Outcome]:
    """One outcome for each variant of the catalogue whose model's or own name begins like `only`."""
    catalogue = parse(values)
    for model in catalogue.models:
        for variant in model.variants:
            name = f"{model.name}/{variant.name}"
            if only is not None and not name.startswith(only):
                continue
            before = asdict(variant)
            try:
                found = asdict(_refreshed(model, variant, hub, today))
            except (FetchFailed, Broken) as error:
                yield Outcome(name, before, False, str(error))
                continue
            yield Outcome(name, found, {**before, "verified": today} != found)


def _refreshed(model: Model, variant: Variant, hub: Lister, today: str) -> Variant:
    asked = replace(variant, files=tuple(File(file.name, None, None) for file in variant.files if _is_gguf(file.name)))
    listing = hub.listing(variant.repository, None)
    files = chosen(Wanted(variant.repository, None, variant.engine, None, "", asked), listing)
    if variant.engine == "mlx":
        _check_shape(model, hub, listing, next(file for file in files if file.name == "config.json"))
    return replace(
        variant,
        revision=listing.commit,
        files=tuple(File(file.name, file.n_bytes, file.sha256) for file in sorted(files, key=lambda each: each.name)),
        n_bytes=sum(file.n_bytes for file in files if file.name.endswith((".gguf", ".safetensors"))),
        n_bytes_from="hub",
        verified=today,
    )


def _check_shape(model: Model, hub: Lister, listing: Listing, config: Remote) -> None:
    """The arithmetic of plans stands on the catalogue's shape: the published one must be the same."""
    with tempfile.TemporaryDirectory(prefix="qwen-lsp-") as folder:
        download(hub, listing, config, Path(folder), lambda name, n: None)
        try:
            whole = json.loads((Path(folder) / "config.json").read_bytes())
            published = asdict(shape_of(whole.get("text_config", whole)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchFailed(f"its config.json is not understood: {type(error).__name__} {error}") from error
    known = asdict(replace(model.shape, experts=None))
    wrong = [f"{key} is {published[key]}, not {known[key]}" for key in known if published[key] != known[key]]
    if wrong:
        raise FetchFailed(f"its config.json contradicts the catalogue: {'; '.join(wrong)}")


def _is_gguf(name: str) -> bool:
    return name.endswith(".gguf")


def merged(values: dict[str, Any], outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """The catalogue with what was found; all else as it was, in its order."""
    models = [
        {**model, "variants": [_values(f"{model['name']}/{v['name']}", v, outcomes) for v in model["variants"]]}
        for model in values["models"]
    ]
    return {**values, "models": models}


def _values(name: str, before: dict[str, Any], outcomes: Mapping[str, Outcome]) -> Mapping[str, Any]:
    found = outcomes.get(name)
    return before if found is None or found.problem else found.values


def main(arguments: list[str] | None = None) -> int:
    """0: every entry asked for is as the hub has it now; 1: some are not."""
    parser = argparse.ArgumentParser(prog="scripts/refresh-catalogue", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="?", metavar="MODEL[/VARIANT]", help="those whose name begins like this")
    parser.add_argument("--endpoint", metavar="URL", help="another hub (default: HF_ENDPOINT, else huggingface.co)")
    parser.add_argument("--also", action="append", default=[], metavar="HOST", help="a mirror may send on to it")
    parser.add_argument("--catalogue", type=Path, default=CATALOGUE, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="say what would change, and write nothing")
    options = parser.parse_args(arguments)
    egress.guard()
    try:
        load(options.catalogue)
        values = json.loads(options.catalogue.read_bytes())
        where = endpoint(options.endpoint or os.environ.get("HF_ENDPOINT") or None, tuple(options.also))
        hub = Hub(where, egress.allow, TIMEOUT_S)
    except (FetchFailed, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    today = datetime.now(UTC).date().isoformat()
    outcomes = {}
    for outcome in refreshed(values, hub, today, options.only):
        outcomes[outcome.name] = outcome
        print(outcome.line(), flush=True)
    hub.close()
    found = merged(values, outcomes)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    parse(json.loads(text))  # what is written can be read
    if not options.check:
        partial = options.catalogue.with_suffix(".part")
        partial.write_text(text, "utf-8")
        partial.replace(options.catalogue)
    return 1 if not outcomes or any(outcome.problem for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
