"""Commands of a shell about a folder's index: read it now, and show what a prompt at a place would hold.

Exit codes as everywhere: 0 done, 1 it could not, 2 usage.
"""

import argparse
import json
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from qwen_lsp.context.pack import estimate, files_of
from qwen_lsp.context.retrieve import at_place
from qwen_lsp.index.build import Progress, Report, build
from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.locks import Taken
from qwen_lsp.index.repository import repository_top
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import Store, Totals
from qwen_lsp.index.workers import worker_count

PLAIN_PROGRESS_S = 10.0  # a line in a log, where there is no terminal


def index(options: argparse.Namespace) -> int:
    """Ctrl-C stops after what is under way; the next scan goes on from there."""
    root = options.folder.resolve()
    try:
        with closing(Store(store_folder(root, index_folder()))) as store:
            with _stoppable() as stopped, _shown(is_quiet=options.json) as progress:
                report = build(store, root, n_workers=worker_count(), idle=False, progress=progress, cancelled=stopped)
            totals, n_bytes = store.totals(store.root_id(root)), store.n_bytes()
    except (OSError, sqlite3.Error, Taken) as error:
        told = "another process is indexing this repository" if isinstance(error, Taken) else str(error)
        print(f"qwen-lsp: {told}", file=sys.stderr)
        return 1
    if options.json:
        left_out = {"skipped": _left_out(totals, report)}
        print(json.dumps({"folder": str(root), "index_bytes": n_bytes} | asdict(totals) | asdict(report) | left_out))
    else:
        print("\n".join(_told(root, totals, report, n_bytes)))
    return 0 if report.is_complete else 1


def context(options: argparse.Namespace) -> int:
    """Brings the index up to date first; while another process does that, what is there is used."""
    file, line, column = options.place
    file = file.resolve()
    root = repository_top(file.parent) or (Path.cwd() if file.is_relative_to(Path.cwd()) else file.parent)
    try:
        with closing(Store(store_folder(root, index_folder()))) as store:
            with suppress(Taken):
                build(
                    store, root, n_workers=worker_count(), idle=False, progress=lambda _: None, cancelled=lambda: False
                )
            with closing(Index(store, root)) as found, found.snapshot() as snapshot:
                items = at_place(root, snapshot, file, line - 1, column - 1, options.tokens)
    except (OSError, sqlite3.Error) as error:
        print(f"qwen-lsp: {error}", file=sys.stderr)
        return 1
    files = files_of(items)
    n_tokens = sum(estimate(each.path) + estimate(each.text) for each in files)
    if options.json:
        print(json.dumps({"folder": str(root), "n_tokens": n_tokens, "items": [item.as_json() for item in items]}))
        return 0
    print(f"{len(items)} symbols of {len(files)} files of {root}, about {n_tokens:,} of {options.tokens:,} tokens")
    print("\n".join(item.line() for item in sorted(items, key=lambda item: -item.score)))
    return 0


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since."""
    pressed = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _shown(*, is_quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Where progress goes: a bar on a terminal, which is wiped at the end; some lines in a log."""
    is_terminal = sys.stderr.isatty() and not is_quiet
    told_at = time.monotonic()

    def progress(at: Progress) -> None:
        nonlocal told_at
        if is_terminal:
            print(f"\r{_bar(at)}", end="", file=sys.stderr, flush=True)
        elif not is_quiet and time.monotonic() > told_at + PLAIN_PROGRESS_S:
            told_at = time.monotonic()
            print(f"{at.n_done:,} of {at.n_total:,} files", file=sys.stderr, flush=True)

    try:
        yield progress
    finally:
        if is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _bar(at: Progress, width: int = 30) -> str:
    if at.n_total == 0:
        return "looking for files"
    full = width * at.n_done // at.n_total
    return f"[{'#' * full}{' ' * (width - full)}] {at.n_done:,} of {at.n_total:,} files"


def _told(root: Path, totals: Totals, report: Report, n_bytes: int) -> Iterator[str]:
    yield (
        f"{root}: {totals.n_files:,} files, {totals.n_definitions:,} definitions, {totals.n_bytes / 1e6:,.1f} MB of "
        f"text; the index of the repository takes {n_bytes / 1e6:,.1f} MB"
    )
    names = ", ".join(f"{name or 'no grammar'} {count:,}" for name, count in totals.languages.items())
    yield f"languages: {names or 'none'}"
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in _left_out(totals, report).items())
    yield f"left out: {left_out or 'nothing'}"
    yield (
        f"read {report.n_read:,} of {report.n_walked:,} files, extracted {report.n_extracted:,}, forgot "
        f"{report.n_removed:,}; {report.wall_s:.2f} s, {report.cpu_s:.2f} s of CPU"
    )
    if report.is_full:
        yield "there is no room for more: name what does not matter in .qwenignore"
    elif not report.is_complete:
        yield "stopped; the same command goes on from here"


def _left_out(totals: Totals, report: Report) -> dict[str, int]:
    """What names and kinds told in this scan, and what bytes told in this or an earlier one; most first."""
    counts: Counter[str] = Counter(report.skipped)
    counts.update(totals.skipped)
    return dict(counts.most_common())
