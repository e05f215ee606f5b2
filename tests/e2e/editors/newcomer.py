"""Somebody who has a fresh checkout, an empty home and a README, and does what stands there, to the letter.

The commands are taken out of the README's fences, so that what it says can not rot. Knows no editor.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benches import idle

CHECKOUT = Path(__file__).parents[3]
INSTALL_S = 240.0  # packages may come over a slow line
NETWORK = ("pip_", "npm_config_", "node_extra_ca", "ssl_cert", "http_proxy", "https_proxy", "no_proxy", "all_proxy")
PLACE = "/path/to/qwen-lsp"  # what READMEs write for it


@dataclass(frozen=True, slots=True)
class Newcomer:
    """`programs`: folders of what they have on their PATH beside the system's."""

    home: Path
    programs: Sequence[Path]

    @property
    def checkout(self) -> Path:
        return self.home / "src" / "qwen-lsp"

    def clone(self) -> None:
        self.checkout.parent.mkdir(parents=True)
        subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(self.checkout)], check=True, timeout=INSTALL_S)

    def environ(self) -> dict[str, str]:
        """Nothing of ours but how this machine gets its packages, and those that it has fetched already."""
        network = {name: value for name, value in os.environ.items() if name.lower().startswith(NETWORK)}
        fetched = {"PIP_CACHE_DIR": str(Path.home() / ".cache/pip"), "npm_config_cache": str(Path.home() / ".npm")}
        python = Path(sys.base_prefix) / "bin"
        path = ":".join(str(each) for each in (*self.programs, python, "/usr/local/bin", "/usr/bin", "/bin"))
        return {
            **fetched,
            **network,
            "HOME": str(self.home),
            "PATH": path,
            "QWEN_LSP_HOME": os.environ["QWEN_LSP_HOME"],
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "COLORTERM": "truecolor",
        }

    def typed(self, command: Sequence[str]) -> list[str]:
        """A command for a terminal: tmux itself looks for programs on another PATH."""
        return ["env", f"PATH={self.environ()['PATH']}", *command]

    def block(self, readme: str, language: str) -> str:
        """The first fence of that language in one of the checkout's READMEs, with the place of the checkout."""
        text = (self.checkout / readme).read_text("utf-8")
        found = re.search(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        assert found is not None, f"{readme} has no {language}"
        return found[1].replace(PLACE, str(self.checkout))

    def run(self, commands: str) -> str:
        """Type these in a shell in the checkout; what was printed."""
        done = subprocess.run(
            ["bash", "-e"], input=commands, cwd=self.checkout, env=self.environ(), capture_output=True, text=True,
            timeout=INSTALL_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def runs(self) -> bool:
        """Whether a server of this checkout's runs."""
        program = str(self.checkout / ".venv/bin")
        return any(program in command and "qwen-lsp" in command for command in idle.commands().values())
