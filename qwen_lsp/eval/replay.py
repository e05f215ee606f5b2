"""Typing replayed from a repository's history through the whole server: what a key costs, in time and tokens.

Each key is sent as an editor sends it, after the pause that a person makes (a second at most), and its answer awaited.
The trace and its rhythm repeat from a seed. Tokens depend on what the engine has kept and on what the server does while
nobody types, so they vary a little from run to run, as times do. Does not know how a window speaks or who asks.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from qwen_lsp.eval.history import Change, Commit, Repository
from qwen_lsp.eval.holes import counts
from qwen_lsp.eval.quantiles import SLOW, quantile
from qwen_lsp.eval.traces import Stroke, strokes
from qwen_lsp.eval.window import Key, Window

MOST_COMMITS = 400  # looked at, the newest first
MOST_PAUSE_S = 1.0  # of a longer one that is waited for in fact
CHARS_PER_TOKEN = 3  # of an edit, about

type Admits = Callable[[Commit, Change], bool]


@dataclass(frozen=True, slots=True)
class Trace:
    """What is replayed: the tree at `commit`, then the strokes. `tabs`: files that are open before, as they were."""

    commit: str
    strokes: tuple[Stroke, ...] = field(repr=False)
    tabs: dict[str, str] = field(repr=False)

    @property
    def n_keys(self) -> int:
        return sum(stroke.kind in ("key", "back") for stroke in self.strokes)


def trace(
    repository: Repository, n_keys: int, seed: int, since: str = "", admitted: Admits = lambda _commit, _change: True
) -> Trace | None:
    """The newest commits that have so many keys to type in code, the oldest of them first; None without any."""
    return _newest(repository, n_keys, _n_typed, seed, since, admitted)


def lasting(repository: Repository, seconds: float, seed: int) -> Trace | None:
    """The newest commits that take a person so long to type, by the rhythm of `traces`; no stroke beyond that."""
    found = _newest(repository, seconds, _typed_s, seed)
    if found is None:
        return None
    ends_s = accumulate(stroke.pause_s for stroke in found.strokes)
    within = (stroke for stroke, end_s in zip(found.strokes, ends_s, strict=True) if end_s <= seconds)
    return replace(found, strokes=tuple(within))


def drawn_out(played: Trace, seconds: float) -> Trace:
    """The same strokes over so many seconds: whoever types as fast thinks longer before going on somewhere else."""
    thoughts_s = sum(stroke.pause_s for stroke in played.strokes if _is_thought(stroke))
    if not thoughts_s:
        return played
    times = 1 + (seconds - sum(stroke.pause_s for stroke in played.strokes)) / thoughts_s
    drawn = (replace(each, pause_s=each.pause_s * times) if _is_thought(each) else each for each in played.strokes)
    return replace(played, strokes=tuple(drawn))


def _is_thought(stroke: Stroke) -> bool:
    return stroke.kind not in ("key", "back")


def _n_typed(found: Sequence[Stroke]) -> int:
    return sum(stroke.kind == "key" for stroke in found)


def _typed_s(found: Sequence[Stroke]) -> float:
    """Of a commit in which something is typed; else 0."""
    return sum(stroke.pause_s for stroke in found) if _n_typed(found) else 0.0


def _newest(
    repository: Repository,
    wanted: float,
    measured: Callable[[Sequence[Stroke]], float],
    seed: int,
    since: str = "",
    admitted: Admits = lambda _commit, _change: True,
) -> Trace | None:
    """The newest commits that measure as much together, each no more than that by itself."""
    chosen: list[tuple[str, list[Change]]] = []
    so_far = 0.0
    for commit in repository.commits(since, MOST_COMMITS):
        changes = [change for change in repository.changes(commit) if counts(change) and admitted(commit, change)]
        size = measured(tuple(strokes(changes, seed)))
        if size == 0 or size > wanted:  # a new file of a thousand lines was not typed in one go
            continue
        chosen.append((commit.parent, changes))
        so_far += size
        if so_far >= wanted:
            break
    if not chosen:
        return None
    chosen.reverse()
    typed = tuple(stroke for _, changes in chosen for stroke in strokes(changes, seed))
    # Later commits of the trace changed a file once more: what is open is the oldest text of it.
    tabs = {change.path: change.before for _, changes in reversed(chosen) for change in changes}
    return Trace(chosen[0][0], typed, tabs)


@dataclass(frozen=True, slots=True)
class Played:
    """A key, and how many tokens were edited elsewhere since the key before it in the same file; 0: none."""

    key: Key
    path: str
    elsewhere: int


def opened(window: Window, played: Trace, tree: Path) -> None:
    """Open the trace's files as they are in the tree at its commit."""
    for path in played.tabs:
        if (tree / path).is_file():
            window.open(path, (tree / path).read_text("utf-8"))


