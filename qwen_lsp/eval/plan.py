"""What a run is to ask, and how. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from qwen_lsp.eval.holes import KINDS, Kind
from qwen_lsp.eval.results import Variant
from qwen_lsp.settings import Layout, Settings


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask. released: when the model came out, in seconds since 1970; None: as the catalogue knows it.

    keys: at least so many are replayed, 0 none. against: the folder of an earlier run of the same holes.
    """

    repository: Path
    out: Path
    variants: tuple[Variant, ...]
    holes: int = 40  # of each kind
    kinds: tuple[Kind, ...] = KINDS
    since: str = ""
    seed: int = 0
    released: int | None = None
    baseline: bool = False
    keys: int = 0
    against: Path | None = None
    settings: Settings = field(default_factory=Settings)
    refactors: int = 0  # mechanical ones, of Python code
    tests: str | None = None  # judge answers by the repository's own tests: by this command, or "": a proposed one


def variants(layouts: Sequence[Layout], contexts: Sequence[int], logs: Sequence[bool]) -> tuple[Variant, ...]:
    """All combinations, named by what differs; the first is what the others are held against."""
    found = []
    for layout, context, log in product(layouts, contexts, logs):
        parts: list[str] = [layout] if len(layouts) > 1 else []
        parts += [f"{context:,} tokens of context" if context else "no context"] if len(contexts) > 1 else []
        parts += ["with log" if log else "without log"] if len(logs) > 1 else []
        found.append(Variant(", ".join(parts) or layout, layout, context, log))
    return tuple(found)
