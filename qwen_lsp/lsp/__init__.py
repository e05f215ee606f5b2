"""The only rooms where LSP's types and methods are known. No prompt, no model and no language in here."""
