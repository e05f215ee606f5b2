"""Changes over three files and a new one in Neovim: confirmed, refused, stale, applied in part, cancelled."""

import re
from collections.abc import Iterator

import pytest

from qwen_lsp.verify.trust import trust
from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.neovim import Neovim, neovim
from tests.e2e.editors.starting import started
from tests.e2e.editors.terminal import until

pytestmark = [pytest.mark.editors, pytest.mark.timeout(300)]

STARTED = "looking for the files that change"
MEANWHILE = "# typed meanwhile"
# Neovim's own way to apply an edit, as users have it who start the server without the plugin's handlers.
OWN_HANDLER = "vim.lsp.get_clients({ name = 'qwen_lsp' })[1].handlers['workspace/applyEdit'] = nil"
# The same, and a key that comes at the same moment: the server can not know of it yet.
OWN_HANDLER_AND_A_KEY = """
vim.lsp.get_clients({ name = 'qwen_lsp' })[1].handlers['workspace/applyEdit'] = function(...)
  vim.api.nvim_buf_set_lines(0, 0, 0, false, { '# typed meanwhile' })
  return vim.lsp.handlers['workspace/applyEdit'](...)
end
"""


@pytest.fixture
def editor(daemons: Daemons) -> Iterator[Neovim]:
    with started(daemons, neovim, "nvim") as found:
        found.edit("shop/stock.py")
        yield found


def ask(editor: Neovim, instruction: str = project.INSTRUCTION) -> None:
    editor.terminal.text(f":QwenRefactor {instruction}")
    editor.terminal.keys("Enter")


def begun(editor: Neovim) -> None:
    """Wait until the server has taken its snapshot and looks around."""
    until(lambda: STARTED in editor.session().progress(), "a refactor that runs", editor.told)


def confirm(editor: Neovim, key: str) -> None:
    """Answer the question that lists the files."""
    editor.terminal.shows("shop/orders.py", "shop/taxes.py (create)", "[C]ancel")
    editor.terminal.keys(key)


def outcome(editor: Neovim) -> dict[str, object]:
    """What the server says that became of the command."""
    answered = until(lambda: editor.session().answers("workspace/executeCommand"), "an answer", editor.told)
    assert isinstance(answered[0], dict)
    return answered[0]


def changed(editor: Neovim, name: str, lines: list[str]) -> None:
    """Change the first lines of a file that is open, and wait until the server knows."""
    n_before = len(editor.session().sent("editor", "textDocument/didChange"))
    editor.lua("vim.api.nvim_buf_set_lines(vim.fn.bufnr(...), 0, 0, false, select(2, ...))", name, lines)
    until(lambda: len(editor.session().sent("editor", "textDocument/didChange")) > n_before, "the change")


def delete_what_it_changes(editor: Neovim) -> None:
    """The constant, whose line the edit changes, too."""
    editor.ex("2delete")
    changed(editor, "shop/stock.py", [])


def check_stale(editor: Neovim) -> None:
    """The reason is told; the editor was asked for nothing, and nothing is done but what was deleted."""
    editor.terminal.shows("a file changed at a place")
    editor.on()
    assert editor.session().sent("server", "workspace/applyEdit") == []
    editor.ex("undo")
    editor.ex("set nomodified")
    check_nothing_done(editor)


def check_all_done(editor: Neovim) -> None:
    for name in (*project.CHANGED, project.TAXES):
        assert editor.text(name) + "\n" == project.refactored(name).replace("\r\n", "\n")
    editor.terminal.keys("Escape")
    editor.ex("wall")
    for name in (*project.CHANGED, project.TAXES):
        assert (editor.root / name).read_bytes().decode() == project.refactored(name)


def check_nothing_done(editor: Neovim) -> None:
    """No buffer is modified, nor is there a new one; nor any file."""
    modified = editor.lua(
        "return vim.tbl_map(function(each) return each.name end, vim.fn.getbufinfo({ bufmodified = 1 }))"
    )
    assert [name for name in modified if name] == []  # a diff, a report have no name
    assert editor.lua("return vim.fn.bufloaded(...)", str(editor.root / project.TAXES)) == 0
    assert not (editor.root / project.TAXES).exists()
    assert {name: (editor.root / name).read_bytes().decode() for name in project.FILES} == project.FILES


