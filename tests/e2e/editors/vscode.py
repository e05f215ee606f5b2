"""VS Code for tests: code-server with the packaged extension, shown by a headless Chromium.

Nothing of it touches the user's home or asks the network: the home is a scratch folder, the gallery an address where
nobody listens. What happens inside is JavaScript, in `vscode/`; it writes a line of JSON per check.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.editors import project

CHECKOUT = Path(__file__).parents[3]
SCRIPTS = Path(__file__).parent / "vscode"
TEE = Path(__file__).parent / "tee.py"
START_S = 60.0
INSTALL_S = 120.0
LISTENS = re.compile(rb"HTTP server listening on (http://127\.0\.0\.1:\d+)")
NO_GALLERY = json.dumps({"serviceUrl": "http://127.0.0.1:9/none"})

# What a user would see on the first day is in the way: welcome pages, other assistants, other suggestions.
QUIET = {
    "workbench.startupEditor": "none",
    "telemetry.telemetryLevel": "off",
    "extensions.autoUpdate": False,
    "extensions.autoCheckUpdates": False,
    "update.mode": "none",
    "chat.disableAIFeatures": True,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "window.commandCenter": False,
    "editor.minimap.enabled": False,
    "editor.wordBasedSuggestions": "off",
    "editor.quickSuggestions": {"other": "off", "comments": "off", "strings": "off"},
    "editor.autoClosingBrackets": "never",
    "editor.autoIndent": "none",
    "editor.cursorBlinking": "solid",
    "files.autoSave": "off",
    "git.enabled": False,
    "security.workspace.trust.enabled": False,
    "security.workspace.trust.startupPrompt": "never",
    "security.workspace.trust.banner": "never",
    "workbench.editor.useModal": "off",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one check."""

    error: str
    ms: int


@dataclass(frozen=True, slots=True)
class Code:
    """One code-server with our extension, on one project."""

    editor: Path  # what scripts/editors/vscode installed
    address: str
    project: Path
    scratch: Path

    @property
    def traffic(self) -> Path:
        return self.scratch / "traffic.jsonl"

    def set(self, settings: Mapping[str, Any]) -> None:
        """The user's settings, for windows that are opened from now on."""
        path = self.scratch / "user" / "User" / "settings.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(QUIET | dict(settings)))

    def in_host(self, suite: str, timeout_s: float, folders: Sequence[Path] = ()) -> dict[str, Outcome]:
        """Run a suite inside the extension host; `folders`: in a window of these instead of the project."""
        what = {"suite": str(SCRIPTS / "host" / suite)}
        if folders:
            workspace = self.scratch / "several.code-workspace"
            workspace.write_text(json.dumps({"folders": [{"path": str(folder)} for folder in folders]}))
            what["workspace"] = str(workspace)
        return self._browser(what, timeout_s)

    def in_page(self, steps: str, timeout_s: float, **more: object) -> dict[str, Outcome]:
        """Do a module's steps in the page, as a user with keyboard and mouse. `more`: for the module."""
        return self._browser({"steps": str(SCRIPTS / steps), **more}, timeout_s)

    def _browser(self, what: Mapping[str, object], timeout_s: float) -> dict[str, Outcome]:
        outcomes = outcomes_file(self.scratch)
        outcomes.write_text("")
        job = {
            "address": self.address,
            "project": str(self.project),
            "scratch": str(self.scratch),
            "modules": str(self.editor / "node_modules"),
            "chromium": str(self.editor / "bin" / "chromium"),
            "outcomes": str(outcomes),
            "answers": answers(),
            "since": len(self.traffic.read_text("utf-8").splitlines()) if self.traffic.exists() else 0,
            "timeoutMs": int(timeout_s * 1000),
            **what,
        }
        (self.scratch / "job.json").write_text(json.dumps(job))
        command = [self.editor / "bin" / "node", SCRIPTS / "browser.mjs", self.scratch / "job.json"]
        done = subprocess.run(
            command, cwd=self.scratch, env=environment(self.scratch), capture_output=True, text=True,
            timeout=timeout_s + START_S, check=False,
        )  # fmt: skip
        print(done.stdout, done.stderr, sep="\n")
        asked = json.loads((self.scratch / "hosts.json").read_text())
        assert asked == [], f"the page asked {asked}: nothing may be fetched"
        rows = [json.loads(line) for line in outcomes.read_text("utf-8").splitlines()]
        assert rows, f"nothing was run: {done.stdout} {done.stderr}"
        return {row["name"]: Outcome(row["error"], row["ms"]) for row in rows}


