"""What every step after the session sees: the open texts at one moment. Knows no protocol and no engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Document


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The open buffers, their order of use, the workspace roots and the settings."""

    documents: Mapping[str, Document]
    recent: tuple[str, ...]  # URIs of `documents`, most recently opened or edited first
    roots: tuple[Path, ...]
    settings: Settings
