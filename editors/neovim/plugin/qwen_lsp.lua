-- Commands, <Plug> mappings and ghost text for the client named qwen_lsp. No key is mapped here.
if vim.g.loaded_qwen_lsp then return end
vim.g.loaded_qwen_lsp = true

local function command(name, options, run)
  vim.api.nvim_create_user_command(name, run, options)
end

command('QwenRefactor', { nargs = '*', range = true, desc = 'Change code across files, as an instruction says' }, function(call)
  require('qwen_lsp').refactor(call.args, call.range > 0 and { call.line1, call.line2 } or nil)
end)
command('QwenCancel', { desc = 'Stop what the last Qwen command began' }, function() require('qwen_lsp').cancel() end)
command('QwenExplain', { range = true, desc = 'Explain the selected lines' }, function(call)
  require('qwen_lsp').explain({ call.line1, call.line2 })
end)
command('QwenWhy', { desc = 'Why was there no suggestion' }, function() require('qwen_lsp').why() end)
command('QwenContext', { desc = 'What else of the workspace a prompt holds here' }, function() require('qwen_lsp').context() end)
command('QwenStats', { desc = 'What was asked, shown and taken' }, function() require('qwen_lsp').stats() end)
command('QwenLog', { desc = 'Open the log' }, function() require('qwen_lsp').log() end)

local function choices(...)
  local words = { ... }
  return function(lead)
    return vim.tbl_filter(function(word) return vim.startswith(word, lead) end, words)
  end
end
command('QwenPause', { nargs = '?', complete = choices('on', 'off'), desc = 'Pause suggestions, or go on' }, function(call)
  require('qwen_lsp').pause(call.args)
end)
command('QwenTrust', { nargs = '?', complete = choices('yes', 'no'), desc = 'May commands of this workspace run' }, function(call)
  require('qwen_lsp').trust(call.args)
end)

for name, what in pairs({
  accept = 'accept', ['accept-word'] = 'accept_word', ['accept-line'] = 'accept_line', next = 'next', previous = 'previous', dismiss = 'dismiss',
}) do
  vim.keymap.set('i', ('<Plug>(qwen-%s)'):format(name), function() require('qwen_lsp')[what]() end, { desc = 'qwen-lsp: ' .. name })
end

vim.api.nvim_create_autocmd('LspAttach', {
  group = vim.api.nvim_create_augroup('qwen_lsp', {}),
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == 'qwen_lsp' then require('qwen_lsp.suggestion').on_attach(event.buf) end
  end,
})
