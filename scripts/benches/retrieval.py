"""Does what goes into a prompt hold the definitions that the next line needs? Masked lines of real repositories.

    scripts/bench retrieval FOLDER=LANGUAGE ... [--held-out FOLDER=LANGUAGE ...] [--lines 60] [--out FOLDER]

One line of a file is emptied, the cursor stands in it, and no other file is open. What the line used and only other
files define is to be found: a name counts if it has at most three definitions in the repository, and is found if one
of them is shown, by its signature or in a body. `hard` are the names that stand nowhere else in the file. Compared on
the same lines: the open file alone (which by this count finds nothing), whole symbols that share rare words (BM25), and
a map of the repository by personalised PageRank over who uses what, after the idea of aider's.

What `qwen-lsp eval` has, this has from it: what lies around a cursor (`eval.retrieval`), masked lines and what they use
(`eval.masked`), intervals that draw whole files (`eval.score`). Its holes are not eval's, on purpose: those come from
commits, since a model may have seen everything else, and are scored by what is answered. Here no model is asked, lines
of the whole tree tell more than the few that were written last, and what they need must be there, in the tree.

Weights are tuned on the first kind of repositories only. Prints shares in percent, `all / hard`, and milliseconds of
CPU for a first request in a file and for one some lines further on; writes retrieval.json.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from qwen_lsp.context.pack import Item
from qwen_lsp.context.retrieve import packed, ranking
from qwen_lsp.eval.masked import Masked, Places, definitions_of, masked_lines
from qwen_lsp.eval.retrieval import Tree, seen
from qwen_lsp.eval.score import Interval, mean
from qwen_lsp.index.build import build
from qwen_lsp.index.snapshot import Index, IndexSnapshot
from qwen_lsp.index.store import Store
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot
from scripts.benches.figures import quantiles
from scripts.benches.retrieval_peers import Map, Shown, cut, rare_words

BUDGETS = (1_000, 2_000, 4_000, 8_000, 32_000)
GOAL_TOKENS = 2_000
SEED = 23  # of the lines; weights were tuned with others
MOVED_LINES = 3  # a second request in the same file, so many lines further on
N_WORKERS = 2

type Method = Callable[[Masked], Callable[[int], Sequence[Shown]]]  # a line -> a budget -> what is shown


@dataclass(frozen=True, slots=True)
class Name:
    """One that a masked line of the file needs."""

    file: str
    is_hard: bool
    is_found: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the names that masked lines need, how many were found."""

    names: list[Name] = field(default_factory=list)

    def of(self, *, hard: bool) -> "Counts":
        """The hard ones only, or all."""
        return Counts([each for each in self.names if each.is_hard]) if hard else self

    @property
    def found(self) -> int:
        return sum(each.is_found for each in self.names)

    @property
    def total(self) -> int:
        return len(self.names)

    def interval(self) -> Interval:
        """The share with its interval: 95 %, names of one file are drawn together."""
        return mean([float(each.is_found) for each in self.names], [each.file for each in self.names], SEED)


