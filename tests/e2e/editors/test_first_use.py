"""The first minutes with each editor, as its README tells them, up to the first suggestion that is taken.

On a fresh checkout, in an empty home, with the embedded model: what a newcomer has. What the model says is its own;
that something is shown, and that just this is taken, is checked. Packages come from where this machine gets them.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project, vscode
from tests.e2e.editors.neovim import attached
from tests.e2e.editors.newcomer import Newcomer
from tests.e2e.editors.places import need
from tests.e2e.editors.terminal import START_S, terminal, until

pytestmark = [pytest.mark.editors, pytest.mark.timeout(600)]

HEAD, BEGUN = "def count(self, name):", "return self."  # at the end of a class that has the like
ITEM = re.compile(r"\S +text *$", re.MULTILINE)  # how Helix shows one: its text and its kind


@pytest.fixture(scope="module")
def newcomer(daemons: Daemons, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """One checkout for all three: each README's installation is run, only the first has much to do."""
    home = tmp_path_factory.mktemp("newcomer")
    found = Newcomer(home, (home / "bin", need("nvim").parent, need("vscode") / "bin"))
    found.clone()
    return found


@pytest.fixture
def code(newcomer: Newcomer) -> Iterator[Path]:
    """Their own project."""
    yield project.make(newcomer.home / "code")


def test_neovim(newcomer: Newcomer, code: Path, tmp_path: Path) -> None:
    readme = "editors/neovim/README.md"
    newcomer.run(newcomer.block(readme, "sh"))
    init = newcomer.home / ".config/nvim/init.lua"
    init.parent.mkdir(parents=True)
    init.write_text(newcomer.block(readme, "lua"), "utf-8")
    socket = tmp_path / "nvim.sock"
    command = ["nvim", "--listen", str(socket), "shop/stock.py"]
    with (
        terminal(tmp_path, newcomer.typed(command), code, newcomer.environ()) as window,
        attached(window, socket, code, tmp_path / "no-traffic") as editor,
    ):
        window.keys("G", "o", "Enter")
        window.text(HEAD)
        window.keys("Enter")
        window.text(BEGUN)  # at once: who waits for nothing gets it as well
        ghost = until(editor.ghost, "ghost text", editor.told, START_S)
        before = editor.text()
        assert newcomer.runs()
        window.keys("C-l")
        until(lambda: editor.text() == before + ghost, "the text", lambda: f"{ghost!r}\n{editor.told()}")
        editor.ex("stopinsert")
        editor.ex("checkhealth qwen_lsp")
        assert "ERROR" not in editor.text(), editor.text()


def test_helix(newcomer: Newcomer, code: Path, tmp_path: Path) -> None:
    readme = "editors/helix/README.md"
    told = re.sub(r"\x1b\[[\d;]*m", "", newcomer.run(newcomer.block(readme, "sh")))
    assert f"✓ qwen-lsp: {newcomer.checkout / '.venv/bin/qwen-lsp'}" in told
    (newcomer.home / ".config/helix/config.toml").write_text(newcomer.block(readme, "toml"), "utf-8")
    lines = f"cd {newcomer.checkout}\n{newcomer.block(readme, 'sh')}"
    profile = "\n".join(line for line in lines.splitlines() if line.startswith(("cd ", "export ")))
    shell = f"{profile}\ncd {code}\nexec hx shop/stock.py"
    with terminal(tmp_path, newcomer.typed(["bash", "-ec", shell]), code, newcomer.environ()) as window:
        window.shows("What is in the shop.", " NOR ")
        window.keys("g", "e", "o", "BSpace", "Enter")
        window.text(HEAD)
        window.keys("Enter")
        window.text(f"    {BEGUN}")  # Helix goes on where the line above begins

        def shown() -> bool:
            """A menu does not wait for an engine that starts: it is empty, and the user asks again."""
            window.keys("C-x")
            with suppress(AssertionError):
                until(lambda: ITEM.search(window.screen()), "an item", wait_s=2.0)
            return ITEM.search(window.screen()) is not None

        until(shown, "an item", window.screen, START_S)
        assert newcomer.runs()
        window.keys("Tab", "Enter", "Escape")
        window.shows(" NOR ")
        window.text(":write-quit")
        window.keys("Enter")
        window.shows("Pane is dead (status 0")
    taken = (code / "shop/stock.py").read_text("utf-8").removeprefix(f"{project.STOCK}\n    {HEAD}\n        {BEGUN}")
    assert taken.strip() and not taken.startswith(project.STOCK)


def test_vscode(newcomer: Newcomer, code: Path) -> None:
    editor = need("vscode")
    places = ["--user-data-dir", newcomer.home / "user", "--extensions-dir", newcomer.home / "extensions"]
    entry = [editor / "bin/node", editor / "node_modules/code-server/out/node/entry.js"]
    program = newcomer.home / "bin/code"  # here VS Code is code-server
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {" ".join(str(each) for each in (*entry, *places))} "$@"\n', "utf-8")
    program.chmod(0o755)
    told = newcomer.run(newcomer.block("editors/vscode/README.md", "sh"))
    assert "successfully installed" in told
    with vscode.serve(editor, None, code, newcomer.home, {}, machine={}) as window:
        outcomes = window.in_page("first_use.mjs", 120, typed=[HEAD, BEGUN])
        assert {name: each.error for name, each in outcomes.items()} == {
            "the server is found and ready": "",
            "ghost text is shown and taken": "",
        }
        assert newcomer.runs()
