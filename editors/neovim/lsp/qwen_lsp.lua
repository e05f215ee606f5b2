-- The server for Neovim 0.11+ (inline completion: 0.12+): `vim.lsp.enable('qwen_lsp')`. See ../README.md.
local here = vim.fs.dirname(debug.getinfo(1, 'S').source:sub(2))
local checkout = vim.fs.normalize(vim.fs.joinpath(here, '../../../.venv/bin/qwen-lsp'))

vim.cmd.runtime('plugin/qwen_lsp.lua') -- where the runtime path was set too late for it

return {
  -- A checkout that scripts/install has been run in serves itself; else the program is on the PATH.
  cmd = { vim.fn.executable(checkout) == 1 and checkout or 'qwen-lsp' },
  filetypes = {
    'bash', 'c', 'cpp', 'cs', 'css', 'go', 'html', 'java', 'javascript', 'javascriptreact', 'json', 'kotlin', 'lua', 'markdown', 'php', 'python',
    'ruby', 'rust', 'scala', 'sh', 'swift', 'toml', 'typescript', 'typescriptreact', 'yaml',
  },
  root_markers = { '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
  capabilities = {
    -- Neovim 0.11 says nothing of annotations, and it need not: the handler of edits below is ours.
    workspace = { workspaceEdit = { changeAnnotationSupport = { groupsOnLabel = true } } },
    experimental = { qwen = { refresh = true, markdown = true } },
  },
  handlers = {
    ['qwen/status'] = function(...) return require('qwen_lsp.status').on_status(...) end,
    ['qwen/refresh'] = function(...) return require('qwen_lsp.suggestion').on_refresh(...) end,
    ['window/showMessage'] = function(...) return require('qwen_lsp.command').on_message(...) end,
    ['workspace/applyEdit'] = function(...) return require('qwen_lsp.edits').on_apply(...) end,
  },
}
