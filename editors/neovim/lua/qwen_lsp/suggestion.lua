--- Ghost text: Neovim 0.12 asks and shows, this takes all or a part of it. Knows no command but `qwen.accepted`.
---
--- Neovim goes on showing a suggestion while text is typed along it, but would then insert all of it. What is taken
--- here is the rest, and nothing where the typed text has gone another way.
local M = {}

local WORD = [[\v^\_s*%(\k+|%(\k@!\S)+)]]
local LINE = [[\v^\n*[^\n]*]]

--- The built-in module, or nil with a word to the user.
local function inline()
  if vim.lsp.inline_completion then return vim.lsp.inline_completion end
  vim.notify_once('qwen-lsp: ghost text needs Neovim 0.12; use CTRL-X CTRL-O', vim.log.levels.WARN)
end

--- What is still to be inserted at the cursor and where what it replaces ends; nil where the suggestion is stale.
local function rest(bufnr, item)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  row = row - 1
  local first, last = { row, col }, { row, col }
  if item.range then
    local start_row, start_col, end_row, end_col = item.range:to_extmark()
    first = { start_row, start_col }
    if end_row > row or (end_row == row and end_col > col) then last = { end_row, end_col } end
  end
  if first[1] > row or (first[1] == row and first[2] > col) then return end
  local typed = table.concat(vim.api.nvim_buf_get_text(bufnr, first[1], first[2], row, col, {}), '\n')
  if not vim.startswith(item.insert_text, typed) then return end
  return item.insert_text:sub(#typed + 1), { row, col }, last
end

--- Insert `text` between two places and put the cursor behind it.
local function put(bufnr, text, from, to)
  local lines = vim.split(text, '\n', { plain = true })
  vim.api.nvim_buf_set_text(bufnr, from[1], from[2], to[1], to[2], lines)
  local col = #lines == 1 and from[2] + #text or #lines[#lines]
  vim.api.nvim_win_set_cursor(0, { from[1] + #lines, col })
end

--- Take what `pattern` matches of the item, all of it without one; say so to the server.
local function take(item, pattern)
  local client = vim.lsp.get_client_by_id(item.client_id)
  if not client or type(item.insert_text) ~= 'string' then return item end -- a snippet of another server's
  local bufnr = vim.api.nvim_get_current_buf()
  local text, from, to = rest(bufnr, item)
  if not text or not from or not to then return end
  local part = pattern and vim.fn.matchstr(text, pattern) or text
  if part == '' then part = text end
  local is_whole = part == text
  put(bufnr, part, from, is_whole and to or from)
  local command = item.command
  if command and client.name == 'qwen_lsp' and not is_whole then
    command = vim.deepcopy(command)
    command.arguments = { command.arguments[1], vim.str_utfindex(part, 'utf-16') }
  elseif not is_whole then
    command = nil -- what it means for a part is not ours to know
  end
  if command then client:exec_cmd(command, { bufnr = bufnr }) end
end

local function taking(pattern)
  return function()
    local module = inline()
    return module ~= nil and module.get({ on_accept = function(item) return take(item, pattern) end })
  end
end

--- Each of these returns whether there was a suggestion: a mapping can do something else where there was none.
M.accept = taking(nil)
M.accept_word = taking(WORD)
M.accept_line = taking(LINE)

function M.dismiss()
  local module = inline()
  return module ~= nil and module.get({ on_accept = function() end })
end

--- Have Neovim ask for a suggestion, as after a key. There is no call for it: an event of Neovim's does it.
local function ask(bufnr)
  if bufnr == vim.api.nvim_get_current_buf() and vim.startswith(vim.api.nvim_get_mode().mode, 'i') then
    local group = 'nvim.lsp.inline_completion:' .. bufnr
    pcall(vim.api.nvim_exec_autocmds, 'CursorMovedI', { group = group, buffer = bufnr, modeline = false })
  end
end

local METHOD = 'textDocument/inlineCompletion'
local asked_for = {} --- @type table<integer, string> where more was asked for last, by buffer

local function place(bufnr)
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  return ('%d %d %d'):format(vim.api.nvim_buf_get_changedtick(bufnr), row, col)
end

local function is_shown(bufnr)
  local namespace = vim.api.nvim_get_namespaces()['nvim.lsp.inline_completion']
  return namespace ~= nil and #vim.api.nvim_buf_get_extmarks(bufnr, namespace, 0, -1, {}) > 0
end

--- Neovim never says that somebody pressed a key, and then there is one suggestion only. Its next question says so; the
--- step is made when the answer is there.
local function ask_for_more(client, bufnr, step)
  local request = client.request
  client.request = function(self, method, params, handler, ...)
    if method ~= METHOD then return request(self, method, params, handler, ...) end
    client.request = request
    params.context.triggerKind = vim.lsp.protocol.InlineCompletionTriggerKind.Invoked
    local function answered(...)
      handler(...)
      vim.lsp.inline_completion.select({ bufnr = bufnr, count = step })
    end
    return request(self, method, params, answered, ...)
  end
  ask(bufnr)
end

--- Another suggestion for this place, `step` further. The first time they must be made.
local function other(step)
  local module = inline()
  if not module then return end
  local bufnr = vim.api.nvim_get_current_buf()
  local client = vim.lsp.get_clients({ name = 'qwen_lsp', bufnr = bufnr })[1]
  if not client or asked_for[bufnr] == place(bufnr) then return module.select({ count = step }) end
  asked_for[bufnr] = place(bufnr)
  ask_for_more(client, bufnr, is_shown(bufnr) and step or 0)
end

function M.next() other(vim.v.count1) end
function M.previous() other(-vim.v.count1) end

--- Ghost text is on for our buffers unless `vim.g.qwen_lsp_ghost_text` is false. Who typed while the server started
--- waits for it already.
function M.on_attach(bufnr)
  if not vim.lsp.inline_completion then
    require('qwen_lsp.menu').on_attach(bufnr)
  elseif vim.g.qwen_lsp_ghost_text ~= false then
    vim.lsp.inline_completion.enable(true, { bufnr = bufnr })
    vim.schedule(function() ask(bufnr) end)
  end
end

--- A suggestion came after Neovim had stopped waiting for it.
function M.on_refresh(_, params) ask(vim.uri_to_bufnr(params.uri)) end

return M
