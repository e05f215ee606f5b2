"""Helix with the configuration of its README, typed at in a terminal."""

import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.helix import FRAGMENT, Helix, helix
from tests.e2e.editors.picture import taken
from tests.e2e.editors.places import need
from tests.e2e.editors.starting import started
from tests.e2e.editors.terminal import private, until

pytestmark = [pytest.mark.editors, pytest.mark.timeout(300)]

FIRST, SECOND = project.TOTAL.rstrip("\n").split("\n")
WITH_TOTAL = f"{project.STOCK}\n    {project.TOTAL_TYPED}\n{project.TOTAL}"
WITH_PRICE = project.BASKET + f"\n{project.PRICE_TYPED}\n{project.PRICE}".replace("\n", "\r\n")

PICTURE = (136, 30)  # columns and rows: the documentation needs room beside the menu


@pytest.fixture
def stock(daemons: Daemons) -> Iterator[Helix]:
    with started(daemons, helix, "shop/stock.py") as found:
        yield found


@pytest.fixture
def basket(daemons: Daemons) -> Iterator[Helix]:
    with started(daemons, helix, "shop/basket.py") as found:
        yield found


def begun(editor: Helix) -> None:
    """Type the head of a method at the end of the stock, and ask for the menu on the next line."""
    editor.keys("g", "e", "o", "BSpace", "Enter")
    editor.text(project.TOTAL_TYPED)
    editor.keys("Enter", "C-x")
    editor.terminal.shows(FIRST.lstrip()[:40])


def test_an_item_is_shown_and_accepted(stock: Helix) -> None:
    begun(stock)
    stock.keys("Tab")
    stock.terminal.shows("qwen-lsp", SECOND)  # its documentation holds all of it
    stock.keys("Enter")
    stock.terminal.shows(SECOND)
    stock.saved("shop/stock.py", WITH_TOTAL)


def test_an_item_is_typed_through_and_accepted(stock: Helix) -> None:
    begun(stock)
    stock.keys("Space", "Space", "Space", "Space")
    for key in "taxed":
        stock.text(key)
    stock.terminal.shows("taxed\n", FIRST.lstrip()[:40])
    stock.keys("Tab", "Enter")
    stock.terminal.shows(SECOND)
    stock.saved("shop/stock.py", WITH_TOTAL)


def test_emoji_and_crlf_survive(basket: Helix) -> None:
    basket.keys("g", "e", "o", "BSpace", "Enter")
    basket.text(project.PRICE_TYPED)
    basket.keys("Enter", "C-x")
    basket.terminal.shows("cost = 3")
    basket.keys("Tab", "Enter")
    basket.terminal.shows("return cost * len(name)")
    basket.saved("shop/basket.py", WITH_PRICE)


def test_a_code_action_is_listed_and_applied(stock: Helix) -> None:
    stock.text("/pass")
    stock.keys("Enter", "Space", "a")
    stock.pick("Qwen: fill in is_empty")
    stock.terminal.shows(project.IS_EMPTY)
    stock.saved("shop/stock.py", project.STOCK.replace("pass\n", f"{project.IS_EMPTY}\n"))


def test_the_pictures_show_an_item_and_code_actions(stock: Helix, tmp_path: Path) -> None:
    stock.terminal.resize(*PICTURE)
    stock.text("/pass")
    stock.keys("Enter", "Space", "a")
    stock.terminal.shows("Qwen: fill in is_empty")
    taken(stock.terminal.colours(), tmp_path, "editors/helix/images/code-actions.png")
    stock.keys("Escape")
    stock.terminal.shows_not("Qwen:")
    begun(stock)
    stock.keys("Tab")
    stock.terminal.shows("qwen-lsp", SECOND)
    taken(stock.terminal.colours(), tmp_path, "editors/helix/images/completion.png")


def test_it_says_why_there_was_nothing(stock: Helix) -> None:
    stock.keys("g", "e", "o")
    stock.text(project.NOTHING_TYPED)
    stock.keys("C-x")
    until(lambda: stock.session().answers("textDocument/completion"), "an answer", stock.told)
    stock.command("lsp-workspace-command qwen.why")
    stock.terminal.shows("qwen-lsp: completion: the model has nothing to add here")


def test_a_killed_daemon_comes_back(stock: Helix, daemons: Daemons) -> None:
    begun(stock)
    [first] = daemons.running()
    os.kill(first["pid"], signal.SIGKILL)
    stock.command(f"open {stock.root / 'shop/basket.py'}")
    stock.terminal.shows("def label(name):")
    stock.keys("g", "e", "o", "BSpace", "Enter")
    stock.text(project.PRICE_TYPED)
    stock.keys("Enter")

    def asked_again() -> bool:
        """A menu does not wait for an engine that starts: it is empty, and the user asks again."""
        stock.keys("C-x")
        with suppress(AssertionError):
            until(lambda: "cost = 3" in stock.told(), "the item", wait_s=2.0)
        return "cost = 3" in stock.told()

    until(asked_again, "the item", stock.told)
    [second] = daemons.running()
    assert second["pid"] != first["pid"]


def test_the_fragment_adds_a_server_and_takes_none_away(tmp_path: Path) -> None:
    """Helix takes a language's servers as a whole: the fragment has to repeat what is there without it."""
    program, environ = str(need("hx")), private(tmp_path)

    def servers(language: str) -> list[str]:
        done = subprocess.run([program, "--health", language], env=environ, capture_output=True, text=True, timeout=30)
        report = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        part = report.partition("Configured language servers:")[2].partition("Configured debug")[0]
        return re.findall(r"^  [✘✓] ([\w.-]+):", part, re.MULTILINE)

    languages = [each["name"] for each in tomllib.loads(FRAGMENT.read_text("utf-8"))["language"]]
    before = {language: servers(language) for language in languages}
    configuration = Path(environ["XDG_CONFIG_HOME"]) / "helix"
    configuration.mkdir(exist_ok=True)
    (configuration / "languages.toml").write_text(FRAGMENT.read_text("utf-8"), "utf-8")
    assert len(languages) >= 20
    assert {language: servers(language) for language in languages} == {
        language: [*names, "qwen-lsp"] for language, names in before.items()
    }
