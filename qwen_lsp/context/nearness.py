"""Of several files that define one name, which are meant: those near the cursor's file. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from qwen_lsp.context.modules import affinity
from qwen_lsp.index.languages import suffix_of

MOST_PATHS = 3  # files looked into for one name: of more of them, the nearest


@dataclass(slots=True)
class Near:
    """What is near one file, with what it imports. Good for many keys: what was worked out is kept.

    module_of: the parts of the module that a name comes from. nearest: by name, how many files define it, and the
    nearest of them; for the caller.
    """

    path: str
    imported: frozenset[str]
    module_of: Mapping[str, tuple[str, ...]]
    nearest: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    _folders: tuple[str, ...] = field(init=False)  # around it, the outermost first
    _suffix: str = field(init=False)
    _far: dict[str, float] = field(default_factory=dict)  # by path, 0 or less, whatever name is looked for

    def __post_init__(self) -> None:
        folder, slash, name = self.path.rpartition("/")
        self._folders = tuple(accumulate(f"{part}/" for part in folder.split("/"))) if slash else ()
        self._suffix = suffix_of(name) or name

    def first(self, paths: Sequence[str], name: str) -> tuple[str, ...]:
        """The nearest few of the files that define a name; of two that are equally near, the first one."""
        far, module = self._far, self.module_of.get(name)
        for path in paths:
            if path not in far:
                far[path] = -self._closeness(path)
        if module:
            return tuple(sorted(paths, key=lambda path: far[path] - 2 * affinity(path, module))[:MOST_PATHS])
        return tuple(sorted(paths, key=far.__getitem__)[:MOST_PATHS])

    def _closeness(self, path: str) -> float:
        """0 to 3: the share of folders that are the same, the suffix, whether it is imported."""
        n_shared = 0
        for folder in self._folders:
            if not path.startswith(folder):
                break
            n_shared += 1
        shared = n_shared / max(len(self._folders), path.count("/")) if n_shared else 0.0
        return shared + path.endswith(self._suffix) + (path in self.imported)
