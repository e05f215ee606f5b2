--- What a user's configuration may call. See |qwen_lsp|.
local command = require('qwen_lsp.command')
local suggestion = require('qwen_lsp.suggestion')

return {
  accept = suggestion.accept,
  accept_word = suggestion.accept_word,
  accept_line = suggestion.accept_line,
  next = suggestion.next,
  previous = suggestion.previous,
  dismiss = suggestion.dismiss,

  refactor = command.refactor,
  cancel = command.cancel,
  explain = command.explain,
  why = command.why,
  context = command.context,
  pause = command.pause,
  trust = command.trust,
  stats = command.stats,
  log = command.log,

  statusline = function() return require('qwen_lsp.status').line() end,
}
