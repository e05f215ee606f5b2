"""Keys of the Neovim plugin: none is mapped by itself; the one for another suggestion has some more made."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project
from tests.e2e.editors.neovim import ROOT, Neovim, configuration, neovim
from tests.e2e.editors.places import need
from tests.e2e.editors.starting import started
from tests.e2e.editors.terminal import private, until

pytestmark = [pytest.mark.editors, pytest.mark.timeout(300)]

INLINE, INVOKED, AUTOMATIC = "textDocument/inlineCompletion", 1, 2
OTHER = "return 0"
# An answer to what somebody pressed a key for has one suggestion more.
ANOTHER = """
local client, text = vim.lsp.get_clients({ name = 'qwen_lsp' })[1], ...
local request = client.request
client.request = function(self, method, params, handler, ...)
  if method ~= 'textDocument/inlineCompletion' or params.context.triggerKind ~= 1 then
    return request(self, method, params, handler, ...)
  end
  return request(self, method, params, function(err, result, context)
    table.insert(result.items, vim.tbl_extend('force', result.items[1], { insertText = text }))
    handler(err, result, context)
  end, ...)
end
"""
# Mode and key of every mapping.
MAPPED = """
local found = {}
for mode in ('nixo'):gmatch('.') do
  for _, map in ipairs(vim.api.nvim_get_keymap(mode)) do table.insert(found, { mode, map.lhs }) end
end
io.write(vim.json.encode(found))
""".replace("\n", " ")


@pytest.fixture
def editor(daemons: Daemons) -> Iterator[Neovim]:
    with started(daemons, neovim, "nvim") as found:
        yield found


def begins(editor: Neovim, text: str) -> None:
    """Wait for ghost text; behind its first line Neovim says which one of how many it is."""
    until(lambda: editor.ghost().startswith(text), f"the ghost text {text!r}", lambda: f"{editor.ghost()!r}")


def test_another_suggestion_is_asked_for_and_chosen(editor: Neovim) -> None:
    """The scripted engine has one only: a second is put into the answer to what a key asks for."""
    editor.edit("shop/stock.py")
    editor.terminal.keys("G", "o", "Enter")
    editor.terminal.text(project.TOTAL_TYPED)
    editor.terminal.keys("Enter")
    best, _ = project.TOTAL.strip().split("\n")
    begins(editor, best)
    asked = [m["params"]["context"]["triggerKind"] for m in editor.session().sent("editor", INLINE)]
    assert set(asked) == {AUTOMATIC}
    editor.lua(ANOTHER, OTHER)
    editor.terminal.keys("M-n")
    begins(editor, OTHER)
    assert editor.session().sent("editor", INLINE)[-1]["params"]["context"]["triggerKind"] == INVOKED
    editor.terminal.keys("M-p")
    begins(editor, best)
    editor.terminal.keys("M-n")
    begins(editor, OTHER)
    assert len(editor.session().sent("editor", INLINE)) == len(asked) + 1, "what is known is not asked for again"
    editor.terminal.keys("C-l")
    until(lambda: editor.text().endswith(f"{project.TOTAL_TYPED}\n        {OTHER}"), "the text", editor.told)


def test_no_key_is_mapped_and_those_of_the_readme_are_free(tmp_path: Path) -> None:
    program, environ = str(need("nvim")), private(tmp_path)

    def mapped(*commands: str) -> set[tuple[str, str]]:
        """Mode and key of every mapping after these commands, in a Neovim of nobody's."""
        arguments = [part for each in (*commands, f"lua {MAPPED}", "qa!") for part in ("-c", each)]
        command = [program, "--clean", "--headless", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
        return {(mode, key) for mode, key in json.loads(done.stdout)}

    before = mapped()
    plugin = mapped(f"set runtimepath+={ROOT / 'editors/neovim'}", "runtime plugin/qwen_lsp.lua") - before
    assert {mode for mode, _ in plugin} == {"i"} and all(key.startswith("<Plug>(qwen-") for _, key in plugin), plugin
    keys = re.findall(r"vim\.keymap\.set\('i', '([^']+)'", configuration())
    assert len(keys) == 6 and not {key.lower() for key in keys} & {key.lower() for mode, key in before if mode == "i"}
