"""What tools print, as findings. Pure: text in, findings out; which tool ran is not asked, every format is looked for.

A message counts only where it names a file of the workspace, so that a log line which looks like one does no harm.
"""

import re

from qwen_lsp.verify.output import cargo, lines, python, script
from qwen_lsp.verify.output.places import Places
from qwen_lsp.verify.output.seen import Seen
from qwen_lsp.verify.verdict import Finding

__all__ = ["Places", "parse"]

LINE_CHARACTERS = 2_000  # what is longer is data; the expressions look at its beginning
FINDINGS = 1_000  # more is one mistake many times
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_LINE_END = re.compile(r"\r*\n")


def parse(output: str, places: Places, check: str = "") -> tuple[Finding, ...]:
    """The findings in `output`, in the order of their places; each once, whatever tools repeat."""
    rows = [row[:LINE_CHARACTERS].rstrip() for row in _LINE_END.split(_ESCAPES.sub("", output))]
    seen = Seen(places, check)
    used: set[int] = set()  # rows that a format of several rows has taken
    for reader in (python.tests, python.tracebacks, cargo.messages, cargo.panics, script.stylish, script.stacks):
        used |= reader(rows, seen, frozenset(used))
    lines.read(rows, seen, frozenset(used))
    found = seen.found()
    return tuple(sorted(found, key=lambda each: (each.path, each.line, each.column, each.rule, each.message)))[
        :FINDINGS
    ]
