--- What the server last said of itself (`qwen/status`), and a line of it for the status line. Asks nothing.
local M = {}

local LINE_CHARS = 48 -- leaves room for a file name on a narrow screen
local by_client = {} --- @type table<integer, table>

function M.on_status(_, params, context)
  by_client[context.client_id] = params
  vim.api.nvim_exec_autocmds('User', { pattern = 'QwenStatus', modeline = false, data = params })
  vim.cmd.redrawstatus({ bang = true })
end

--- The client that serves a buffer, the current one by default.
function M.client(bufnr)
  return vim.lsp.get_clients({ name = 'qwen_lsp', bufnr = bufnr or 0 })[1]
end

--- What the server said last; nil before it said anything, or where there is none.
function M.of(client)
  return client and by_client[client.id] or nil
end

local function said(status)
  if status.paused then return 'paused' end
  if status.state == 'failed' then return 'failed: ' .. (status.detail or '') end
  if status.state ~= 'ready' then return status.detail ~= '' and status.detail or status.state end
  return status.reason or ''
end

--- One short line; empty where the buffer is not served.
function M.line()
  local client = M.client()
  if not client then return '' end
  local status = M.of(client)
  local text = status and said(status) or 'starting'
  local line = text == '' and 'qwen' or 'qwen: ' .. text:gsub('%s+', ' ')
  return vim.fn.strchars(line) > LINE_CHARS and vim.fn.strcharpart(line, 0, LINE_CHARS - 1) .. '…' or line
end

return M
