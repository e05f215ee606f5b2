"""`qwen-lsp doctor`: is everything there from the packages to a completion, and what to do where it is not."""
