"""A model fetched from a hub of our own with every fault: requests, bytes sent more than once, what stands there then.

Runs what `python -m inference setup` runs, in this process; pauses between tries are counted and not waited for. Shows
that the machinery does what it says, and nothing of the real hub.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from inference.models.choice import Wishes
from inference.models.entries import load
from inference.models.fetch import place
from inference.models.fetch.hub import Hub, endpoint
from inference.models.fetch.listing import FetchFailed
from inference.models.survey import survey
from inference.setup.aim import target
from inference.setup.bring import Fetching, fetch
from tests.hub import FakeHub, Fault, serving
from tests.inference.setup_runs import REPOSITORY, published

TIMEOUT_S = 1.0  # of silence
FILE = "model.gguf"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault. `again`: it is run a second time, as a user would."""

    name: str
    faults: tuple[Fault, ...] = ()
    again: bool = False
    dies_at: int | None = None  # bytes, where the process is ended
    silent_at: int | None = None


CASES = (
    Case("none"),
    Case("cut three times", (Fault(FILE, "cut", 3, 1_500_000),)),
    Case("ended in the middle, run again", again=True, dies_at=4_000_000),
    Case("falls silent once", silent_at=2_000_000),
    Case("knows no ranges, cut once", (Fault(FILE, "cut", 1, 3_000_000), Fault(FILE, "no-range", None))),
    Case("another range than asked", (Fault(FILE, "cut", 1, 3_000_000), Fault(FILE, "other-range", 1))),
    Case("503 four times", (Fault(FILE, "status", 4, 503),)),
    Case("500 for ever", (Fault(FILE, "status", None, 500),)),
    Case("corrupt once", (Fault(FILE, "corrupt", 1),)),
    Case("corrupt always", (Fault(FILE, "corrupt", None),)),
    Case("5 MB too much", (Fault(FILE, "oversized", None, 5_000_000),)),
    Case("compressed", (Fault(FILE, "gzip", None),)),
    Case("401", (Fault(FILE, "status", None, 401),)),
    Case("404", (Fault(FILE, "status", None, 404),)),
    Case("sends on to another host", (Fault(FILE, "redirect", None, "http://localhost:9"),)),
    Case("lists nothing", (Fault(REPOSITORY, "status", None, 502),)),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a case. `sent`: bytes that came, by the size of the file."""

    name: str
    requests: int
    sent: float
    paused_s: float
    outcome: str


class _Ended(BaseException):
    """Stands for the end of the process: nothing catches it."""


def measured(case: Case) -> Row:
    files = published()
    hub = FakeHub({REPOSITORY: files}, faults=[replace(fault) for fault in case.faults])
    came, pauses = [0], [0.0]
    waited: list[int] = []

    def before_piece(name: str, at: int) -> None:
        if case.silent_at is not None and at >= case.silent_at and not waited:
            waited.append(at)
            time.sleep(3 * TIMEOUT_S)

    hub.before_piece = before_piece
    with serving(hub), tempfile.TemporaryDirectory(prefix="qwen-bench-") as folder:
        models = Path(folder)
        try:
            if case.again:
                with suppress(_Ended):
                    _run(hub, models, came, pauses, case.dies_at)
            outcome = _run(hub, models, came, pauses, None)
        except FetchFailed as error:
            outcome = f"refused: {error.message}"
        found = list(models.glob("*@*"))
        whole = bool(found) and not list(place.problems(found[0], sums=True))
        stands = "whole" if whole else "BROKEN" if found else "nothing there"
    return Row(case.name, len(hub.sent(FILE)), came[0] / len(files[FILE]), pauses[0], f"{stands}; {outcome}")


def _run(hub: FakeHub, models: Path, came: list[int], pauses: list[float], dies_at: int | None) -> str:
    def progress(name: str, n_bytes: int) -> None:
        if n_bytes > 0 and n_bytes <= 1 << 20:  # larger ones are what was there before
            came[0] += n_bytes
        if dies_at is not None and came[0] >= dies_at:
            raise _Ended

    def pause(seconds: float) -> None:
        pauses[0] += seconds

    def connect() -> Hub:
        return Hub(endpoint(hub.url), nothing, TIMEOUT_S)

    report = survey(models)
    run = Fetching(models, report, hub.url, connect, nothing, lambda question: True, lambda total: progress, pause)
    fetch(run, target(report, load(), Wishes(REPOSITORY, "llama"), nothing))
    return "fetched"


def nothing(line: str) -> None:
    """For what is said to people, and to a guard that is not on."""


def main(arguments: Sequence[str]) -> int:
    """0: after every fault there is a whole model or none."""
    rows = [measured(case) for case in CASES]
    if "--json" in arguments:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        print(f"{'fault':<32}{'requests':>9}{'sent':>8}{'paused':>9}   outcome")
        for row in rows:
            print(f"{row.name:<32}{row.requests:>9}{row.sent:>7.2f}x{row.paused_s:>7.0f} s   {row.outcome}")
    return 1 if any("BROKEN" in row.outcome for row in rows) else 0
