"""The soak in small: clients that type, leave and send nonsense to a real daemon. In full: `scripts/bench soak`."""

import asyncio

from scripts.benches import soak

MINUTES = 0.1


def test_nothing_is_lost_and_nothing_wrong() -> None:
    with soak.daemon("llama") as (address, pid):
        result = asyncio.run(soak.soak(address, "llama", pid, MINUTES, n_clients=4, seed=1))
    assert result.seen.answered > 0 and result.seen.given_up > 0 and result.memory
    del result.seen.kept[20:]  # the others would take longer than the soak
    soak.compare(result)
    assert result.problems == [], "\n".join(soak.lines(result))
    assert result.compared
