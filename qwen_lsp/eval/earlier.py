"""The same holes in an earlier run, with another engine, model or version: what differs, hole by hole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.results import Answer, Variant, read_answers
from qwen_lsp.eval.summary import Against, against


@dataclass(frozen=True, slots=True)
class Difference:
    """One variant on the holes of both runs: this run minus the earlier one. same: the share of equal answers."""

    variant: str
    n: int
    same: float
    against: Against


@dataclass(frozen=True, slots=True)
class Compared:
    """name: what the earlier run asked, for people."""

    name: str
    rows: tuple[Difference, ...]


def compared(
    folder: Path, about: Mapping[str, Any], answers: Sequence[Answer], variants: Sequence[Variant], seed: int
) -> Compared:
    """Raises NotDone where the folder holds no run of these holes."""
    theirs, others = read_answers(folder)
    if theirs.get("repository") != about["repository"]:
        raise NotDone(f"{folder} holds no run on {about['repository']}")
    rows = []
    for variant in variants:
        ours = sorted((a for a in answers if a.variant == variant.name and a.key in others), key=lambda a: a.hole)
        if ours:
            matching = [others[answer.key] for answer in ours]
            same = sum(one.said == other.said for one, other in zip(ours, matching, strict=True))
            held = against(ours, matching, len(variants), seed)
            rows.append(Difference(variant.name, len(ours), same / len(ours), held))
    if not rows:
        raise NotDone(f"{folder} shares no hole with this run: it needs the same seed, dates, kinds and contexts")
    return Compared(f"{theirs.get('model')} on {theirs.get('engine')}", tuple(rows))