def play(
    window: Window, strokes_: Sequence[Stroke], wait: Callable[[float], None] = time.sleep
) -> Iterator[Stroke | Played]:
    """Type: each stroke, and after a key what came of it."""
    last_path, edits, last = "", 0, time.perf_counter()
    for stroke in strokes_:
        wait(max(0.0, last + min(stroke.pause_s, MOST_PAUSE_S) - time.perf_counter()))
        last = time.perf_counter()
        if stroke.kind == "open":
            window.open(stroke.path, stroke.text)
        elif stroke.kind != "jump":
            window.edit(stroke.path, stroke.start, stroke.end, stroke.text)
        yield stroke
        if stroke.kind == "paste":
            edits += len(stroke.text) // CHARS_PER_TOKEN + (stroke.end - stroke.start) // CHARS_PER_TOKEN
        if stroke.kind in ("key", "back"):
            key = window.complete(stroke.path, stroke.cursor)
            yield Played(key, stroke.path, edits if stroke.path == last_path else 0)
            edits, last_path = 0, stroke.path


@dataclass(frozen=True, slots=True)
class Spread:
    """Of some numbers."""

    median: float
    p95: float
    most: float


@dataclass(frozen=True, slots=True)
class Typing:
    """What a trace came to. Shares are of all keys, times in milliseconds, None where nothing of the kind happened.

    evaluated: tokens per key, 0 where what was known served; asked: of the keys that asked the model. reused: of their
    prompts' tokens. beside: time that is not the engine's. elsewhere: tokens at a first key after an edit in another
    place, beyond the edit's own.
    """

    keys: int
    typed_s: float  # what the strokes would take a person
    known: float
    shown: float
    ms: Spread | None
    beside_ms: Spread | None
    prompt: Spread | None
    evaluated: Spread | None
    asked: Spread | None
    reused: float | None
    elsewhere: Spread | None


def typing(played: Sequence[Played], typed_s: float) -> Typing:
    """The figures of a replay."""
    keys = [each.key for each in played]
    asked = [key for key in keys if not key.is_known and key.evaluated is not None]
    prompts = sum(key.prompt for key in asked if key.reused is not None)
    n = max(len(keys), 1)
    return Typing(
        len(keys),
        round(typed_s, 1),
        sum(key.is_known for key in keys) / n,
        sum(key.shown is not None for key in keys) / n,
        spread([key.total_ms for key in keys]),
        spread([key.overhead_ms for key in asked]),
        spread([key.prompt for key in asked]),
        spread([key.evaluated for key in keys if key.evaluated is not None]),
        spread([key.evaluated or 0 for key in asked]),
        sum(key.reused or 0 for key in asked) / prompts if prompts else None,
        spread([(each.key.evaluated or 0) - each.elsewhere for each in played if each.elsewhere and each.key.usage]),
    )


def spread(values: Sequence[float]) -> Spread | None:
    """None of nothing."""
    if not values:
        return None
    return Spread(round(quantile(values, 0.5), 1), round(quantile(values, SLOW), 1), round(max(values), 1))


def read_typing(path: Path, about: Mapping[str, Any]) -> Typing | None:
    """What the run `about` wrote; None where it wrote nothing, or another run did."""
    try:
        found = json.loads(path.read_bytes())
        values: dict[str, Any] = found["typing"]
        spreads = {name: Spread(**each) for name, each in values.items() if isinstance(each, dict)}
        return Typing(**{**values, **spreads}) if found["about"] == about else None
    except (OSError, ValueError, TypeError, KeyError):
        return None
