"""Texts, positions and edits: pure values, no I/O. Nothing here knows LSP, a language or a model."""
