"""What the tokens of a replay were spent on, from what `typing_server` recorded. Pure but for reading the record."""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY, WARM_UP, TRIAL = "key", "warm-up", "trial"


@dataclass(slots=True)
class Spent:
    """Requests and tokens under one heading."""

    n_requests: int = 0
    tokens: list[int] = field(default_factory=list)


def recorded(record: Path) -> tuple[str, ...]:
    """The command of a server that records into a file; an older one goes."""
    record.unlink(missing_ok=True)
    return sys.executable, "-m", "scripts.benches.typing_server", str(record.resolve())


def spent(record: Path) -> Mapping[tuple[str, str], Spent]:
    """By who asked (key, prefetch, warm-up) and for what part. What was cancelled before it gave a count is missing."""
    found: dict[tuple[str, str], Spent] = defaultdict(Spent)
    bases: dict[str, int] = {}
    last: Mapping[str, Any] | None = None
    for row in map(json.loads, record.read_text("utf-8").splitlines()):
        if "ends" not in row:
            continue
        who = "prefetch" if row["of"] == "ahead" else WARM_UP if row["priority"] == WARM_UP else KEY
        if who == WARM_UP and row["most"]:
            found[TRIAL, "of the layout"].n_requests += 1
            found[TRIAL, "of the layout"].tokens.append(row["evaluated"] or 0)
            continue
        if row["evaluated"] is None or row["cached"] is None:
            found[who, "gave no count"].n_requests += 1
            continue
        n = bases.setdefault(row["base_id"], len(bases))
        is_new_base = n == len(bases) - 1 and (last is None or last["base_id"] != row["base_id"])
        for part, n_tokens in _parts(row).items():
            name = part
            if part == "base":
                name = "first base" if n == 0 else "new base" if is_new_base else "base again"
            if n_tokens:
                each = found[who, name]
                each.n_requests += 1
                each.tokens.append(n_tokens)
        last = row
    return found


def _parts(row: Mapping[str, Any]) -> dict[str, int]:
    start, found = 0, {}
    for part, end in row["ends"].items():
        found[part] = max(0, end - max(start, row["cached"]))
        start = max(start, end)
    found["answer"] = row["evaluated"] - (row["prompt"] - row["cached"])
    return found


def told(found: Mapping[tuple[str, str], Spent]) -> Iterator[str]:
    """A table, the dearest first."""
    total = sum(sum(each.tokens) for each in found.values())
    yield f"  what {total:,} tokens were spent on:"
    for (who, part), each in sorted(found.items(), key=lambda pair: -sum(pair[1].tokens)):
        tokens = sorted(each.tokens) or [0]
        yield (
            f"    {who:9} {part:14} {sum(tokens):8,} in {each.n_requests:4} requests, "
            f"median {tokens[len(tokens) // 2]:5,}, most {tokens[-1]:6,}"
        )
