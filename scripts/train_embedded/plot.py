"""log.jsonl -> loss.png: training loss in nats per scored token, and the learning-rate factor."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt

SMOOTH = 10  # log lines in the running mean


def main() -> None:
    """Draw one picture."""
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("loss.png"))
    arguments = parser.parse_args()
    by_step = {row["step"]: row for row in map(json.loads, arguments.log.read_text().splitlines())}
    rows = [by_step[step] for step in sorted(by_step)]  # a step that a resumed run repeated counts once
    tokens, losses = [row["tokens"] / 1e6 for row in rows], [row["loss"] for row in rows]
    windows = [losses[max(0, i - SMOOTH + 1) : i + 1] for i in range(len(rows))]
    means = [sum(window) / len(window) for window in windows]
    figure, axis = plt.subplots(figsize=(7, 4), dpi=90)
    axis.plot(tokens, losses, color="0.8", linewidth=0.8, label="10 steps")
    axis.plot(tokens, means, color="tab:blue", label="100 steps")
    axis.set(xlabel="tokens seen, millions", ylabel="training loss, nats per scored token", ylim=(0.5, 6))
    other = axis.twinx()
    other.plot(tokens, [row["rate"] for row in rows], color="tab:orange", linewidth=1, linestyle="--")
    other.set(ylabel="learning rate, share of the highest", ylim=(0, 1.05))
    axis.legend()
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(arguments.out)


if __name__ == "__main__":
    main()
