"""A model from a hub into its place. Each step can be cut off, and is taken up again by the next run.

Tells people what it does, and asks before it uses the network.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from inference.lifecycle.places import FileLock
from inference.memory import MemoryPlan, size
from inference.models.choice import fits
from inference.models.fetch import place
from inference.models.fetch.download import Progress, Source, download
from inference.models.fetch.hub import Broken
from inference.models.fetch.listing import FetchFailed, Listing, NoSuchRevision, Remote, Wanted, chosen, pinned
from inference.report import Report
from inference.setup.aim import Say, Target
from inference.setup.ready import Ready, plan, ready

LIST_TRIES = 5
LIST_PAUSE_S = 1.0

Ask = Callable[[str], bool]


class Lister(Source, Protocol):
    """A hub, as far as it matters here."""

    def listing(self, repository: str, revision: str | None) -> Listing: ...


@dataclass(frozen=True, slots=True)
class Fetching:
    """One run. `ask` is asked once, before the network is used; `bar` makes what shows the progress."""

    models: Path
    report: Report
    hub_url: str
    connect: Callable[[], Lister]
    say: Say
    ask: Ask
    bar: Callable[[int], Progress]
    pause: Callable[[float], None] = time.sleep


def fetch(run: Fetching, aim: Target) -> Ready | None:
    """The model, whole; None where the user said no. Raises FetchFailed; OSError where the disk does not take it."""
    wanted = aim.wanted
    coming = place.incoming(run.models, wanted)
    revision = wanted.revision or coming.commit()
    if wanted.revision is not None and place.is_whole(found := place.place_of(run.models, wanted, wanted.revision)):
        run.say(f"{found} is there already")
        return ready(aim, found)
    hub = run.hub_url.removeprefix("https://")
    if not run.ask(f"fetch {wanted.repository} ({revision or 'its newest revision'}) from {hub} into {run.models}?"):
        return None
    run.models.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(run.models / ".setup.lock")
    if not lock.acquire():
        raise FetchFailed("another setup is fetching a model", "wait for it, or end it")
    try:
        source = run.connect()
        listing = _listing(source, wanted, coming.commit(), run)
        folder = place.place_of(run.models, wanted, listing.commit)
        if not place.is_whole(folder):
            _bring(run, aim, source, listing, folder)
    finally:
        lock.release()
    return ready(aim, folder)


def _listing(source: Lister, wanted: Wanted, begun: str | None, run: Fetching) -> Listing:
    """At the pinned revision, else at the one that an earlier try began with while the hub has it, else the newest."""
    revision = wanted.revision or begun
    for n in range(LIST_TRIES):
        try:
            return source.listing(wanted.repository, revision)
        except NoSuchRevision:
            if revision is None or revision == wanted.revision:
                raise
            revision = None
        except Broken as error:
            if n == LIST_TRIES - 1:
                raise FetchFailed(str(error), "try again later, or take files that you have: --offline PATH") from error
            run.pause(LIST_PAUSE_S)
    raise FetchFailed("the hub changes while it is asked", "try again later")


def _bring(run: Fetching, aim: Target, source: Source, listing: Listing, folder: Path) -> None:
    files = tuple(pinned(aim.wanted, chosen(aim.wanted, listing)))
    _check_fits(run.report, aim, files)
    coming = place.incoming(run.models, aim.wanted)
    coming.begin(listing)
    missing, total = coming.missing_bytes(files), sum(file.n_bytes for file in files)
    place.check_room(missing, run.report.free_disk_bytes)
    there = f", {(total - missing) / 1e9:.2f} of them there already" if missing < total else ""
    run.say(f"revision {listing.commit}: {len(files)} files, {total / 1e9:.2f} GB{there}")
    bar = run.bar(total)
    for file in files:
        download(source, listing, file, coming.folder, bar, run.pause)
    plan(aim, coming.folder)  # the files are checked before they get their place
    shutil.rmtree(folder, ignore_errors=True)  # a broken one; whoever has its files open keeps them
    coming.finish(folder, place.record(aim.wanted, listing, files, run.hub_url))
    for old in place.others(run.models, aim.wanted, folder):
        run.say(f"{old} is another revision of it: setup uses it no more, remove it to free {place.gigabytes(old)}")
    for begun in place.begun(run.models):
        run.say(f"{begun} holds {place.gigabytes(begun)} of another download that was broken off")


def _check_fits(report: Report, aim: Target, files: tuple[Remote, ...]) -> None:
    """By the sizes that the hub gives, before it is fetched."""
    n_bytes = sum(file.n_bytes for file in files if file.name.endswith((".gguf", ".safetensors")))
    if aim.model is not None and aim.wanted.variant is not None:
        disk = replace(report, free_disk_bytes=1 << 62)  # what is there already counts, and is counted elsewhere
        found = fits(disk, aim.model, replace(aim.wanted.variant, n_bytes=n_bytes), aim.n_ctx)
        if not isinstance(found, MemoryPlan):
            raise FetchFailed(f"as the hub has it, it does not fit: {found}", "name a smaller variant")
    elif n_bytes > report.total_bytes + (report.gpu.free_bytes if report.gpu else 0):
        raise FetchFailed(f"{size(n_bytes)} of weights are more than this machine's memory", "name a smaller model")