def outcomes_file(scratch: Path) -> Path:
    return scratch / "outcomes.jsonl"


def answers() -> dict[str, Any]:
    """What the scripted engine says, for the checks in JavaScript."""
    return {
        "total": project.TOTAL.rstrip(),
        "totalTyped": project.TOTAL_TYPED,
        "price": project.PRICE.rstrip().replace("\n", "\r\n"),
        "priceTyped": project.PRICE_TYPED,
        "isEmpty": project.IS_EMPTY,
        "instruction": project.INSTRUCTION,
        "slowInstruction": project.SLOW_INSTRUCTION,
        "explained": project.EXPLAINED,
        "constant": project.CONSTANT,
        "wrongType": project.WRONG_TYPE,
        "files": {name: project.FILES[name] for name in project.CHANGED},
        "refactored": {name: project.refactored(name) for name in (*project.CHANGED, project.TAXES)},
    }


def environment(scratch: Path) -> dict[str, str]:
    """Of everything that is started: a home of its own; the daemons' home is the tests'."""
    return os.environ | {
        "HOME": str(scratch),
        "QWEN_TEST_BIN": str(scratch / "bin"),
        "XDG_CONFIG_HOME": str(scratch / "config"),
        "EXTENSIONS_GALLERY": NO_GALLERY,
        "QWEN_TEST_OUTCOMES": str(outcomes_file(scratch)),
        "QWEN_TEST_ANSWERS": json.dumps(answers()),
        "QWEN_TEST_PYTHON": sys.executable,
        "QWEN_TEST_TRAFFIC": str(scratch / "traffic.jsonl"),
    }


def packed() -> Path:
    """The extension as users get it."""
    command = [CHECKOUT / "scripts" / "package-editors"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return CHECKOUT / done.stdout.splitlines()[-1]


@contextmanager
def serve(
    editor: Path,
    vsix: Path | None,
    root: Path,
    scratch: Path,
    settings: Mapping[str, Any],
    machine: Mapping[str, Any] | None = None,
) -> Iterator[Code]:
    """code-server on a free port; with the extension, installed from its package, where there is one.

    `machine`: the machine's settings; None: those that name the tests' server and checks.
    """
    entry = [editor / "bin" / "node", editor / "node_modules" / "code-server" / "out" / "node" / "entry.js"]
    places = ["--user-data-dir", scratch / "user", "--extensions-dir", scratch / "extensions"]
    env = environment(scratch)
    if vsix is not None:
        install = [str(each) for each in (*entry, *places, "--install-extension", vsix)]
        done = subprocess.run(install, env=env, capture_output=True, text=True, timeout=INSTALL_S, check=False)
        assert done.returncode == 0 and "successfully installed" in done.stdout, done.stdout + done.stderr

    code = Code(editor, "", root, scratch)
    command = [sys.executable, str(TEE), str(code.traffic), "--", sys.executable, "-m", "qwen_lsp"]
    # VS Code takes the PATH of a login shell: programs that a test puts there are found.
    (scratch / ".profile").write_text(f'PATH="{scratch / "bin"}:$PATH"\n')
    # The server's own settings are the machine's: in a remote window those of the user do not count.
    code.set(settings)
    path = scratch / "user" / "Machine" / "settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {"qwen.server.command": command, "qwen.refactor.checks": project.CHECKS}
    path.write_text(json.dumps(own if machine is None else machine))
    options = ["--auth", "none", "--bind-addr", "127.0.0.1:0", "--disable-telemetry", "--disable-update-check"]
    options += ["--disable-getting-started-override", "--vscode-option", "enable-smoke-test-driver=true"]
    log = scratch / "code-server.log"
    with log.open("wb") as out:
        command = [str(each) for each in (*entry, *places, *options)]
        server = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    try:
        yield Code(editor, _address(server, log), root, scratch)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def _address(server: "subprocess.Popen[bytes]", log: Path) -> str:
    end = time.monotonic() + START_S
    while (found := LISTENS.search(log.read_bytes())) is None:
        assert server.poll() is None and time.monotonic() < end, log.read_text("utf-8", "replace")
        time.sleep(0.05)
    return found[1].decode()
