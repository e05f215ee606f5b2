"""evaluation.json, manifest.json and log.jsonl -> the model card (README.md in the model folder)."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from corpus import HERE
from goals import table
from mix import LATE_FROM, LATE_SHARES, ROW, SHARD_ROWS, SHARES
from tokenizer import SPECIAL_TOKENS, VOCAB_SIZE


def samples(rows: list[dict[str, Any]]) -> str:
    """Prefix's last line with the cursor, what was there, what was said."""
    out = ["| line up to the cursor | was | said |", "|---|---|---|"]
    for row in rows:
        cells = (row["prefix"].rpartition("\n")[2], row["wanted"], row["model"])
        out.append("| " + " | ".join("`` " + c.replace("|", "\\|") + " ``" for c in cells) + " |")
    return "\n".join(out)


def agreement(rows: list[dict[str, Any]]) -> str:
    """How many tokens of the three engines' greedy output were equal, over all prompts."""
    least = sum(min(row["mlx"], row["llama"]) for row in rows)
    return f"{least} of {sum(row['n'] for row in rows)} tokens over {len(rows)} prompts"


def late_tokens(tokens: int, shards: Path) -> float:
    """How many of the tokens seen came from shards that follow LATE_SHARES, in millions."""
    planned = 1 + max(int(path.stem.removeprefix("shard-")) for path in shards.glob("shard-????.npz"))
    return max(0.0, (tokens - LATE_FROM * planned * SHARD_ROWS * ROW) / 1e6)


def mixture(shares: dict[str, float]) -> str:
    """Kinds of document with their shares of tokens."""
    return ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items())


def count_parameters(path: Path) -> int:
    """From the header of a safetensors file: eight bytes of length, then JSON with the shapes."""
    with path.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def main() -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--shards", type=Path, required=True, help="to the last one that the run was planned with")
    parser.add_argument("--parity", type=Path, required=True, help="the file of parity.py compare")
    parser.add_argument("--device-name", default="CPU", help="of what it was trained on, for the card")
    arguments = parser.parse_args()
    figures = json.loads((arguments.model / "evaluation.json").read_text())
    packages = json.loads((HERE / "manifest.json").read_text())
    rows = [json.loads(line) for line in arguments.log.read_text().splitlines()]
    by_registry = Counter(p["registry"] for p in packages if p["split"] == "train")
    values = {
        "parameters": count_parameters(arguments.model / "model.safetensors"),
        "vocab": VOCAB_SIZE,
        "special": len(SPECIAL_TOKENS),
        "first": VOCAB_SIZE - len(SPECIAL_TOKENS),
        "last": VOCAB_SIZE - 1,
        "bytes": sum((arguments.model / name).stat().st_size for name in ("model.safetensors", "model.gguf")),
        "tokens": rows[-1]["tokens"] / 1e6,
        "loss": sum(r["loss"] for r in rows[-10:]) / len(rows[-10:]),
        "minutes": rows[-1]["tokens"] / rows[-1]["tokens_per_s"] / 60,
        "gpu": arguments.device_name,
        "row": ROW,
        "experts": json.loads((arguments.model / "config.json").read_text())["num_experts"],
        "late": late_tokens(rows[-1]["tokens"], arguments.shards),
        "holes": figures["holes"],
        "table": table(figures),
        "parity": agreement(json.loads(arguments.parity.read_text())),
        "packages": sum(by_registry.values()),
        "python": by_registry["python"],
        "npm": by_registry["npm"],
        "held": ", ".join(p["name"] for p in packages if p["split"] == "heldout"),
        "mix": mixture(SHARES),
        "late_mix": mixture(LATE_SHARES),
        "samples": samples(figures["samples"]),
    }
    (arguments.model / "README.md").write_text((HERE / "card_template.md").read_text().format(**values))


if __name__ == "__main__":
    main()
