"""How far a download is: a bar on a terminal, a line now and then in a log. Knows no hub."""

import time
from collections.abc import Callable
from typing import TextIO

_BAR_S, _LINE_S = 0.2, 10.0
_WIDTH = 30
_RATE_S = 20.0  # what "left" is guessed from


class Bar:
    """Counts bytes of all files together. `clock` gives seconds."""

    def __init__(self, total: int, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._out, self._clock = total, out, clock
        self._done = 0
        self._seen = [(clock(), 0)]
        self._every = _BAR_S if out.isatty() else _LINE_S
        self._told = clock()
        self._began: set[str] = set()

    def __call__(self, name: str, n_bytes: int) -> None:
        """More bytes of a file are there. What was there before counts as done, not as fast."""
        self._done += n_bytes
        now = self._clock()
        if name not in self._began or n_bytes < 0:
            self._began.add(name)
            self._seen = [(now, self._done)]
        if now - self._told >= self._every:
            self._told = now
            self._seen = [each for each in self._seen if now - each[0] < _RATE_S] or self._seen[-1:]
            self._show(name, now)
            self._seen.append((now, self._done))

    def close(self) -> None:
        if self._out.isatty():
            self._out.write("\r\033[K")
            self._out.flush()

    def _show(self, name: str, now: float) -> None:
        line = self.line(name, now)
        self._out.write(f"\r\033[K{line}" if self._out.isatty() else line + "\n")
        self._out.flush()

    def line(self, name: str, now: float) -> str:
        """For a person."""
        full = _WIDTH * self._done // self._total if self._total else _WIDTH
        since, before = self._seen[0]
        rate = (self._done - before) / (now - since) if now > since else 0.0
        rest = f", {rate / 1e6:.1f} MB/s, {_span((self._total - self._done) / rate)} left" if rate > 0 else ""
        return (
            f"[{'#' * full}{' ' * (_WIDTH - full)}] {self._done / 1e9:.2f} of {self._total / 1e9:.2f} GB{rest}  {name}"
        )


def _span(seconds: float) -> str:
    minutes = int(seconds + 59) // 60
    return f"{int(seconds)} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
