"""For all tests: Ctrl-C reaches what they start, even where they run in a background that ignores it (`nohup`, `&`)."""

import signal


def pytest_configure() -> None:
    """An ignored signal is inherited by every child; one with a handler is not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
