"""The packaged extension in VS Code: inside its extension host, and as a user sees it in the window."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project, vscode
from tests.e2e.editors.picture import UPDATE
from tests.e2e.editors.places import need
from tests.e2e.editors.traffic import check
from tests.e2e.editors.vscode import Code, Outcome

pytestmark = [pytest.mark.editors, pytest.mark.timeout(1200)]

IN_HOST = (
    "the extension activates in under 300 ms",
    "every command of package.json exists",
    "the status bar says that the engine is ready, and which model it has",
    "a suggestion is accepted",
    "a suggestion is accepted word by word and line by line",
    "what is typed goes on with the suggestion",
    "an answer that comes late to a key is shown all the same",
    "a code action is listed, and applied",
    "an edit made for an older version is refused",
    "a daemon that is killed comes back",
    "a server that is killed comes back",
    "an answer that comes late to what was typed is shown all the same",
    "a file with emoji and CRLF keeps both",
    "settings reach the server when they change, and only those that were set",
    "without a server there is an offer, not silence",
    "a server on the PATH is found",
    "a server that pipx or uv installed is found",
    "a server that uvx has cached is found, and nothing is fetched",
    "a workspace's own server is found where the workspace is trusted",
    "a refactor over three files and a new one is shown, then applied",
    "a refactor that is discarded changes nothing, and says so",
    "a file that changed elsewhere while a refactor was made is followed",
    "a file that changed at the same place makes a refactor stale, and the reason is told",
    "a refactor whose file changes while it is shown is refused with the reason",
    "a refactor is cancelled, and leaves nothing behind",
    "a comment directive is an action, and its change is shown first",
    "what an action explains is shown",
)
IN_FOLDERS = (
    "the server is told of both folders, and asks for each one's settings",
    "a suggestion is accepted in either folder",
    "a folder's own setting counts in that folder only",
)
IN_WINDOW = (
    "a folder that is not trusted has a server that runs none of its checks",
    "code actions are listed where the cursor is, and one is taken",
    "what a line does is explained by the palette",
    "a refactor is shown in Refactor Preview, and discarded by its button",
    "trust is VS Code's first, then the user's for checks",
    "a refactor is made with what happens shown, checked, looked at and applied",
    "an action that a check finds fault with tells the finding before it is applied, and in its report",
    "an action whose result does not parse is refused in words",
    "what is being made is cancelled by the button of its notification",
    "the menu of the status bar pauses and resumes, and shows why, the context, models and the log",
    "ghost text is shown, typed through and taken",
    "where no server is found there is an offer, and its buttons work",
)
PICTURES = ("ghost-text.png", "code-actions.png", "refactor-preview.png", "menu.png")
PICTURE_BYTES = 150_000


@pytest.fixture(scope="module")
def code(vsix: Path, daemons: Daemons, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Code]:
    """One code-server for the module."""
    scratch = tmp_path_factory.mktemp("code")
    project.settings(daemons.home)
    with vscode.serve(need("vscode"), vsix, project.make(scratch), scratch, {}) as code:
        yield code


@pytest.fixture(scope="module")
def in_window(code: Code, in_host: dict[str, Outcome], in_folders: dict[str, Outcome]) -> dict[str, Outcome]:
    """By keyboard and mouse, as far as it can be seen; in a folder that is not trusted at first."""
    code.set({"security.workspace.trust.enabled": True})
    return code.in_page("steps.mjs", timeout_s=400)


@pytest.fixture(scope="module")
def in_host(code: Code) -> dict[str, Outcome]:
    return code.in_host("suite.js", timeout_s=300)


@pytest.fixture(scope="module")
def in_folders(code: Code, in_host: dict[str, Outcome]) -> dict[str, Outcome]:
    """A window of two projects."""
    return code.in_host("folders.js", 240, (code.project, project.make(code.scratch / "other")))


@pytest.mark.parametrize("name", IN_HOST)
def test_in_the_extension_host(in_host: dict[str, Outcome], name: str) -> None:
    assert in_host[name].error == ""


def test_no_check_in_the_host_is_forgotten(in_host: dict[str, Outcome]) -> None:
    assert tuple(in_host) == IN_HOST


def test_in_a_window_of_two_folders(in_folders: dict[str, Outcome]) -> None:
    assert in_folders == {name: Outcome("", in_folders[name].ms) for name in IN_FOLDERS}


@pytest.mark.parametrize("name", IN_WINDOW)
def test_in_the_window(in_window: dict[str, Outcome], name: str) -> None:
    assert in_window[name].error == ""


def test_no_step_in_the_window_is_forgotten(in_window: dict[str, Outcome]) -> None:
    assert tuple(in_window) == IN_WINDOW


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_made(in_window: dict[str, Outcome], code: Code, name: str) -> None:
    made = code.scratch / name
    assert 10_000 < made.stat().st_size < PICTURE_BYTES
    if UPDATE in os.environ:
        shutil.copy(made, vscode.CHECKOUT / "editors/vscode/images" / name)


@pytest.mark.usefixtures("in_host", "in_window")
def test_what_was_said_is_the_protocol(code: Code) -> None:
    sessions = check(code.traffic)
    [initialize] = sessions[0].sent("editor", "initialize")
    assert initialize["params"]["initializationOptions"] == {"refactor.checks": list(project.CHECKS)}
    assert initialize["params"]["capabilities"]["experimental"]["qwen"] == {"refresh": True, "markdown": True}
    changes = [each for one in sessions for each in one.sent("editor", "workspace/didChangeConfiguration")]
    wanted = {"qwen": {"completion.contextTokens": 0, "refactor.checks": list(project.CHECKS)}}
    assert wanted in [each["params"]["settings"] for each in changes]
