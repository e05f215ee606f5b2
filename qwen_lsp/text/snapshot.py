"""What every step after the session sees: the open texts at one moment. Knows no protocol and no engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Document


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The open buffers, their order of use, the workspace roots and the settings."""

    documents: Mapping[str, Document]
    recent: tuple[str, ...]  # URIs of `documents`, most recently opened or edited first
    roots: tuple[Path, ...]
    settings: Settings
    folders: Mapping[Path, Settings] = field(default=MappingProxyType({}))  # of roots, where there are several

    def at(self, path: Path | None) -> "Snapshot":
        """The same for a file: with the settings of the innermost root around it, which comes first then."""
        around = [root for root in self.folders if path is not None and path.is_relative_to(root)]
        if not around:
            return self
        own = max(around, key=lambda root: len(root.parts))
        others = (root for root in self.roots if root != own)
        return replace(self, roots=(own, *others), settings=self.folders[own])
