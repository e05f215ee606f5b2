"""How far a run is, on stderr: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

WIDTH = 30
PLAIN_S = 30.0  # between two lines in a log

type Tell = Callable[[int, int, str], None]  # done, of, what


@dataclass(slots=True)
class Bar:
    """Call it with how many are done, of how many, and what is done just now."""

    clock: Callable[[], float] = time.monotonic
    _begun: tuple[float, int] | None = None
    _told_at: float = field(default=float("-inf"))

    def __call__(self, done: int, total: int, what: str) -> None:
        line = self.line(done, total, what)
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif self.clock() > self._told_at + PLAIN_S:
            self._told_at = self.clock()
            print(line, file=sys.stderr, flush=True)

    def line(self, done: int, total: int, what: str) -> str:
        if not total:
            return what
        if self._begun is None:
            self._begun = (self.clock(), done)  # what an earlier run did says nothing about our pace
        began, first = self._begun
        left_s = (self.clock() - began) / (done - first) * (total - done) if done > first else None
        full = WIDTH * done // total
        bar = f"[{'#' * full}{' ' * (WIDTH - full)}] {done:,} of {total:,} answers"
        return bar + (f", about {_duration(left_s)}" if left_s and done < total else "") + (f", {what}" if what else "")

    def clear(self) -> None:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
