--- Neovim 0.11, without ghost text: the whole of an item that was taken from the completion menu. Neovim itself inserts
--- its first word.
local M = {}

--- Put the item's text where its word was inserted, and say so to the server.
local function take(bufnr, client, item)
  local edit = item.textEdit
  if not edit or vim.api.nvim_get_current_buf() ~= bufnr then return end
  local row, col = unpack(vim.api.nvim_win_get_cursor(0))
  if edit.range.start.line ~= row - 1 then return end
  local line = vim.api.nvim_get_current_line()
  local start = vim.str_byteindex(line, client.offset_encoding, edit.range.start.character, false)
  if start > col then return end
  local lines = vim.split(edit.newText, '\n', { plain = true })
  vim.api.nvim_buf_set_text(bufnr, row - 1, start, row - 1, col, lines)
  vim.api.nvim_win_set_cursor(0, { row - 1 + #lines, #lines == 1 and start + #lines[1] or #lines[#lines] })
  if item.command then client:exec_cmd(item.command, { bufnr = bufnr }) end
end

function M.on_attach(bufnr)
  vim.api.nvim_create_autocmd('CompleteDone', {
    group = vim.api.nvim_create_augroup('qwen_lsp_menu:' .. bufnr, {}),
    buffer = bufnr,
    callback = function()
      local lsp = vim.tbl_get(vim.v.completed_item, 'user_data', 'nvim', 'lsp')
      local client = lsp and lsp.client_id and vim.lsp.get_client_by_id(lsp.client_id)
      if client and client.name == 'qwen_lsp' and vim.v.event.reason == 'accept' then
        vim.schedule(function() take(bufnr, client, lsp.completion_item) end)
      end
    end,
  })
end

return M
