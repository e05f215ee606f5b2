"""Whether what a prompt shows of files is still what they say. Pure; the texts are handed in."""

from collections.abc import Callable, Iterable

from qwen_lsp.context.pack import ContextFile


def untrue(files: Iterable[ContextFile], text_of: Callable[[str], str | None]) -> frozenset[str]:
    """The paths of those excerpts whose lines their files no longer have in that order."""
    return frozenset(file.path for file in files if not _is_true(file.text, text_of(file.path) or ""))


def _is_true(shown: str, text: str) -> bool:
    """White space does not count: a signature is shown on one line, wherever its file breaks it."""
    at, text = 0, "".join(text.split())
    for line in shown.split("\n"):
        wanted = "".join(line.split())
        at = text.find(wanted, at) + len(wanted)
        if at < len(wanted):
            return False
    return True
