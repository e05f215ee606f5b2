"""Changes over three files and a new one in Helix, by its one way in: the comment that asks. Confirmed, refused, stale,
cancelled.
"""

from collections.abc import Iterator

import pytest

from qwen_lsp.verify.trust import trust
from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.helix import Helix, helix
from tests.e2e.editors.starting import started
from tests.e2e.editors.terminal import until

pytestmark = [pytest.mark.editors, pytest.mark.timeout(300)]

STARTED = "looking for the files that change"
COMMENT = f"# qwen: {project.INSTRUCTION}"
MEANWHILE = "# typed meanwhile"


@pytest.fixture
def editor(daemons: Daemons) -> Iterator[Helix]:
    with started(daemons, helix, "shop/stock.py") as found:
        yield found


def ask(editor: Helix, instruction: str = project.INSTRUCTION) -> None:
    """Write the comment above the first line and choose what it offers."""
    editor.keys("O")
    editor.text(f"# qwen: {instruction}")
    editor.keys("Escape")
    editor.terminal.shows(" NOR ")
    editor.keys("Space", "a")
    editor.pick(f"Qwen: {instruction}")


def begun(editor: Helix) -> None:
    """Wait until the server has taken its snapshot and looks around."""
    until(lambda: STARTED in editor.session().progress(), "a refactor that runs", editor.told)


def outcome(editor: Helix, number: int = 0) -> dict[str, object]:
    """What the server says that became of a command."""
    answered = until(
        lambda: editor.session().answers("workspace/executeCommand")[number:], f"answer {number}", editor.told
    )
    assert isinstance(answered[0], dict)
    return answered[0]


def on_disk(editor: Helix) -> dict[str, str]:
    paths = (editor.root / "shop").iterdir()
    return {f"shop/{path.name}": path.read_bytes().decode() for path in paths}


def check_nothing_done(editor: Helix) -> None:
    """After all buffers are written there is the comment, and else what there was."""
    with_comment = f"{COMMENT}\n{project.STOCK}"
    editor.saved("shop/stock.py", with_comment)
    assert on_disk(editor) == {**project.FILES, "shop/stock.py": with_comment}


def test_it_is_confirmed_and_applied(editor: Helix) -> None:
    """Three files, one of them with emoji and CRLF, and a new one: in buffers first, on the disk after a write."""
    ask(editor)
    editor.terminal.shows("4 files change", "shop/taxes.py", "shop/orders.py", "Apply", "Cancel")
    editor.keys("Enter")
    editor.terminal.shows(project.IMPORT)
    assert outcome(editor)["applied"] is True
    written = on_disk(editor)
    assert written.pop(project.TAXES, "") == ""  # Helix makes a file at once, its text comes with the others
    assert written == project.FILES
    editor.saved("shop/stock.py", project.refactored("shop/stock.py"))
    for name in (*project.CHANGED, project.TAXES):
        editor.saved(name, project.refactored(name))


def test_one_undo_takes_it_back(editor: Helix) -> None:
    ask(editor)
    editor.terminal.shows("4 files change", "Apply", "Cancel")
    editor.keys("Enter")
    editor.terminal.shows(project.IMPORT)
    assert outcome(editor)["applied"] is True
    editor.keys("u")
    editor.terminal.shows(project.CONSTANT)
    editor.saved("shop/stock.py", f"{COMMENT}\n{project.STOCK}")


def test_it_is_refused(editor: Helix) -> None:
    ask(editor)
    editor.terminal.shows("4 files change", "Cancel")
    editor.keys("Tab", "Enter")
    editor.terminal.shows("you refused it")
    assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, "you refused it")
    editor.keys("Space", "a")
    editor.pick(f"Qwen: {project.INSTRUCTION}")
    editor.terminal.shows("4 files change", "Cancel")
    editor.keys("Escape")
    assert outcome(editor, 1)["reason"] == "you refused it"
    check_nothing_done(editor)


def test_an_action_with_a_finding_tells_it_before_it_is_applied(daemons: Daemons) -> None:
    """One file changes, which would not be confirmed without the finding."""
    with started(daemons, helix, "shop/orders.py", project.CHECKS) as editor:
        trust(editor.root, True)
        editor.text("/def gross")
        editor.keys("Enter", "Space", "a")
        editor.pick("Qwen: add types to gross")
        editor.terminal.shows("1 new finding of checks", project.WRONG_TYPE, "Apply", "Cancel")
        editor.keys("Tab", "Enter")
        assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, "you refused it")
        assert on_disk(editor) == project.FILES


def test_what_is_typed_at_another_place_meanwhile_stays(editor: Helix, daemons: Daemons) -> None:
    with daemons.held():
        ask(editor)
        begun(editor)
        editor.keys("g", "e", "o")
        editor.text(MEANWHILE)
        editor.keys("Escape")
        editor.terminal.shows(MEANWHILE, " NOR ")
    editor.terminal.shows("4 files change", "Cancel")
    editor.keys("Enter")
    assert outcome(editor)["applied"] is True
    editor.saved("shop/stock.py", f"{project.refactored('shop/stock.py')}        {MEANWHILE}\n")  # Helix indents


def test_a_stale_one_changes_nothing(editor: Helix, daemons: Daemons) -> None:
    with daemons.held():
        ask(editor)
        begun(editor)
        editor.text("/TAX")
        editor.keys("Enter", "x", "d")  # the line that the edit changes, too
        editor.terminal.shows_not(project.CONSTANT)
    editor.terminal.shows("a file changed at a place")
    assert editor.session().sent("server", "workspace/applyEdit") == []
    editor.keys("u")
    editor.terminal.shows(project.CONSTANT)
    check_nothing_done(editor)


def test_a_running_one_is_cancelled(editor: Helix) -> None:
    """Helix can not cancel a request: a key of the README runs a command that does. The progress is shown meanwhile."""
    ask(editor, project.SLOW_INSTRUCTION)
    editor.terminal.shows(STARTED)
    editor.keys("Space", "q", "c")
    editor.terminal.shows("cancelled")
    editor.terminal.shows_not(STARTED)
    editor.keys("u", "u")
    assert on_disk(editor) == project.FILES
