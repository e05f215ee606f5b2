"""What the model must reach, from the project's issue, and the table that says whether it does."""

from __future__ import annotations

from typing import Any

GOALS = {
    "bits_per_byte": 0.90, "line_exact": 0.30, "line_exact_top_quarter": 0.55, "copy": 0.60,
    "rename_two_files": 0.50, "tokens_per_s": 100.0, "idioms": 15,
}  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """The figures against the goals, as Markdown."""
    rows = ["| measure | reached | goal | |", "|---|---|---|---|"]
    for key, goal in GOALS.items():
        value = figures[key]
        met = value <= goal if key == "bits_per_byte" else value >= goal
        rows.append(f"| {key} | {value:.3f} | {goal} | {'yes' if met else 'no'} |")
    rows += [
        f"| {key} (baseline) | {figures[key]:.3f} | | |"
        for key in ("line_exact_most_frequent_line", "line_exact_six_gram")
    ]
    return "\n".join(rows)
