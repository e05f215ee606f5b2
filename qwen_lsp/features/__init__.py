"""What a user asks for: completions and actions. No LSP and no HTTP in here."""
