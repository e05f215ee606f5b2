"""`qwen-lsp setup`: a model is fetched by the other package, tried here, and put into the user's settings."""
