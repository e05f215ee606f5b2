"""The findings of one output as they are read: each place and message once."""

from qwen_lsp.verify.output.places import Places
from qwen_lsp.verify.verdict import Finding, Severity

MESSAGE_CHARACTERS = 600  # a diff of two long values tells no more than its beginning


class Seen:
    """Collects. A reader hands in what it read; a name that is no file of the workspace is refused."""

    def __init__(self, places: Places, check: str) -> None:
        self._places, self._check = places, check
        self._found: dict[tuple[str, int, int, str], Finding] = {}

    def place(self, name: str) -> str | None:
        """The path below the root of what a tool calls `name`."""
        return self._places.of(name)

    def add(self, name: str, line: int, column: int, severity: Severity, message: str, rule: str = "") -> bool:
        """Whether `name` is a file of the workspace, so that the message counts."""
        path = self._places.of(name)
        if path is None:
            return False
        self._put(Finding(path, line, column, severity, _clean(message), rule, check=self._check))
        return True

    def add_test(self, test: str, name: str, line: int, message: str) -> None:
        """A test failed; where it is defined or where it broke may be unknown."""
        path = self._places.of(name) if name else None
        known = path or ""
        self._put(
            Finding(known, line if known else 0, 0, "error", _clean(message), test, is_test=True, check=self._check)
        )

    def found(self) -> tuple[Finding, ...]:
        """All of them."""
        return tuple(self._found.values())

    def _put(self, finding: Finding) -> None:
        key = ("", 0, 0, finding.rule) if finding.is_test else _key(finding)
        old = self._found.get(key)
        if old is None or (finding.is_test and not old.line and finding.line):
            self._found[key] = finding


def _key(finding: Finding) -> tuple[str, int, int, str]:
    return finding.path, finding.line, finding.column, finding.message


def _clean(message: str) -> str:
    """Printable, on one line, and not endless."""
    text = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return text if len(text) <= MESSAGE_CHARACTERS else text[: MESSAGE_CHARACTERS - 1] + "…"