@dataclass(slots=True)
class Results:
    """One repository's. `counts`: by method and budget. Milliseconds of CPU at GOAL_TOKENS."""

    name: str
    held_out: bool
    counts: dict[str, dict[int, Counts]] = field(default_factory=dict)
    first_ms: list[float] = field(default_factory=list)
    moved_ms: list[float] = field(default_factory=list)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    results = []
    for folder, language in (*options.repositories, *options.held_out):
        of = Results(folder.name, (folder, language) in options.held_out)
        with tempfile.TemporaryDirectory(prefix="qwen-retrieval-") as scratch:
            measure(folder.resolve(), language, options.lines, Path(scratch), of)
        results.append(of)
        print("\n".join(table(of)), flush=True)
    print("\n".join(summary(results)))
    machine = {"machine": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg(), "seed": SEED}
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [as_json(of) for of in results]
    (options.out / "retrieval.json").write_text(json.dumps(machine | {"results": rows}, indent=2) + "\n", "utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench retrieval", description=__doc__.partition("\n")[0])
    kind = "FOLDER=LANGUAGE"
    parser.add_argument(
        "repositories", nargs="*", type=_repository, metavar=kind, help="those that weights are tuned on"
    )
    parser.add_argument("--held-out", nargs="*", type=_repository, default=[], metavar=kind, help="those that are not")
    parser.add_argument("--lines", type=int, default=60, metavar="N", help="masked lines of each (default: 60)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    return parser


def _repository(text: str) -> tuple[Path, str]:
    folder, _, language = text.rpartition("=")
    if not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{text}: no folder and language")
    return Path(folder), language


def measure(root: Path, language: str, n_lines: int, scratch: Path, results: Results) -> None:
    """Index the repository and ask all methods about its masked lines."""
    with closing(Store(scratch / "store")) as store:
        build(store, root, n_workers=N_WORKERS, idle=False, progress=lambda _: None, cancelled=lambda: False)
        paths = sorted(store.files(store.root_id(root)))
        with closing(Index(store, root)) as index, index.snapshot() as snapshot:
            places = definitions_of(snapshot, paths)
            lines = list(masked_lines(root, paths, places, snapshot, language, n_lines, SEED))
            for name, method in _methods(Tree(root, index), paths, places, snapshot):
                counts = results.counts[name] = {budget: Counts() for budget in BUDGETS}
                for masked in lines:
                    shown = method(masked)
                    for budget in BUDGETS:
                        counts[budget].names.extend(_counted(masked, shown(budget), root.name))
            for masked in lines:
                _time(root, store, masked, results)


def _methods(tree: Tree, paths: Sequence[str], places: Places, snapshot: IndexSnapshot) -> Iterator[tuple[str, Method]]:
    def ours(masked: Masked) -> Callable[[int], Sequence[Shown]]:
        now, cursor = _window(tree.root, masked)
        with seen(now, tree) as workspace:
            found = ranking(now, cursor, workspace)
            best = {budget: [_shown(item) for item in packed(found, budget)] for budget in BUDGETS}
        return best.__getitem__

    yield "qwen-lsp", ours
    yield "open file", lambda masked: lambda n_tokens: ()
    yield "BM25", lambda masked: partial(cut, rare_words(tree.root, snapshot, masked))
    yield "repo map", Map(tree.root, paths, places).shown


def _window(root: Path, masked: Masked, n_down: int = 0) -> tuple[Snapshot, Cursor]:
    """The file open, the cursor at the masked line or at the end of one that stands lower."""
    document = opened((root / masked.path).as_uri(), "", 1, masked.text)
    line = min(document.lines.line_at(masked.offset) + n_down, document.lines.count - 1)
    offset = document.lines.end_of(line) if n_down else masked.offset
    return Snapshot({document.uri: document}, (document.uri,), (root,), Settings()), Cursor(document, offset)


def _shown(item: Item) -> Shown:
    definition = item.symbol.definition
    end = definition.end if item.is_whole else definition.name_start + 1
    return Shown(item.symbol.path, definition.start, end)


def _counted(masked: Masked, shown: Sequence[Shown], repository: str) -> Iterator[Name]:
    for name, places in masked.targets.items():
        is_found = any(
            each.path == path and each.start <= definition.name_start < each.end
            for path, definition in places
            for each in shown
        )
        yield Name(f"{repository}/{masked.path}", name in masked.hard, is_found)


def _time(root: Path, store: Store, masked: Masked, results: Results) -> None:
    """Of a first request in a file, with nothing kept of earlier ones, and of the next one."""
    with closing(Index(store, root)) as index, seen(_window(root, masked)[0], Tree(root, index)) as workspace:
        for n_down, times in ((0, results.first_ms), (MOVED_LINES, results.moved_ms)):
            now, cursor = _window(root, masked, n_down)
            started = time.process_time()
            packed(ranking(now, cursor, workspace), GOAL_TOKENS)
            times.append((time.process_time() - started) * 1e3)


def table(results: Results) -> list[str]:
    """A row for each method."""
    first = next(iter(results.counts.values()))[GOAL_TOKENS]
    kind = "held out" if results.held_out else "tuned on"
    lines = [f"{results.name} ({kind}): {first.total} names, {first.of(hard=True).total} of them hard"]
    for name, counts in results.counts.items():
        cells = (f"{budget:5}: {one:3.0f} / {hard:3.0f}" for budget, one, hard in _rows(counts))
        lines.append(f"  {name:10} {'   '.join(cells)}")
    for label, values in (("first request", results.first_ms), ("moved", results.moved_ms)):
        if values:
            median, p95 = quantiles(values)
            lines.append(f"  {label}: {median:.1f} ms of CPU, p95 {p95:.1f}")
    return lines


def summary(results: Sequence[Results]) -> list[str]:
    """Over all names of a kind of repository, at the goal's budget."""
    lines = []
    for held_out, label in ((False, "tuned on"), (True, "held out")):
        of = [each for each in results if each.held_out == held_out]
        for name in of[0].counts if of else ():
            total = Counts([each for one in of for each in one.counts[name][GOAL_TOKENS].names])
            of_all = f"{_told(total)}, hard {_told(total.of(hard=True))}"
            lines.append(f"{label}, {GOAL_TOKENS} tokens, {name:10} {of_all}")
    return [*lines, "goal on held-out repositories: 78 % of all, 40 % of the hard ones"] if lines else []


def _told(counts: Counts) -> str:
    share = counts.interval()
    return f"{100 * share.mean:5.1f} % ({100 * share.low:.1f} … {100 * share.high:.1f}) of {counts.total}"


def _rows(counts: dict[int, Counts]) -> Iterator[tuple[int, float, float]]:
    for budget, each in counts.items():
        yield budget, 100 * each.interval().mean, 100 * each.of(hard=True).interval().mean


def _four(every: Counts, hard: Counts) -> tuple[int, int, int, int]:
    return every.found, every.total, hard.found, hard.total


def as_json(results: Results) -> dict[str, object]:
    """One repository's results."""
    counts = {
        name: {str(budget): _four(each, each.of(hard=True)) for budget, each in row.items()}
        for name, row in results.counts.items()
    }
    times = {"first_ms": results.first_ms, "moved_ms": results.moved_ms}
    return {"name": results.name, "held_out": results.held_out, "counts": counts} | times
