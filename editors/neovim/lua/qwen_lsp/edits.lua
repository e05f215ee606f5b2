--- `workspace/applyEdit` of our server, all or nothing. Neovim's own handler checks the version of the first file only,
--- asks for each file apart, and says that all was applied when some of it was refused.
local M = {}

--- The files of an edit with what is done to them, in order.
local function files(edit)
  local found = {}
  for _, change in ipairs(edit.documentChanges or {}) do
    local uri = change.uri or change.newUri or change.textDocument.uri
    table.insert(found, { uri = uri, kind = change.kind or 'change', change = change })
  end
  for uri, edits in pairs(edit.changes or {}) do
    table.insert(found, { uri = uri, kind = 'change', change = { textDocument = { uri = uri }, edits = edits } })
  end
  return found
end

--- The name of the first file that is not as the edit expects it.
local function stale(found)
  for _, file in ipairs(found) do
    local version = file.change.textDocument and file.change.textDocument.version
    local bufnr = vim.uri_to_bufnr(file.uri)
    if version and version ~= vim.NIL and vim.api.nvim_buf_is_loaded(bufnr) and vim.lsp.util.buf_versions[bufnr] ~= version then
      return vim.fn.fnamemodify(vim.uri_to_fname(file.uri), ':.')
    end
  end
end

--- Why somebody is to look first: what is said of the parts that need it. Nil where none does.
local function reasons(edit)
  local found
  for _, annotation in pairs(edit.changeAnnotations or {}) do
    if annotation.needsConfirmation then
      found = (found and found .. '; ' or '') .. (annotation.description or annotation.label)
    end
  end
  return found
end

--- What the edit would do, as a diff.
local function diff(found, encoding)
  local compare = vim.text and vim.text.diff or vim.diff
  local shown = {}
  for _, file in ipairs(found) do
    local name = vim.fn.fnamemodify(vim.uri_to_fname(file.uri), ':.')
    if file.kind ~= 'change' then
      table.insert(shown, ('%s %s'):format(file.kind, name))
    else
      local source = vim.uri_to_bufnr(file.uri)
      if vim.fn.filereadable(vim.uri_to_fname(file.uri)) == 1 then vim.fn.bufload(source) end
      local before = vim.api.nvim_buf_get_lines(source, 0, -1, false)
      local scratch = vim.api.nvim_create_buf(false, true)
      vim.api.nvim_buf_set_lines(scratch, 0, -1, false, before)
      local edits = vim.deepcopy(file.change.edits)
      for _, each in ipairs(edits) do each.annotationId = nil end
      vim.lsp.util.apply_text_edits(edits, scratch, encoding)
      local after = vim.api.nvim_buf_get_lines(scratch, 0, -1, false)
      vim.api.nvim_buf_delete(scratch, { force = true })
      table.insert(shown, ('--- %s\n+++ %s'):format(name, name))
      table.insert(shown, (compare(table.concat(before, '\n') .. '\n', table.concat(after, '\n') .. '\n')))
    end
  end
  return vim.split(table.concat(shown, '\n'), '\n', { trimempty = true })
end

--- Whether the user wants it. The diff is shown in a tab page that is gone afterwards.
local function confirmed(label, why, found, encoding)
  local names = {}
  for _, file in ipairs(found) do
    local name = vim.fn.fnamemodify(vim.uri_to_fname(file.uri), ':.')
    table.insert(names, file.kind == 'change' and '  ' .. name or ('  %s (%s)'):format(name, file.kind))
  end
  local question = ('%s\n%s\n%s'):format(label or 'Qwen', why, table.concat(names, '\n'))
  local choice = vim.fn.confirm(question, '&Apply\n&Diff\n&Cancel', 3, 'Question')
  if choice ~= 2 then return choice == 1 end
  vim.cmd.tabnew()
  vim.bo.buftype, vim.bo.bufhidden, vim.bo.swapfile = 'nofile', 'wipe', false
  vim.api.nvim_buf_set_lines(0, 0, -1, false, diff(found, encoding))
  vim.bo.filetype = 'diff'
  vim.cmd.redraw()
  choice = vim.fn.confirm(label or 'Qwen', '&Apply\n&Cancel', 2, 'Question')
  vim.cmd.tabclose()
  return choice == 1
end

--- The edit without its annotations: what they ask for has been asked.
local function bare(edit)
  edit = vim.deepcopy(edit)
  edit.changeAnnotations = nil
  for _, change in ipairs(edit.documentChanges or {}) do
    change.annotationId = nil
    for _, each in ipairs(change.edits or {}) do each.annotationId = nil end
  end
  return edit
end

function M.on_apply(_, params, context)
  local client = assert(vim.lsp.get_client_by_id(context.client_id))
  local found = files(params.edit)
  local late = stale(found)
  if late then return { applied = false, failureReason = late .. ' changed meanwhile' } end
  local why = reasons(params.edit)
  if why and not confirmed(params.label, why, found, client.offset_encoding) then
    return { applied = false, failureReason = 'refused' }
  end
  local ok, message = pcall(vim.lsp.util.apply_workspace_edit, bare(params.edit), client.offset_encoding)
  return { applied = ok, failureReason = not ok and tostring(message) or nil }
end

return M
