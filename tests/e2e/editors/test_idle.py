"""Who types nothing pays nothing, in small: counts, no times. In full: `scripts/bench idle`."""

from pathlib import Path

import pytest

from scripts.benches import idle
from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.places import need

pytestmark = [pytest.mark.editors, pytest.mark.timeout(180)]

SECONDS, SETTLE_S = 8.0, 4.0
WAKEUPS_A_SECOND = 5


def test_a_server_in_a_terminal_rests(daemons: Daemons) -> None:
    need("nvim")
    project.settings(daemons.home)
    check(idle.in_terminal("nvim", daemons, SECONDS, SETTLE_S))


def test_the_extension_and_its_server_rest(daemons: Daemons, vsix: Path) -> None:
    project.settings(daemons.home)
    check(idle.in_vscode(vsix, daemons, SECONDS, SETTLE_S))


def check(spent: dict[str, idle.Spent]) -> None:
    server = spent["server"]
    assert server.said == 0, "nobody types, and editor and server talk"
    assert server.wakeups < SECONDS * WAKEUPS_A_SECOND, spent
