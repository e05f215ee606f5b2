"""How a daemon's process ends: at a signal, whatever its threads do, and in bounded time.

A stop takes about a second: answers in flight are told, then the process leaves without waiting for the model's thread,
worker threads or a file that is being written, all of which may take minutes. Should something hang on the way (a
request that keeps the event loop, a pipe that nobody reads), the threads' places are printed after SLOW_S, and after
STOP_S the process is gone. Neither the event loop nor the main thread is needed for that. Knows no daemon.
"""

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

SLOW_S = 5.0  # an end that takes longer says where it stands; a second is usual
STOP_S = 10.0  # it takes no longer
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def heed(ending: threading.Event, end: Callable[[], object]) -> None:
    """Call `end` on another thread at the first signal. STOP_S after `ending` is set, by that or otherwise, the process
    leaves with 1.

    On the main thread. Whichever thread gets a signal, the interpreter's own handler writes it into a pipe at once;
    numpy's threads are there before any of ours. What whoever started it had blocked or ignored is heeded, too.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _nothing)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_wait_for_signal, args=(reader, ending, end), name="signals", daemon=True).start()
    threading.Thread(target=_leave_in_time, args=(ending,), name="ending", daemon=True).start()


def _nothing(number: int, frame: object) -> None:
    """The pipe has it already, and the main thread may be a long time in coming to this."""


def _wait_for_signal(reader: int, ending: threading.Event, end: Callable[[], object]) -> None:
    os.read(reader, 1)  # further ones are nobody's: it ends already
    ending.set()
    end()


def _leave_in_time(ending: threading.Event) -> None:
    ending.wait()
    with suppress(RuntimeError, ValueError, OSError):  # there is no stderr
        faulthandler.dump_traceback_later(SLOW_S)  # from a thread that waits for no other: stderr may be what hangs
    time.sleep(STOP_S)
    os._exit(1)
