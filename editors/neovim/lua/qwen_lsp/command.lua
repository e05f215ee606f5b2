--- The server's commands, asked and shown. What they do is the server's business.
local status = require('qwen_lsp.status')

local M = {}

local running --- @type { client: vim.lsp.Client, id: integer }?

local function tell(text, level)
  vim.notify('qwen-lsp: ' .. text, level or vim.log.levels.INFO)
end

local shown = '' -- by the server, last

--- A message of the server's, with one name before it instead of two.
function M.on_message(_, params)
  shown = params.message
  local kind = vim.lsp.protocol.MessageType
  local levels = { [kind.Error] = vim.log.levels.ERROR, [kind.Warning] = vim.log.levels.WARN, [kind.Info] = vim.log.levels.INFO }
  vim.notify(shown, levels[params.type] or vim.log.levels.DEBUG)
end

--- Run a command of the server; `done` gets its result. An error is told to the user here.
local function run(name, arguments, done)
  local client = status.client()
  if not client then return tell('it does not serve this buffer (:checkhealth qwen_lsp)', vim.log.levels.WARN) end
  local provider = client.server_capabilities.executeCommandProvider
  if not vim.list_contains(provider and provider.commands or {}, name) then
    return tell(('this server has no command %s'):format(name), vim.log.levels.WARN)
  end
  local bufnr = vim.api.nvim_get_current_buf()
  local id
  _, id = client:request('workspace/executeCommand', { command = name, arguments = arguments }, function(err, result)
    if running and running.id == id then running = nil end
    if err then
      local level = err.code == vim.lsp.protocol.ErrorCodes.RequestCancelled and vim.log.levels.INFO or vim.log.levels.ERROR
      -- The server says for itself why a change is none.
      return not vim.endswith(shown, err.message) and tell(err.message, level)
    end
    if done then done(result == vim.NIL and nil or result) end
  end, bufnr)
  running = id and { client = client, id = id }
end

local function show(lines, id)
  if #lines == 0 then return end
  vim.lsp.util.open_floating_preview(lines, 'markdown', { focus_id = id, border = 'rounded', max_width = 100, wrap = true })
end

--- Lines `first` to `last`, both counted from one, as the protocol's range.
local function range_of(lines)
  return { start = { line = lines[1] - 1, character = 0 }, ['end'] = { line = lines[2], character = 0 } }
end

local function here()
  return vim.uri_from_bufnr(0)
end

--- Markdown, if that is what came.
local function show_markdown(id)
  return function(result)
    if type(result) == 'table' and result.markdown then show(vim.split(result.markdown, '\n', { plain = true }), id) end
  end
end

--- Change code as `instruction` says; without one it is asked for. `lines`: the first and the last line that it is about.
function M.refactor(instruction, lines)
  local function ask(text)
    if not text or vim.trim(text) == '' then return end
    run('qwen.refactor', { { instruction = text, uri = here(), range = lines and range_of(lines) or nil } }, show_markdown('qwen_refactor'))
  end
  if instruction and instruction ~= '' then return ask(instruction) end
  vim.ui.input({ prompt = 'Qwen, refactor: ' }, ask)
end

--- Stop the command that runs, else the changes that code actions began; the server lets go of the model at once.
function M.cancel()
  if running then return running.client:cancel_request(running.id) end
  run('qwen.cancel', {})
end

function M.explain(lines)
  run('qwen.explain', { { uri = here(), range = range_of(lines) } }, show_markdown('qwen_explain'))
end

--- What became of the last requests, newest first.
function M.why()
  run('qwen.why', {}, function(answers)
    local lines = {}
    for _, answer in ipairs(answers or {}) do
      local times = answer.times > 1 and (' (%d times)'):format(answer.times) or ''
      local reason = answer.reason ~= '' and answer.reason or 'answered'
      table.insert(lines, ('- `%s` %s: %s%s'):format(answer.at:sub(12, 19), answer.feature, reason, times))
    end
    show(#lines > 0 and lines or { 'Nothing was asked yet.' }, 'qwen_why')
  end)
end

--- A result of names and values, nested ones by their path.
local function rows(value, path, found)
  if type(value) ~= 'table' then
    table.insert(found, ('- %s: %s'):format(path, tostring(value)))
    return found
  end
  local names = vim.tbl_keys(value)
  table.sort(names, function(one, two) return tostring(one) < tostring(two) end)
  for _, name in ipairs(names) do
    rows(value[name], path == '' and tostring(name) or path .. ' ' .. name, found)
  end
  return found
end

function M.stats()
  run('qwen.stats', {}, function(counts) show(rows(counts or {}, '', {}), 'qwen_stats') end)
end

--- What else of the workspace a prompt at the cursor holds.
function M.context()
  local client = status.client()
  local position = client and vim.lsp.util.make_position_params(0, client.offset_encoding).position
  run('qwen.context', { { uri = here(), position = position } }, function(found)
    local lines = {}
    for _, row in ipairs(found or {}) do
      table.insert(lines, '- ' .. (type(row) == 'table' and table.concat(rows(row, '', {}), ' '):gsub('%- ', '') or tostring(row)))
    end
    show(#lines > 0 and lines or { 'Only this file.' }, 'qwen_context')
  end)
end

--- `on`, `off`, or "" for the other one of both.
function M.pause(word)
  local arguments = {}
  if word == 'on' or word == 'off' then arguments = { { paused = word == 'on' } } end
  run('qwen.pause', arguments, function(result)
    tell(result and result.paused and 'suggestions are paused' or 'suggestions go on')
  end)
end

--- `yes` (also ""), or `no`.
function M.trust(word)
  run('qwen.trust', { { trusted = word ~= 'no' } }, function()
    tell(word ~= 'no' and 'commands of this workspace may run' or 'commands of this workspace may not run')
  end)
end

function M.log()
  run('qwen.log', {}, function(path)
    if path then vim.cmd.split(vim.fn.fnameescape(path)) else tell('there is no log') end
  end)
end

return M
