"""The status page: what it shows, that it shows no text, runs nothing and loads nothing; under which names it comes."""

import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inference.backends.scripted import ScriptedBackend
from inference.branches import Branch
from inference.generation import Priority
from inference.lifecycle.control import Status, save_page
from inference.recent import Answered, segments
from inference.runner import Held
from inference.server import status_page
from inference.server.host import OwnHost, name_of
from inference.stats import Stats
from tests.inference.live import Live, counting, live

CHROMIUM = shutil.which("chromium")
CHROMIUM_S = 60.0
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
FLAGS += " --disable-component-update --disable-sync --enable-logging=stderr --window-size=1100,1000"

TYPED = Answered(Priority.TYPING, "stop", 0.002, 0.05, 0.3, (1200, 300, 40), 1500, 44, 5)
LEFT = replace(TYPED, outcome="cancelled", queue_s=None, first_token_s=None, total_s=0.01, n_reused=0)
TREE = (Branch(4000, 0, 0, (1000, 3999), True), Branch(3000, 1000, 1, (1000, 2999), False))
STATS = Stats(
    tokens_evaluated=12_345,
    tokens_reused=67_890,
    jobs={(Priority.TYPING, "stop"): 7, (Priority.REFACTOR, "failed"): 1},
    hits=5,
    held=Held(rows=3 << 20, snapshots=1 << 20, n_evicted=9, n_sequences=4, n_tokens=5432, n_snapshots=11, tree=TREE),
    cache_limit_bytes=16 << 20,
    queued=2,
    running=1,
    preemptions=0,
    queue_s={},
    recent=(TYPED, LEFT, replace(TYPED, priority=Priority.REFACTOR, first_token_s=2.0, total_s=31.0)),
)


def made(model: str = "m", state: str = "ready", reason: str | None = None, stats: Stats = STATS) -> str:
    return status_page.render(model, state, reason, ScriptedBackend(counting).info, stats)


def test_it_shows_what_there_is() -> None:
    page = made()
    for shown in (
        "4 sequences, 5,432 tokens, 11 snapshots",
        "4.0 of 16 MiB, 25%; 9 segments given up",
        "1 running, 2 queued, 8 ended",
        "12,345 evaluated, 67,890 reused",
        "typing, first token 0.050 s",
        "refactor, total 31.000 s",
        "1,200 + 300 + 40",
        "4,000 tokens, 0 shared, 2 snapshots",
        '<rect class="reused" x="150.0" width="300.0" height="14"/><line class="mark" x1="150.0"',
    ):
        assert shown in page


def test_a_line_has_a_point_for_each_job_that_came_so_far() -> None:
    total, first, queue = status_page.curve(STATS.recent).lines
    assert [len(line.dots) for line in (total, first, queue)] == [3, 2, 2]
    assert [x for x, _, _ in first.dots] == [total.dots[0][0], total.dots[2][0]]
    assert total.dots[2][1] < total.dots[0][1] < total.dots[1][1]  # slower is higher


def test_a_shape_has_its_borders_at_the_marks() -> None:
    drawn = status_page.shape(replace(TYPED, segments=(100, 200, 100), n_reused=300))
    assert (drawn.borders, drawn.reused_width, drawn.width) == ((100.0, 300.0), 300.0, 400)
    assert segments(10, (0, 4, 4, 9, 10)) == (4, 5, 1)
    assert segments(0, ()) == ()


@pytest.mark.parametrize("state", ["loading", "failed"])
def test_nothing_yet_is_a_page_too(state: str) -> None:
    empty = replace(STATS, recent=(), held=Held(), cache_limit_bytes=0, jobs={})
    page = status_page.render("m", state, "no <room>", None, empty)
    assert "None ended yet." in page and "no &lt;room&gt;" in page and "<table" not in page


