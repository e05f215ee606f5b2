"""What editors call the language of a file, for the few places that read files without an editor."""

from pathlib import PurePath

_BY_SUFFIX = {
    ".c": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cs": "csharp",
    ".go": "go",
    ".h": "c",
    ".hpp": "cpp",
    ".java": "java",
    ".js": "javascript",
    ".jsx": "javascriptreact",
    ".kt": "kotlin",
    ".lua": "lua",
    ".php": "php",
    ".py": "python",
    ".rb": "ruby",
    ".rs": "rust",
    ".sh": "shellscript",
    ".swift": "swift",
    ".ts": "typescript",
    ".tsx": "typescriptreact",
}


def language_of(path: str | PurePath) -> str | None:
    """The language id by the file's suffix; None for what is not source code."""
    return _BY_SUFFIX.get(PurePath(path).suffix)
