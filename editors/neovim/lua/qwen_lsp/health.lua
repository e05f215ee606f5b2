--- `:checkhealth qwen_lsp`: from the version of Neovim to what the server says of itself.
local status = require('qwen_lsp.status')

local M = {}

local DOCTOR_MS = 60000 -- the first start of the engine on a slow machine
local health = vim.health

local function neovim()
  local version = tostring(vim.version())
  if vim.fn.has('nvim-0.11') == 0 then
    health.error(('Neovim %s is too old'):format(version), 'Neovim 0.11 has vim.lsp.config; ghost text needs 0.12')
  elseif vim.lsp.inline_completion then
    health.ok(('Neovim %s shows ghost text'):format(version))
  else
    health.warn(('Neovim %s has no ghost text: suggestions are items of the completion menu'):format(version), 'Neovim 0.12 has it')
  end
end

--- The command that would be started, if it can be.
local function program()
  local config = vim.lsp.config and vim.lsp.config.qwen_lsp
  local cmd = config and config.cmd
  if type(cmd) ~= 'table' then
    health.error('there is no configuration named qwen_lsp', "add editors/neovim to 'runtimepath' before vim.lsp.enable('qwen_lsp')")
    return
  end
  if vim.fn.executable(cmd[1]) == 0 then
    health.error(('%s is not there'):format(cmd[1]), 'run scripts/install, put .venv/bin on the PATH, or name the program in vim.lsp.config')
    return
  end
  health.ok(('the server is %s'):format(vim.fn.exepath(cmd[1])))
  return cmd
end

--- Lines of `qwen-lsp doctor`, which starts the engine if it has to.
local function doctor(cmd)
  local done = vim.system(vim.list_extend(vim.list_slice(cmd), { 'doctor', '--json' }), { text = true, timeout = DOCTOR_MS }):wait()
  local ok, report = pcall(vim.json.decode, done.stdout or '')
  if not ok or type(report) ~= 'table' or not report.checks then
    health.error('qwen-lsp doctor gave no report', vim.trim(done.stderr or ''))
    return
  end
  for _, check in ipairs(report.checks) do
    local line = ('%s: %s'):format(check.name, check.detail)
    if check.ok then health.ok(line) else health.error(line, check.fix ~= '' and check.fix or nil) end
  end
end

local function clients()
  local found = vim.lsp.get_clients({ name = 'qwen_lsp' })
  if #found == 0 then
    health.info("no buffer is served now: vim.lsp.enable('qwen_lsp'), then open a source file")
  end
  for _, client in ipairs(found) do
    local said = status.of(client) or {}
    local line = ('client %d, %d buffers, %s: %s'):format(
      client.id, vim.tbl_count(client.attached_buffers), client.root_dir or 'no folder', said.state or 'has said nothing yet'
    )
    if said.state == 'failed' then health.error(line, said.detail) else health.ok(line .. (said.model and said.model ~= '' and ', ' .. said.model or '')) end
    if said.reason and said.reason ~= '' then health.info('the last silence: ' .. said.reason) end
  end
  local others = vim.tbl_filter(function(client)
    return client.name ~= 'qwen_lsp' and client:supports_method('textDocument/inlineCompletion')
  end, vim.lsp.get_clients())
  for _, client in ipairs(others) do
    health.warn(('%s gives inline completions, too: both take turns'):format(client.name))
  end
end

function M.check()
  health.start('Neovim')
  neovim()
  health.start('The server')
  local cmd = program()
  if cmd then doctor(cmd) end
  health.start('Here')
  clients()
end

return M
