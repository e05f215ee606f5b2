"""Which checks belong to a workspace: the user's own settings, else the repository's proposals. Reads its top folder.

Choosing is not allowing: whether they may run is `trust`'s to say, for all of them alike.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from qwen_lsp.index.reading import read
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.scan import opened
from qwen_lsp.settings import FILE_NAME, Settings, proposed_checks
from qwen_lsp.verify.proposals import MANIFEST_BYTES, MANIFESTS, proposed
from qwen_lsp.verify.verdict import Check

MAX_NAMES = 10_000  # of the top folder; one with more entries proposes by what is seen first


def known(root: Path, settings: Settings) -> tuple[Check, ...]:
    """The checks of a workspace from the most important source that names any."""
    if settings.refactor_checks:
        return tuple(Check(command, why="your settings") for command in settings.refactor_checks)
    own = tuple(Check(command, why=FILE_NAME) for command in proposed_checks(root / FILE_NAME))
    return own or proposed(_manifests(root), _names(root))


def _manifests(root: Path) -> Mapping[str, str]:
    top = opened(root)
    found: dict[str, str] = {}
    if isinstance(top, Skipped):
        return found
    for name in MANIFESTS:
        source = read(top.place, name)
        if not isinstance(source, Skipped) and len(source[0]) <= MANIFEST_BYTES:
            found[name] = source[0].decode("utf-8", "replace")
    return found


def _names(root: Path) -> frozenset[str]:
    try:
        with os.scandir(root) as entries:
            return frozenset(entry.name for entry, _ in zip(entries, range(MAX_NAMES), strict=False))
    except OSError:
        return frozenset()