def ask_by_comment(editor: Neovim, instruction: str) -> None:
    """The directive, written above the cursor's line, and its action chosen from Neovim's list."""
    editor.terminal.text(f"O# qwen: {instruction}")
    editor.terminal.keys("Escape")
    chosen(editor, instruction)


def chosen(editor: Neovim, title: str) -> None:
    """An action at the cursor, chosen from Neovim's list."""
    editor.terminal.text("gra")
    # Its title may stand in an earlier message, too.
    entry = re.compile(rf"(\d+): Qwen: {title}")
    found = until(lambda: entry.search(editor.terminal.screen()), "the list of actions", editor.terminal.screen)
    editor.terminal.keys(found[1], "Enter")


def test_it_is_confirmed_applied_and_reported(editor: Neovim) -> None:
    """Three files, one of them with emoji and CRLF, and a new one; on the disk after a write."""
    ask(editor)
    confirm(editor, "a")
    editor.terminal.shows("creates shop/taxes.py", f"+{project.IMPORT}")
    assert outcome(editor)["applied"] is True
    check_all_done(editor)


def test_one_undo_in_each_file_takes_it_back(editor: Neovim) -> None:
    ask(editor)
    confirm(editor, "a")
    assert outcome(editor)["applied"] is True
    editor.terminal.keys("Escape")
    for name in project.CHANGED:
        editor.lua("vim.api.nvim_buf_call(vim.fn.bufnr(...), function() vim.cmd('silent undo') end)", name)
        assert editor.text(name) + "\n" == project.FILES[name].replace("\r\n", "\n")


def test_its_diff_is_read_and_it_is_refused(editor: Neovim) -> None:
    ask(editor)
    confirm(editor, "d")
    editor.terminal.shows("+++ shop/stock.py", f"-{project.CONSTANT}", f"+{project.IMPORT}", "[C]ancel")
    editor.terminal.keys("c")
    assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, "refused")
    editor.terminal.shows("refused")
    editor.on()
    check_nothing_done(editor)


def test_the_comment_directive_does_the_same(editor: Neovim) -> None:
    ask_by_comment(editor, project.INSTRUCTION)
    confirm(editor, "a")
    assert outcome(editor)["applied"] is True
    check_all_done(editor)


def test_an_action_with_a_finding_tells_it_before_it_is_applied(daemons: Daemons) -> None:
    with started(daemons, neovim, "nvim", project.CHECKS) as editor:
        trust(editor.root, True)
        editor.edit("shop/orders.py")
        editor.terminal.text("/def gross")
        editor.terminal.keys("Enter")
        chosen(editor, "add types to gross")
        finding = f"1 new finding of checks; shop/orders.py:6: error: {project.WRONG_TYPE}"
        # The question is broken where the window ends.
        until(lambda: finding in editor.terminal.screen().replace("\n", ""), "the finding", editor.told)
        editor.terminal.keys("c")
        assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, "refused")
        editor.on()
        check_nothing_done(editor)


def test_what_is_typed_at_another_place_meanwhile_stays(editor: Neovim, daemons: Daemons) -> None:
    with daemons.held():
        ask(editor)
        begun(editor)
        changed(editor, "shop/stock.py", [MEANWHILE])
    confirm(editor, "a")
    assert outcome(editor)["applied"] is True
    assert editor.text("shop/stock.py") + "\n" == f"{MEANWHILE}\n{project.refactored('shop/stock.py')}"


def test_a_stale_one_changes_nothing(editor: Neovim, daemons: Daemons) -> None:
    with daemons.held():
        ask(editor)
        begun(editor)
        delete_what_it_changes(editor)
    check_stale(editor)


def answer_each(editor: Neovim, first: str) -> None:
    """Neovim's own handler asks for each file apart, and forgets what was typed before a question."""
    editor.terminal.shows("Apply all changes?", "[Y]es")
    editor.terminal.keys(first)

    def agreed() -> bool:
        editor.terminal.keys("y")
        return bool(editor.session().answers("workspace/executeCommand"))

    until(agreed, "the end", editor.terminal.screen)
    editor.terminal.keys("Escape")