def test_names_are_escaped() -> None:
    page = made(model="<script>alert(1)</script>", reason='"><img src=x>')
    assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_it_names_nothing_to_load_and_nothing_to_run() -> None:
    page = made()
    assert not re.search(r"https?:|//|\b(src|href|action|on\w+|style)\s*=|<script|@import|url\(", page, re.IGNORECASE)


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("d"), lambda: ScriptedBackend(counting)) as running:
        yield running


def test_the_daemon_serves_it_without_a_word_of_a_prompt(letters: Live) -> None:
    secret = "zebra crossing"
    letters.post("/v1/completions", prompt=[*secret.encode()], max_tokens=3, cache_marks=[6], priority="typing")
    letters.until(lambda: len(letters.scheduler.stats().recent) == 1)
    answer = letters.client.get("/status")
    assert answer.status_code == 200
    assert "script" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "6 + 8" in answer.text
    assert not any(
        word in answer.text for word in ("zebra", "crossing", ", ".join(str(b) for b in secret.encode()[:3]))
    )
    (job,) = letters.scheduler.stats().recent
    assert job.queue_s is not None and job.first_token_s is not None
    assert 0 <= job.queue_s <= job.first_token_s <= job.total_s
    assert (job.outcome, job.n_prompt, job.n_answered) == ("length", 14, 3)


def test_a_page_in_a_file_is_the_users_alone(letters: Live) -> None:
    found = Status(1, f"unix:{letters.path}", "scripted", "m", None, "b", "ready", "", None, 0.0, None, None, None)
    for _ in range(2):  # the second one takes the first one's place
        path = save_page(found)
        assert path is not None and stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text().startswith("<!doctype html>")
    assert save_page(replace(found, address="unix:/nowhere/at/all.sock")) is None


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:80", "localhost"),
        ("LocalHost", "localhost"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("localhost:80@evil.example", ""),
        ("::1", ""),
        ("localhost:", ""),
        ("", ""),
    ],
)
def test_a_host_without_its_port(host: str, name: str) -> None:
    assert name_of(host) == name


@pytest.mark.parametrize(
    ("hosts", "passes"),
    [
        (("localhost:8000",), True),
        (("127.0.0.1:1",), True),
        (("10.0.0.7:8000",), True),  # the address it arrived at
        (("10.0.0.8:8000",), False),
        (("evil.example:8000",), False),
        (("localhost.evil.example",), False),
        (("localhost", "evil.example"), False),
        ((), False),
    ],
)
@pytest.mark.parametrize("client", [("10.0.0.9", 5), None])
async def test_only_own_names_over_tcp(hosts: tuple[str, ...], passes: bool, client: tuple[str, int] | None) -> None:
    reached: list[object] = []
    said: list[Any] = []

    async def app(scope: object, receive: object, send: object) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    headers = [(b"host", host.encode()) for host in hosts]
    scope = {"type": "http", "client": client, "server": ("10.0.0.7", 8000), "headers": headers}
    await OwnHost(app)(scope, receive, send)
    assert bool(reached) == (passes or client is None)  # a unix socket has no names
    assert reached or said[0]["status"] == 421


@contextmanager
def served(page: bytes, asked: list[str]) -> Iterator[str]:
    """The page with its headers on a port of this machine, for a browser that can send no token."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            for name, value in {**status_page.HEADERS, "Content-Type": "text/html; charset=utf-8"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/status"
        finally:
            server.shutdown()
            thread.join()


def test_a_browser_shows_it_and_asks_for_nothing_else(tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("NO CHROMIUM HERE: nobody has looked at the status page (apt install chromium)")
    asked: list[str] = []
    with served(made().encode(), asked) as address:
        picture = tmp_path / "page.png"
        command = [CHROMIUM, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"]
        done = subprocess.run([*command, address], capture_output=True, text=True, timeout=CHROMIUM_S, check=False)
    assert picture.stat().st_size > 10_000, done.stderr  # a blank page of this size is a tenth
    assert set(asked) == {"/status"}
    assert "Content Security Policy" not in done.stderr and "Refused" not in done.stderr
