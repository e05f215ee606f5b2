"""A Helix as a user has it with editors/helix/languages.toml, in a terminal. Keys in, screen and files out: it has no
other door. Knows no test.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.editors import tee, traffic
from tests.e2e.editors.places import need
from tests.e2e.editors.terminal import START_S, Terminal, private, terminal, until

ROOT = Path(__file__).parents[3]
FRAGMENT = ROOT / "editors/helix/languages.toml"
README = ROOT / "editors/helix/README.md"


@dataclass(frozen=True, slots=True)
class Helix:
    """One editor window."""

    terminal: Terminal
    root: Path
    log: Path

    def keys(self, *names: str) -> None:
        self.terminal.keys(*names)

    def text(self, text: str) -> None:
        self.terminal.text(text)

    def command(self, line: str) -> None:
        """Run a typable command, from any mode."""
        self.terminal.keys("Escape")
        self.terminal.shows(" NOR ")
        until(self._prompts, "Helix's prompt", self.told)
        self.terminal.keys("C-u")  # the colon came once more where the first was only slow
        self.terminal.text(line)
        self.terminal.keys("Enter")

    def _prompts(self) -> bool:
        """Whether it waits for a command; else it is asked to. What follows an escape at once is a key with Alt, and a
        mode that was normal before does not tell whether the escape was read: Alt and a colon do no harm."""
        if self.told().rstrip("\n").rpartition("\n")[2].startswith(":"):
            return True
        self.terminal.text(":")
        return False

    def session(self) -> traffic.Session:
        """What was said with the server that runs now."""
        return traffic.newest(self.log)

    def ready(self) -> None:
        """Wait until the server has the file and the model; a Helix that is gone is not waited for."""

        def states() -> list[str]:
            return [m["params"]["state"] for m in self.session().sent("server", "qwen/status")]

        def look() -> bool:
            assert "Pane is dead" not in self.told(), self.told()
            return bool(self.session().sent("editor", "textDocument/didOpen")) and states()[-1:] == ["ready"]

        until(look, "a ready server", lambda: f"it said {states()}\n{self.told()}", START_S)

    def told(self) -> str:
        return self.terminal.screen()

    def saved(self, name: str, text: str) -> None:
        """Write all files; wait until the one named holds `text`, and no more."""
        self.command("write-all")
        path = self.root / name

        def on_disk() -> str:
            try:
                return path.read_bytes().decode()
            except FileNotFoundError:  # it is moved away while it is written
                return ""

        until(lambda: on_disk() == text, f"{name} as expected", on_disk)
        until(lambda: not list(path.parent.glob("*.bck")), "the end of Helix's writing")

    def pick(self, title: str) -> None:
        """Choose an entry of the menu of code actions, wherever it stands."""
        screen = self.terminal.shows(title)
        entries = [line for line in screen.splitlines() if "Qwen: " in line]
        [at] = [number for number, line in enumerate(entries) if title in line]
        self.terminal.keys(*["Tab"] * at, "Enter")


@contextmanager
def helix(folder: Path, root: Path, name: str) -> Iterator[Helix]:
    """Start it in the project at `root` with one of its files."""
    program, environ = need("hx"), private(folder)
    log, configuration = folder / "traffic.jsonl", Path(environ["XDG_CONFIG_HOME"]) / "helix"
    configuration.mkdir()
    fragment = FRAGMENT.read_text("utf-8")
    assert 'command = "qwen-lsp"\n' in fragment
    arguments = ", ".join(f'"{part}"' for part in (tee.__file__, log, "--", sys.executable, "-P", "-m", "qwen_lsp"))
    command = f'command = "{sys.executable}"\nargs = [{arguments}]\n'
    (configuration / "languages.toml").write_text(fragment.replace('command = "qwen-lsp"\n', command), "utf-8")
    [settings] = re.findall(r"```toml\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (configuration / "config.toml").write_text(settings, "utf-8")
    with terminal(folder, [str(program), name], root, environ) as found:
        editor = Helix(found, root, log)
        editor.ready()
        yield editor
        editor.command("quit-all!")
        found.shows("Pane is dead (status 0")
