"""The language server: editors, code and prompts. It never loads a model and never imports `inference`."""

__version__ = "0.1.0"
