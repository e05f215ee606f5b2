"""Answers for tests of what is made of them."""

from typing import Any

from qwen_lsp.eval.results import Answer


def answer(number: int, variant: str = "ours", exact: bool = True, **changed: Any) -> Answer:
    """Hole `number` asked in one way."""
    wanted = f"value_{number}"
    given: dict[str, Any] = {
        "hole": f"hole {number:03}",
        "kind": "line",
        "path": "a.py",
        "time": 1_700_000_000 + number,
        "variant": variant,
        "line": "x = ",
        "wanted": wanted,
        "said": wanted if exact else "other",
        "reason": "",
        "exact": exact,
        "similarity": 1.0 if exact else 0.3,
        "first_line": exact,
        "parses": True,
        "ms": 10.0,
        "prompt": 100,
        "cached": 90,
        "evaluated": 15,
    }
    return Answer(**{**given, **changed})
