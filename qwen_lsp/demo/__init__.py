"""`qwen-lsp demo`: a short story, played by a scripted editor on the real server. Nothing imports this but the CLI."""
