"""Two clients of one server: keys in a small prompt, alone and while another window's long prompt is evaluated."""

import threading
import time

from scripts.benches.inference_servers import Server
from scripts.benches.inference_traces import Ask, Trace

LONG_PREFILL = 30_000
LONG_STARTED, TYPING_PAUSE = 0.15, 0.08  # of the time that the long prefill takes alone


def first_tokens(server: Server, keys: Trace, long: Ask, long_s: float) -> tuple[list[float], list[float]]:
    """Seconds of each key alone, and of those that were answered while `long` was evaluated, which takes `long_s`."""
    server.ask(keys.first[0])
    alone = [server.ask(ask).first_token_s for ask in keys.keys]
    other = threading.Thread(target=server.ask, args=(long, 1, "refactor"))
    other.start()
    during: list[float] = []
    time.sleep(LONG_STARTED * long_s)
    for ask in keys.keys:
        answer = server.ask(ask)
        if not other.is_alive():
            break
        during.append(answer.first_token_s)
        time.sleep(TYPING_PAUSE * long_s)
    other.join()
    return alone, during
