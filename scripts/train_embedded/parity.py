"""Greedy output of one engine as JSON, so that runs in different interpreters can be held equal.

`parity.py torch|mlx|llama MODEL_FOLDER` reads `{"prompts": [[id, ...], ...], "n": 64}` on stdin and writes
`{"tokens": [[...]], "margins": [...]}`: the margin is the smallest gap between the best two logits of a run, in
nats, which says how near a tie came. With `compare` it runs the three itself and prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Step = Callable[[list[int]], list[float]]  # new token ids of one running sequence -> logits after the last one
PROMPTS = (
    "def main():\n    parser = argparse.",
    "for i in ran",
    "<|fim_prefix|><|fim_suffix|>\n    return total\n<|fim_middle|>def add(values):\n    total = 0\n    for",
    "<|im_start|>user\nRename `foo` to `bar`.\na.py\n```\ndef foo():\n    pass\n```<|im_end|>\n<|im_start|>assistant\n",
    "日本語 🙂 é\tx\r\n\r\n  12345 = ",
    "<|repo_name|>demo\n<|file_sep|>a.py\nclass Orchard:\n    pass\n<|file_sep|>b.py\nfrom a import ",
)


def torch_step(folder: Path) -> Iterator[Step]:
    """The training code itself, the whole sequence evaluated again at every token."""
    import torch
    from model import Config, Model
    from safetensors.torch import load_file

    model = Model(Config())
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    while True:
        seen: list[int] = []

        def step(ids: list[int], seen: list[int] = seen) -> list[float]:
            seen.extend(ids)
            with torch.no_grad():
                return [float(v) for v in model.logits(torch.tensor([seen]))[0, -1]]

        yield step


def mlx_step(folder: Path) -> Iterator[Step]:
    """Stock mlx-lm with its own caches, weights as float32."""
    import mlx.core as mx
    from mlx.utils import tree_map
    from mlx_lm import load
    from mlx_lm.models.cache import make_prompt_cache

    model, _ = load(str(folder))
    model.update(tree_map(lambda a: a.astype(mx.float32), model.parameters()))
    while True:
        cache = make_prompt_cache(model)

        def step(ids: list[int], cache: list[object] = cache) -> list[float]:
            values: list[float] = model(mx.array([ids]), cache=cache)[0, -1].tolist()
            return values

        yield step


def llama_step(folder: Path) -> Iterator[Step]:
    """cyllama's low level on the GGUF given by QWEN_GGUF (default model.gguf), cache in float32."""
    from cyllama.llama import llama_cpp as cy

    parameters = cy.LlamaModelParams()
    parameters.n_gpu_layers = 0
    model = cy.LlamaModel(os.environ.get("QWEN_GGUF", str(folder / "model.gguf")), parameters)
    while True:
        settings = cy.LlamaContextParams()
        settings.n_ctx, settings.n_batch, settings.n_threads, settings.n_threads_batch = 2048, 2048, 1, 1
        settings.type_k = settings.type_v = 0  # GGML_TYPE_F32
        context = cy.LlamaContext(model, settings)
        place = [0]

        def step(ids: list[int], context: object = context, place: list[int] = place) -> list[float]:
            batch = cy.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
            for i, token in enumerate(ids):
                batch.add(token, place[0] + i, [0], i == len(ids) - 1)
            place[0] += len(ids)
            context.decode(batch)  # type: ignore[attr-defined]
            return list(context.get_logits_ith(len(ids) - 1))  # type: ignore[attr-defined]

        yield step


def greedy(step: Step, prompt: list[int], n: int) -> tuple[list[int], float]:
    """n greedy tokens and the smallest gap between the best two logits on the way."""
    tokens: list[int] = []
    margin = float("inf")
    fed = prompt
    for _ in range(n):
        logits = step(fed)
        first, second = sorted(logits, reverse=True)[:2]
        margin = min(margin, first - second)
        tokens.append(logits.index(first))
        fed = tokens[-1:]
    return tokens, margin


def serve(engine: str, folder: Path) -> None:
    """One engine: stdin to stdout, as the module docstring says."""
    job = json.load(sys.stdin)
    steps = {"torch": torch_step, "mlx": mlx_step, "llama": llama_step}[engine](folder)
    runs = [greedy(next(steps), prompt, job["n"]) for prompt in job["prompts"]]
    print(json.dumps({"tokens": [r[0] for r in runs], "margins": [r[1] for r in runs]}))


def compare(folder: Path, gguf_f32: Path, engines_python: str, n: int) -> list[dict[str, object]]:
    """Run all three on PROMPTS and say, per prompt, how many tokens agree."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    job = json.dumps({"prompts": [tokenizer.encode(p).ids for p in PROMPTS], "n": n})
    environment = os.environ | {"MLX_DISABLE_COMPILE": "1", "QWEN_GGUF": str(gguf_f32)}
    results = {}
    for engine, python in (("torch", sys.executable), ("mlx", engines_python), ("llama", engines_python)):
        command = [python, __file__, engine, str(folder)]
        done = subprocess.run(command, input=job, env=environment, capture_output=True, text=True, check=True)
        results[engine] = json.loads(done.stdout.splitlines()[-1])
    rows = []
    for i, prompt in enumerate(PROMPTS):
        reference = results["torch"]["tokens"][i]
        row: dict[str, object] = {
            "prompt": prompt,
            "n": n,
            "margin": results["torch"]["margins"][i],
            "output": tokenizer.decode(reference),
        }
        for engine in ("mlx", "llama"):
            row[engine] = sum(a == b for a, b in zip(reference, results[engine]["tokens"][i], strict=True))
        rows.append(row)
    return rows


def main() -> None:
    """See the module docstring."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=("torch", "mlx", "llama", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gguf-f32", type=Path, help="for compare: the same weights as a float32 GGUF")
    parser.add_argument(
        "--engines-python", default=sys.executable, help="for compare: a Python with mlx-lm and cyllama"
    )
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--out", type=Path, help="for compare: write the rows, with the output, as JSON")
    arguments = parser.parse_args()
    if arguments.engine != "compare":
        serve(arguments.engine, arguments.folder)
        return
    rows = compare(arguments.folder, arguments.gguf_f32, arguments.engines_python, arguments.n)
    for row in rows:
        agreed = f"{row['mlx']:>4} mlx {row['llama']:>4} llama of {arguments.n}"
        print(f"{agreed}, margin {row['margin']:.4f}  {row['prompt']!r}")
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
