"""The baseline: what llama.vim sends while somebody types, to llama-server's `/infill` with the same weights.

Read off ggml-org/llama.vim's `autoload/llama.vim` of 31 January 2026 with its defaults: 256 lines before and 64 after,
up to 16 chunks of 32 lines picked where the cursor was, slot 0 with its cache on, answers of 128 tokens or 250 ms. A
suggestion that is shown makes a second request as if it were accepted (1 s). While one runs, the next waits for a timer
of 100 ms; only an equal place is not asked again. Queued chunks are sent for evaluation each second outside of insert
mode, or after 3 s. Nobody saves or yanks in a replay, so nothing is picked for that.

The clock is the trace's, and a request takes on it the server's processor time: it has one thread, so that is what it
takes where nothing else runs, and a busy machine does not make the baseline ask less. Tokens are the server's counts.
With a `speed` that time is divided by it: a processor that needs a second for a prompt makes the baseline ask at few of
the keys, and people have faster ones. All its requests are made and evaluated in full just the same.
"""

import http.client
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qwen_lsp.eval.llama_vim import MOST_CHUNKS, N_PREFIX, N_SUFFIX, Local, local, request
from qwen_lsp.eval.traces import Stroke
from scripts.benches.inference_servers import REQUEST_TIMEOUT_S, Server

MOST_LINE_SUFFIX = 8
CHUNK_LINES, SCOPE_LINES, FAR_LINES = 64, 1024, 32
FIRST_MS, SECOND_MS, PROMPT_MS = 250, 1000, 500
TIMER_S, RING_S, REST_S = 0.1, 1.0, 3.0
LOOK_BACK = 128  # characters along which an earlier answer is looked for
TRIP_S = 0.005  # curl's start and the way there, beside the server's time

type Chunk = tuple[str, tuple[str, ...]]  # file, lines


