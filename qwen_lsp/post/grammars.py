"""Tree-sitter grammars by language id, loaded when first asked for. Knows no editor and no model.

A language without a grammar has no tree: whoever asks lets the text pass.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module

from tree_sitter import Language, Parser, Tree

# language id -> (wheel, its function)
_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "javascriptreact": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "typescriptreact": ("tree_sitter_typescript", "language_tsx"),
    "rust": ("tree_sitter_rust", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
}


@cache
def _language(language_id: str) -> Language | None:
    try:
        module, function = _GRAMMARS[language_id]
        load: Callable[[], object] = getattr(import_module(module), function)
    except (KeyError, ImportError):
        return None
    return Language(load())


def encode(text: str) -> bytes:
    """The bytes that trees count in; a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def parse(language_id: str, data: bytes, old: Tree | None = None) -> Tree | None:
    """The tree of `data`, reusing `old` (already edited) where given; None without a grammar."""
    language = _language(language_id)
    if language is None:
        return None
    parser = Parser(language)
    return parser.parse(data, old) if old is not None else parser.parse(data)
