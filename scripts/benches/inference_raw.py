"""Cold prefills by the bare engine, without our daemon: prompts of ids on stdin as JSON, the least seconds on stdout.

    python -m scripts.benches.inference_raw llama|llama-default|mlx FOLDER CHUNK

llama.cpp through cyllama with the daemon's own settings for the embedded model, or with its own kind of attention;
mlx-lm's `generate_step`, with our scan where Metal is absent, as the peer has it. The first token is drawn too: a
request is not done before.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

Prefill = Callable[[Sequence[int]], list[float]]  # seconds of each chunk
AUTO, OFF = -1, 0  # flash attention


def main() -> None:
    engine, folder, chunk = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    prefill = _mlx(folder, chunk) if engine == "mlx" else _llama(folder, chunk, is_fused=engine == "llama-default")
    prompts: list[list[int]] = json.load(sys.stdin)
    prefill(prompts[0][:1])  # what is done once, the first request to a daemon has behind it
    found: list[tuple[float, float, float]] = []
    for tokens in prompts:
        begun, cpu = time.perf_counter(), time.process_time()
        chunks = prefill(tokens)
        found.append((time.perf_counter() - begun, time.process_time() - cpu, max(chunks)))
    least = dict(zip(("seconds", "cpu_s", "chunk_s"), map(min, zip(*found, strict=True)), strict=True))
    print(json.dumps(least), flush=True)
    os._exit(0)  # engines take their time to end


def _llama(folder: Path, chunk: int, *, is_fused: bool) -> Prefill:
    from cyllama.llama import llama_cpp as cpp

    cpp.disable_logging()
    cpp.ggml_backend_load_all()
    model = cpp.LlamaModel(str(folder / "model.gguf"), cpp.LlamaModelParams())
    params = cpp.LlamaContextParams()
    params.n_ctx = 65_536
    params.n_batch = params.n_ubatch = chunk
    params.n_threads = params.n_threads_batch = 1
    params.flash_attn_type = AUTO if is_fused else OFF
    context = cpp.LlamaContext(model, params)
    batch = cpp.LlamaBatch(n_tokens=chunk, embd=0, n_seq_max=1)
    greedy = cpp.LlamaSampler(cpp.LlamaSamplerChainParams())
    greedy.add_greedy()

    def prefill(tokens: Sequence[int]) -> list[float]:
        context.kv_cache_clear(True)
        seconds = []
        for at in range(0, len(tokens), chunk):
            begun = time.perf_counter()
            batch.set_batch(tokens[at : at + chunk], at, False)
            batch.set_last_logits_to_true()
            context.decode(batch)
            seconds.append(time.perf_counter() - begun)
        greedy.sample(context, -1)
        return seconds

    return prefill


def _mlx(folder: Path, chunk: int) -> Prefill:
    if sys.platform != "darwin":
        os.environ["MLX_DISABLE_COMPILE"] = "1"  # else g++ runs for seconds per kernel
    mx, generate = importlib.import_module("mlx.core"), importlib.import_module("mlx_lm.generate")
    model: Any = importlib.import_module("mlx_lm.utils").load_model(folder)[0]
    if not mx.metal.is_available():
        importlib.import_module("inference.backends.mlx_scan").install()
        model.set_dtype(mx.float32)

    def prefill(tokens: Sequence[int]) -> list[float]:
        at = [time.perf_counter()]
        steps = generate.generate_step(
            mx.array(tokens),
            model,
            max_tokens=1,
            prefill_step_size=chunk,
            prompt_progress_callback=lambda *_: at.append(time.perf_counter()),
        )
        next(iter(steps))
        return [after - before for before, after in pairwise(at)]

    return prefill


if __name__ == "__main__":
    main()
