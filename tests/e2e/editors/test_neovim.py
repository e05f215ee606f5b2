"""Neovim 0.12 with the configuration of its README, typed at in a terminal."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.neovim import ROOT, Neovim, neovim
from tests.e2e.editors.picture import taken
from tests.e2e.editors.starting import started
from tests.e2e.editors.terminal import until

pytestmark = [pytest.mark.editors, pytest.mark.timeout(300)]

FIRST, SECOND = project.TOTAL.rstrip("\n").split("\n")
PICTURE = (84, 26)  # columns and rows
STATUS = "require('qwen_lsp.status').of(vim.lsp.get_clients({ name = 'qwen_lsp' })[1])"


@pytest.fixture
def editor(daemons: Daemons) -> Iterator[Neovim]:
    with started(daemons, neovim, "nvim") as found:
        yield found


def suggested(editor: Neovim) -> None:
    """Begin a method at the end of the stock and wait for the two lines of its body."""
    editor.edit("shop/stock.py")
    editor.terminal.keys("G", "o", "Enter")
    editor.terminal.text(project.TOTAL_TYPED)
    editor.terminal.keys("Enter")
    editor.shows_ghost(f"{FIRST.lstrip()}\n{SECOND}")


def priced(editor: Neovim) -> None:
    """The same at the end of the basket, which has emoji and CRLF."""
    editor.edit("shop/basket.py")
    editor.terminal.keys("G", "o", "Enter")
    editor.terminal.text(project.PRICE_TYPED)
    editor.terminal.keys("Enter")
    editor.shows_ghost(project.PRICE.strip())


def reported(editor: Neovim) -> list[list[object]]:
    """The arguments of every `qwen.accepted` so far."""
    sent = [message["params"] for message in editor.session().sent("editor", "workspace/executeCommand")]
    return [params["arguments"] for params in sent if params["command"] == "qwen.accepted"]


def n_model_calls(editor: Neovim) -> int:
    return int(editor.command("qwen.stats")["counts"]["model calls"])


def test_ghost_text_is_shown_typed_through_and_accepted(editor: Neovim) -> None:
    suggested(editor)
    editor.terminal.shows(FIRST, SECOND)
    asked = n_model_calls(editor)
    editor.terminal.text("taxed = s")
    editor.shows_ghost(f"{FIRST.lstrip().removeprefix('taxed = s')}\n{SECOND}")
    editor.terminal.keys("C-l")
    until(lambda: editor.text().endswith(f"{FIRST}\n{SECOND}"), "the text", editor.told)
    until(lambda: reported(editor), "the report")
    assert n_model_calls(editor) == asked, "typing along a suggestion asks no model"


def test_a_key_that_comes_before_the_next_answer_is_not_doubled(editor: Neovim) -> None:
    """Neovim itself would insert the whole suggestion behind what was typed along it."""
    suggested(editor)
    editor.lua("vim.api.nvim_feedkeys('tax', 'nt', false)")
    until(lambda: editor.lines()[-1].strip() == "tax", "the letters", editor.told)
    editor.lua("require('qwen_lsp').accept()")
    until(lambda: editor.text().endswith(f"{FIRST}\n{SECOND}"), "the text", editor.told)


def test_a_suggestion_that_the_text_left_is_not_inserted(editor: Neovim) -> None:
    suggested(editor)
    before = editor.text()
    editor.lua("vim.api.nvim_feedkeys('x = 1', 'nt', false)")
    until(lambda: editor.lines()[-1].strip() == "x = 1", "the letters", editor.told)
    editor.lua("require('qwen_lsp').accept()")
    editor.terminal.keys("Escape")
    until(lambda: editor.mode() == "n", "normal mode")
    assert editor.text() == before + "x = 1"


def test_a_word_a_line_and_the_rest_are_accepted(editor: Neovim) -> None:
    suggested(editor)
    editor.terminal.keys("M-w")
    until(lambda: editor.lines()[-1] == "        taxed", "a word", editor.told)
    editor.shows_ghost(f"{FIRST.lstrip().removeprefix('taxed')}\n{SECOND}")
    editor.terminal.keys("M-w")
    until(lambda: editor.lines()[-1] == "        taxed =", "a sign", editor.told)
    editor.shows_ghost(f"{FIRST.lstrip().removeprefix('taxed =')}\n{SECOND}")
    editor.terminal.keys("M-l")
    until(lambda: editor.lines()[-1] == FIRST, "a line", editor.told)
    editor.shows_ghost(f"\n{SECOND}")
    editor.terminal.keys("C-l")
    until(lambda: editor.text().endswith(f"{FIRST}\n{SECOND}"), "the rest", editor.told)
    until(lambda: len(reported(editor)) == 4, "four reports", lambda: reported(editor))
    assert [arguments[1:] for arguments in reported(editor)] == [[5], [2], [len(FIRST) - 15], []]


def test_a_dismissed_suggestion_is_gone(editor: Neovim) -> None:
    suggested(editor)
    before = editor.text()
    editor.terminal.keys("M-x")
    until(lambda: editor.ghost() == "", "no ghost text", editor.told)
    assert editor.lua("return require('qwen_lsp').accept()") is False
    assert editor.text() == before
    assert reported(editor) == []


def test_emoji_and_crlf_survive(editor: Neovim) -> None:
    priced(editor)
    editor.terminal.keys("C-l")
    until(lambda: editor.text().endswith(project.PRICE.rstrip()), "the text", editor.told)
    editor.terminal.keys("Escape")
    editor.ex("write")
    wanted = project.BASKET + f"\n{project.PRICE_TYPED}\n{project.PRICE}".replace("\n", "\r\n")
    assert (editor.root / "shop/basket.py").read_bytes().decode() == wanted


def test_a_code_action_is_listed_and_applied(editor: Neovim) -> None:
    editor.edit("shop/stock.py")
    editor.lua("vim.fn.search('pass')")
    editor.terminal.keys("g", "r", "a")
    editor.terminal.shows("1: Qwen: fill in is_empty")
    editor.terminal.keys("1", "Enter")
    until(lambda: editor.lines()[-1] == f"        {project.IS_EMPTY}", "the body", editor.told)


def test_the_status_line_says_what_there_is(editor: Neovim) -> None:
    editor.edit("shop/stock.py")
    editor.terminal.shows(" qwen\n")
    editor.terminal.keys("G", "o")
    editor.terminal.text(project.NOTHING_TYPED)
    editor.wait(f"{STATUS}.reason ~= ''", "a reason")
    reason = editor.lua(f"return {STATUS}.reason")
    editor.terminal.shows(f"qwen: {reason}"[:40])
    editor.terminal.keys("Escape")
    editor.terminal.text(":QwenWhy")
    editor.terminal.keys("Enter")
    editor.terminal.shows(f"inline: {reason}"[:40])


def test_a_killed_daemon_comes_back(editor: Neovim, daemons: Daemons) -> None:
    suggested(editor)
    editor.terminal.keys("Escape")
    [first] = daemons.running()
    os.kill(first["pid"], signal.SIGKILL)
    priced(editor)
    [second] = daemons.running()
    assert second["pid"] != first["pid"]
    editor.wait(f"{STATUS}.state == 'ready'", "ready")


def test_a_refresh_asks_again(editor: Neovim) -> None:
    suggested(editor)
    editor.lua(
        "vim.api.nvim_buf_clear_namespace(0, vim.api.nvim_get_namespaces()['nvim.lsp.inline_completion'], 0, -1)"
    )
    n_before = len(editor.session().sent("editor", "textDocument/inlineCompletion"))
    editor.lua("require('qwen_lsp.suggestion').on_refresh(nil, { uri = vim.uri_from_bufnr(0) })")
    until(
        lambda: len(editor.session().sent("editor", "textDocument/inlineCompletion")) > n_before,
        "another request",
    )
    editor.shows_ghost(f"{FIRST.lstrip()}\n{SECOND}")


def test_health_tells_the_whole_chain(editor: Neovim) -> None:
    editor.edit("shop/stock.py")
    editor.ex("checkhealth qwen_lsp")
    report = editor.text()
    assert "ERROR" not in report, report
    for line in ("shows ghost text", "the server is", "engine: ", "completion: ", "client 1, 1 buffers"):
        assert line in report, report


def test_health_says_which_server_is_started_and_what_to_do_where_there_is_none(editor: Neovim, tmp_path: Path) -> None:
    """A configured path; a program on the PATH, as pipx and uv put it there; and neither."""

    def health(cmd: str, path: Path | None = None) -> str:
        # The server of the tests runs already: only the report is about another.
        editor.lua("vim.lsp.config('qwen_lsp', { cmd = { ... } })", cmd)
        editor.lua("vim.env.PATH = (...) .. ':' .. vim.env.PATH", str(path or tmp_path / "none"))
        editor.ex("checkhealth qwen_lsp")
        return editor.text()

    program = tmp_path / "bin" / "qwen-lsp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m qwen_lsp "$@"\n', "utf-8")
    program.chmod(0o755)
    editor.edit("shop/stock.py")
    report = health("/nowhere/qwen-lsp")
    assert "ERROR /nowhere/qwen-lsp is not there" in report
    assert "run scripts/install, put .venv/bin on the PATH, or name the program in vim.lsp.config" in report
    for report in (health(str(program)), health("qwen-lsp", program.parent)):
        assert f"OK the server is {program}" in report, report
        assert "ERROR" not in report, report


def test_help_is_found_at_once(editor: Neovim) -> None:
    editor.edit("shop/stock.py")
    editor.ex("help :QwenRefactor")
    assert editor.rpc.call("nvim_buf_get_name", 0) == str(ROOT / "editors/neovim/doc/qwen_lsp.txt")
    assert ":QwenRefactor" in editor.rpc.call("nvim_get_current_line")


def test_neovim_0_11_has_the_menu_and_says_what_it_lacks(daemons: Daemons) -> None:
    with started(daemons, neovim, "nvim-0.11") as editor:
        editor.edit("shop/stock.py")
        editor.terminal.keys("G", "o", "Enter")
        editor.terminal.text(project.TOTAL_TYPED)
        editor.ex("set completeopt=menuone,noinsert,popup")
        editor.terminal.keys("Enter", "C-x", "C-o")
        editor.terminal.shows(f"{FIRST.lstrip()[:40]}", "Text", "round(taxed, 2)")
        editor.terminal.keys("C-y")
        until(lambda: editor.text().endswith(f"{FIRST}\n{SECOND}"), "the item's text", editor.told)
        editor.terminal.keys("M-w")
        until(lambda: "ghost text needs Neovim 0.12" in editor.told(), "a word about it", editor.told)
        editor.terminal.keys("Escape")
        editor.ex("checkhealth qwen_lsp")
        assert "WARNING" in editor.text() and "completion menu" in editor.text()


def test_the_pictures_show_ghost_text_and_code_actions(editor: Neovim, tmp_path: Path) -> None:
    editor.terminal.resize(*PICTURE)
    editor.edit("shop/stock.py")
    editor.terminal.shows("def is_empty", " qwen")
    suggested(editor)
    editor.terminal.shows(FIRST, SECOND)
    taken(editor.terminal.colours(), tmp_path, "editors/neovim/images/ghost-text.png")
    editor.terminal.keys("Escape")
    editor.ex("edit!")
    editor.lua("vim.fn.search('pass')")
    editor.terminal.keys("g", "r", "a")
    editor.terminal.shows("Qwen: fill in is_empty", "Type number")
    taken(editor.terminal.colours(), tmp_path, "editors/neovim/images/code-actions.png")
    editor.terminal.keys("Enter")


def test_the_help_tags_are_those_of_the_text() -> None:
    doc = ROOT / "editors/neovim/doc"
    in_text = set(re.findall(r"\*(\S+)\*(?:\s|$)", (doc / "qwen_lsp.txt").read_text("utf-8")))
    tags = {line.split("\t")[0] for line in (doc / "tags").read_text("utf-8").splitlines()}
    assert tags == in_text, "run :helptags editors/neovim/doc"