@dataclass(slots=True)
class Vim:
    """One window. `tokens`: what was evaluated, by why; `per_key`: for each key, what it had evaluated."""

    server: Server
    texts: dict[str, str]
    speed: float = 1.0
    tokens: Counter[str] = field(default_factory=Counter)
    per_key: list[int] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    n_requests: int = 0
    _path: str = ""
    _cursor: int = 0
    _now: float = 0.0
    _busy_until: float = 0.0
    _timer: float | None = None
    _answers: dict[Local, str] = field(default_factory=dict)
    _ring: list[Chunk] = field(default_factory=list)
    _queued: list[Chunk] = field(default_factory=list)
    _picked_at: int = -9999
    _done: Callable[[], None] | None = None
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def play(self, stroke: Stroke) -> None:
        """The pause before the stroke, and what it sets off."""
        types = stroke.kind in ("key", "back")
        self._pass(stroke.pause_s, insert=types)
        if stroke.kind == "open":
            self.texts[stroke.path] = stroke.text
        elif stroke.kind != "jump":
            self.texts[stroke.path] = stroke.applied(self.texts[stroke.path])
        if stroke.path != self._path:
            self._path = stroke.path
            self._pick(self._lines()[: CHUNK_LINES // 2])
        self._cursor = 0 if stroke.kind == "open" else stroke.cursor
        if types:
            self.per_key.append(0)
            self._hint()
            self._fim(None)

    # -- time ------------------------------------------------------------------------------------------------------

    def _pass(self, seconds: float, *, insert: bool) -> None:
        """Run what becomes due: the end of a request, the timer, the ring's turn."""
        end, ring = self._now + seconds, self._now + (REST_S if insert else RING_S)
        while True:
            due = [
                (at, what)
                for at, what in (
                    (self._busy_until, self._end) if self._done is not None else (None, self._end),
                    (self._timer, self._ring_of_timer),
                    (ring, self._turn_ring),
                )
                if at is not None and at <= end
            ]
            if not due:
                break
            at, what = min(due, key=lambda pair: pair[0])
            self._now = max(self._now, at)
            if what == self._turn_ring:
                ring += RING_S
            what()
        self._now = end

    def _end(self) -> None:
        done, self._done = self._done, None
        if done is not None:
            done()

    def _ring_of_timer(self) -> None:
        self._timer = None
        self._fim(None)

    def _turn_ring(self) -> None:
        if not self._queued:
            return
        self._ring = [*self._ring[-(MOST_CHUNKS - 1) :], self._queued.pop(0)]
        self._ask("ring", ("", "", ""), {"n_predict": 0, "temperature": 0.0, "samplers": [], "t_max_prompt_ms": 1})

    # -- requests --------------------------------------------------------------------------------------------------

    def _fim(self, accepted: str | None) -> None:
        """Ask at the cursor, or as if `accepted` stood there."""
        if self._done is not None:
            self._timer = self._now + TIMER_S
            return
        place = self._local(accepted)
        if accepted is None and len(place[2].partition("\n")[0]) > MOST_LINE_SUFFIX:
            return
        if place in self._answers:
            return
        self._ring = [chunk for chunk in self._ring if _likeness(chunk[1], self._around()) <= 0.5]
        more: dict[str, Any] = {"top_k": 40, "top_p": 0.9, "samplers": ["top_k", "top_p", "infill"]}
        more |= {"t_max_prompt_ms": PROMPT_MS, "t_max_predict_ms": FIRST_MS if accepted is None else SECOND_MS}
        content, took_s = self._ask("first" if accepted is None else "second", place, more)
        self.took_s.append(took_s)
        self._busy_until = self._now + took_s

        def done() -> None:
            self._answers[place] = content
            if accepted is None:
                self._hint()

        self._done = done
        self._gather()

    def _hint(self) -> None:
        """Show what an earlier answer has for the cursor, and ask for what would follow it."""
        prefix, middle, suffix = self._local(None)
        typed = prefix + middle
        for n in range(min(LOOK_BACK, len(typed)) + 1):
            before = typed[: len(typed) - n]
            line = before.rfind("\n") + 1
            said = self._answers.get((before[:line], before[line:], suffix))
            if said and said.startswith(typed[len(typed) - n :]) and said[n:].strip():
                if self._done is None:
                    self._fim(said[n:].rstrip("\n"))
                return

    def _ask(self, why: str, place: Local, more: Mapping[str, Any]) -> tuple[str, float]:
        chunks = [(path, "\n".join(lines) + "\n") for path, lines in self._ring]
        body = request(place, chunks, {"id_slot": 0, **more})
        begun_s = self.server.cpu_s()
        connection = http.client.HTTPConnection("127.0.0.1", int(str(self.server.address)), timeout=REQUEST_TIMEOUT_S)
        try:
            connection.request("POST", "/infill", json.dumps(body), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        times = answer["timings"]
        prompt, said = int(times["prompt_n"]), max(0, int(times["predicted_n"]) - 1)
        self.tokens[f"{why}: prompt"] += prompt
        self.tokens[f"{why}: answer"] += said
        self.n_requests += 1
        if self.per_key:
            self.per_key[-1] += prompt + said
        return str(answer["content"]), (self.server.cpu_s() - begun_s) / self.speed + TRIP_S

    # -- texts -----------------------------------------------------------------------------------------------------

    def _lines(self) -> list[str]:
        return self.texts[self._path].split("\n")

    def _line(self) -> int:
        return self.texts[self._path].count("\n", 0, self._cursor)

    def _local(self, accepted: str | None) -> Local:
        text = self.texts[self._path]
        before = text[: self._cursor] + (accepted or "")
        return local(before, text[self._cursor :], empties_blank=accepted is None)

    def _around(self) -> Sequence[str]:
        at = self._line()
        lines = self._lines()[max(0, at - CHUNK_LINES // 2) : at + CHUNK_LINES // 2]
        return self._part(lines)

    def _part(self, lines: Sequence[str]) -> Sequence[str]:
        start = self._random.randint(0, max(0, len(lines) - CHUNK_LINES // 2))
        return lines[start : start + CHUNK_LINES // 2 + 1]

    def _gather(self) -> None:
        """After the cursor moved far: what stands beyond the prefix and the suffix may be picked."""
        at, lines = self._line(), self._lines()
        if abs(at - self._picked_at) > FAR_LINES:
            self._pick(lines[max(0, at - SCOPE_LINES) : max(0, at - N_PREFIX)])
            self._pick(lines[at + N_SUFFIX : at + N_SUFFIX + CHUNK_LINES])
            self._picked_at = at

    def _pick(self, lines: Sequence[str]) -> None:
        if len(lines) < 3:
            return
        chunk = self._path, tuple(lines if len(lines) + 1 < CHUNK_LINES else self._part(lines))
        if chunk not in (*self._ring, *self._queued):
            self._queued = [each for each in self._queued if _likeness(each[1], chunk[1]) <= 0.9][-15:]
            self._ring = [each for each in self._ring if _likeness(each[1], chunk[1]) <= 0.9]
            self._queued.append(chunk)


def _likeness(one: Sequence[str], other: Sequence[str]) -> float:
    lines = set(other)
    return 2 * sum(line in lines for line in one) / max(1, len(one) + len(other))
