-- The server for Neovim 0.11+ (inline completion: 0.12+). See ../README.md.
return {
  cmd = { 'qwen-lsp' },
  filetypes = {
    'c', 'cpp', 'cs', 'css', 'go', 'html', 'java', 'javascript', 'javascriptreact', 'kotlin', 'lua', 'php', 'python', 'ruby', 'rust', 'scala',
    'sh', 'swift', 'typescript', 'typescriptreact',
  },
  root_markers = { '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
}