def test_what_neovim_itself_applies_in_part_is_noticed(editor: Neovim) -> None:
    """It says that all was applied; the server looks."""
    editor.lua(OWN_HANDLER)
    ask(editor)
    answer_each(editor, "n")
    reason = "not applied to orders.py: the texts are not as the edit leaves them"
    assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, reason)
    editor.on()
    assert editor.text("shop/orders.py") + "\n" == project.ORDERS
    assert editor.text("shop/stock.py") + "\n" == project.refactored("shop/stock.py")


def test_what_neovim_itself_applies_at_a_wrong_place_is_noticed(editor: Neovim) -> None:
    """It compares the version of an edit's first file only."""
    editor.lua(OWN_HANDLER_AND_A_KEY)
    ask(editor)
    answer_each(editor, "y")
    reason = "not applied to stock.py: the texts are not as the edit leaves them"
    assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, reason)
    assert editor.lines("shop/stock.py")[:4] == [
        MEANWHILE,
        '"""What is in the shop."""',
        project.IMPORT,
        project.CONSTANT,
    ]


def test_a_key_at_the_same_moment_stops_the_plugin(editor: Neovim) -> None:
    """With the plugin's handler nothing is applied where a single version is another."""
    editor.lua(
        OWN_HANDLER_AND_A_KEY.replace("vim.lsp.handlers['workspace/applyEdit']", "require('qwen_lsp.edits').on_apply")
    )
    ask(editor)
    editor.terminal.shows("shop/stock.py changed mean")
    editor.on()
    assert outcome(editor)["applied"] is False
    editor.ex("undo")
    editor.ex("set nomodified")
    check_nothing_done(editor)


def test_a_cancelled_one_changes_nothing(editor: Neovim) -> None:
    ask(editor, project.SLOW_INSTRUCTION)
    begun(editor)
    editor.ex("QwenCancel")
    until(lambda: editor.session().sent("editor", "$/cancelRequest"), "the cancel")
    until(lambda: "cancelled" in editor.session().progress(), "the end", editor.told)
    check_nothing_done(editor)


def test_one_that_a_code_action_began_is_cancelled_as_well(editor: Neovim) -> None:
    ask_by_comment(editor, project.SLOW_INSTRUCTION)
    begun(editor)
    editor.ex("QwenCancel")
    editor.terminal.shows("cancelled")
    editor.on()
    editor.ex("set nomodified")
    check_nothing_done(editor)


def test_neovim_0_11_shows_refuses_and_applies_it_as_well(daemons: Daemons) -> None:
    """It has no ghost text, and its own handler of edits; the plugin's is the same."""
    with started(daemons, neovim, "nvim-0.11") as editor:
        assert editor.lua("return vim.version().minor") == 11
        editor.edit("shop/stock.py")
        ask(editor)
        confirm(editor, "c")
        assert (outcome(editor)["applied"], outcome(editor)["reason"]) == (False, "refused")
        editor.on()
        check_nothing_done(editor)
        ask_by_comment(editor, project.INSTRUCTION)
        confirm(editor, "a")
        until(lambda: len(editor.session().answers("workspace/executeCommand")) == 2, "the second one", editor.told)
        assert editor.session().answers("workspace/executeCommand")[1]["applied"] is True
        check_all_done(editor)


def test_neovim_0_11_cancels_it_and_notices_a_stale_one(daemons: Daemons) -> None:
    with started(daemons, neovim, "nvim-0.11") as editor:
        editor.edit("shop/stock.py")
        ask(editor, project.SLOW_INSTRUCTION)
        begun(editor)
        editor.ex("QwenCancel")
        until(lambda: "cancelled" in editor.session().progress(), "the end", editor.told)
        check_nothing_done(editor)
        with daemons.held():
            ask(editor)
            until(lambda: editor.session().progress().count(STARTED) == 2, "a refactor that runs", editor.told)
            delete_what_it_changes(editor)
        check_stale(editor)
