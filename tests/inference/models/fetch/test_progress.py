"""What a person sees of a download, by a clock of the test's."""

import io

from inference.models.fetch.progress import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bar_on_a_terminal() -> None:
    clock, out = Clock(), Terminal()
    bar = Bar(4_000_000_000, out, clock)
    bar("m.gguf", 1_000_000_000)  # of an earlier try: there, and not fast
    assert out.getvalue() == ""
    for _ in range(10):
        clock.now += 1
        bar("m.gguf", 100_000_000)
    last = out.getvalue().split("\r\033[K")[-1]
    assert last == "[" + "#" * 15 + " " * 15 + "] 2.00 of 4.00 GB, 100.0 MB/s, 20 s left  m.gguf"
    bar.close()
    assert out.getvalue().endswith("\r\033[K")


def test_lines_in_a_log_are_few() -> None:
    clock, out = Clock(), io.StringIO()
    bar = Bar(60_000_000_000, out, clock)
    bar("m.gguf", 0)
    for _ in range(100):
        clock.now += 0.5
        bar("m.gguf", 1_000_000)
    lines = out.getvalue().splitlines()
    assert len(lines) == 5 and lines[-1].endswith("2.0 MB/s, 8.3 h left  m.gguf")
    bar.close()
    assert len(out.getvalue().splitlines()) == 5


def test_what_is_lost_is_taken_back() -> None:
    clock, out = Clock(), Terminal()
    bar = Bar(100_000_000, out, clock)
    bar("m.gguf", 50_000_000)
    bar("m.gguf", -50_000_000)
    clock.now += 1
    bar("m.gguf", 25_000_000)
    assert "0.03 of 0.10 GB, 25.0 MB/s, 3 s left" in bar.line("m.gguf", clock.now)
