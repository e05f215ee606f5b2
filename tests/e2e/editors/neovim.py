"""A Neovim as a user has it after following editors/neovim/README.md, in a terminal, with a second line in (its RPC).

Keys go through the terminal, questions about buffers through the line. Knows no test.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.editors import tee, traffic
from tests.e2e.editors.msgpack_rpc import Rpc
from tests.e2e.editors.places import need
from tests.e2e.editors.terminal import START_S, WAIT_S, Terminal, private, terminal, until

ROOT = Path(__file__).parents[3]
README = ROOT / "editors/neovim/README.md"
NAMESPACE = "nvim.lsp.inline_completion"


@dataclass(slots=True)
class Neovim:
    """One editor window."""

    terminal: Terminal
    rpc: Rpc
    root: Path
    log: Path

    def session(self) -> traffic.Session:
        """What was said with the server that runs now."""
        return traffic.newest(self.log)

    def lua(self, code: str, *arguments: Any) -> Any:
        return self.rpc.call("nvim_exec_lua", code, list(arguments))

    def ex(self, command: str) -> None:
        """Run an Ex command."""
        self.rpc.call("nvim_command", command)

    def edit(self, name: str) -> None:
        """Open a file of the project and wait until it is served."""
        self.ex(f"edit {self.root / name}")
        self.wait("vim.lsp.get_clients({ name = 'qwen_lsp', bufnr = 0 })[1] ~= nil", "a client")
        self.wait(
            "(require('qwen_lsp.status').of(vim.lsp.get_clients({ bufnr = 0 })[1]) or {}).state == 'ready'",
            "ready",
            START_S,
        )

    def wait(self, condition: str, what: str, wait_s: float = WAIT_S) -> None:
        """Wait until a Lua expression is true."""
        until(lambda: self.lua(f"return {condition}"), what, self.told, wait_s)

    def told(self) -> str:
        return (
            self.terminal.screen()
            + "\n"
            + str(self.lua("return vim.api.nvim_exec2('messages', { output = true }).output"))
        )

    def lines(self, name: str = "") -> list[str]:
        """The lines of the current buffer, or of the one of a file of the project."""
        found = self.rpc.call("nvim_eval", f"bufnr('{self.root / name}')") if name else 0
        return [str(line) for line in self.rpc.call("nvim_buf_get_lines", found, 0, -1, False)]

    def text(self, name: str = "") -> str:
        return "\n".join(self.lines(name))

    def mode(self) -> str:
        return str(self.rpc.call("nvim_get_mode")["mode"])

    def on(self) -> None:
        """Go on where a message is longer than a line and Neovim waits for a key."""

        def goes_on() -> bool:
            if self.mode() in ("r", "rm"):
                self.terminal.keys("Enter")
            return self.mode() == "n"

        until(goes_on, "normal mode", self.terminal.screen)

    def ghost(self) -> str:
        """The ghost text, lines and all; "" where there is none."""
        marks = self.lua(
            f"local ns = vim.api.nvim_get_namespaces()['{NAMESPACE}']; if not ns then return {{}} end "
            "return vim.api.nvim_buf_get_extmarks(0, ns, 0, -1, { details = true })"
        )
        if not marks:
            return ""
        details = marks[0][3]
        first = "".join(text for text, _ in details.get("virt_text", []))
        return "\n".join([first, *("".join(text for text, _ in line) for line in details.get("virt_lines", []))])

    def shows_ghost(self, text: str) -> None:
        until(lambda: self.ghost() == text, f"the ghost text {text!r}", lambda: f"{self.ghost()!r}\n{self.told()}")

    def command(self, name: str, *arguments: Any) -> Any:
        """The result of a command of the server, asked by the client itself."""
        code = (
            "local name, arguments = ...; local client = vim.lsp.get_clients({ name = 'qwen_lsp' })[1]; "
            "local params = { command = name, arguments = arguments }; "
            "return client:request_sync('workspace/executeCommand', params, 60000).result"
        )
        return self.lua(code, name, list(arguments))


def configuration() -> str:
    """The README's Lua, with the place of this checkout."""
    [block] = re.findall(r"```lua\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[:1]
    assert "/path/to/qwen-lsp" in block
    return str(block).replace("/path/to/qwen-lsp", str(ROOT))


def _listened_to(socket: Path) -> Rpc | None:
    """A line to Neovim, as soon as it listens: its socket is there before that."""
    try:
        return Rpc(socket)
    except (FileNotFoundError, ConnectionRefusedError):
        return None


@contextmanager
def neovim(folder: Path, root: Path, name: str = "nvim") -> Iterator[Neovim]:
    """Start it in the project at `root`. `name`: of the editor in places.py."""
    program, environ = need(name), private(folder)
    log, init, socket = folder / "traffic.jsonl", folder / "init.lua", folder / "nvim.sock"
    command = [sys.executable, tee.__file__, str(log), "--", sys.executable, "-P", "-m", "qwen_lsp"]
    cmd = ", ".join(f"[[{part}]]" for part in command)
    init.write_text(f"{configuration()}\nvim.lsp.config('qwen_lsp', {{ cmd = {{ {cmd} }} }})\n", "utf-8")
    arguments = [str(program), "-u", str(init), "-n", "--listen", str(socket)]
    with terminal(folder, arguments, root, environ) as found, attached(found, socket, root, log) as window:
        yield window


@contextmanager
def attached(found: Terminal, socket: Path, root: Path, log: Path) -> Iterator[Neovim]:
    """The Neovim that starts in this terminal and listens on `socket`; it has left afterwards."""
    rpc = until(lambda: _listened_to(socket), "Neovim's socket", found.screen)
    try:
        window = Neovim(found, rpc, root, log)
        window.wait("vim.v.vim_did_enter == 1", "the end of Neovim's start")
        yield window
        with suppress(EOFError, ConnectionError):
            rpc.call("nvim_command", "silent! wall | qall!")
        until(lambda: not socket.exists(), "Neovim to leave", found.screen)
    finally:
        rpc.close()
