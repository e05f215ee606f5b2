"""A random model of the embedded one's architecture, large enough that reading its weights is what a pass costs.

About 180 million weights, of which a token reads 105 million. In f32, because llama.cpp's products of quantised or half
precision numbers are bound by arithmetic on a processor with AVX2 alone, and then further tokens of a pass cost nearly
what passes of their own do, however large the model is. Tokenizer, metadata and the share of experts that a token asks
for are the embedded model's. What it says is noise.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from scripts.benches.inference_servers import EMBEDDED

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD = 1024, 8, 8, 2, 128
EXPERTS, USED, EXPERT, SHARED = 8, 2, 512, 512
STATE, GROUPS, RANK = 128, 8, 8
INNER = STATE * RANK
SCALE = 0.02
SEED = 0
CHANGED = {
    "embedding_length": HIDDEN,
    "block_count": LAYERS,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.key_length": HEAD,
    "attention.value_length": HEAD,
    "rope.dimension_count": HEAD // 4,
    "rope.dimension_sections": [6, 5, 5, 0],
    "expert_count": EXPERTS,
    "expert_used_count": USED,
    "expert_feed_forward_length": EXPERT,
    "expert_shared_feed_forward_length": SHARED,
    "ssm.state_size": STATE,
    "ssm.group_count": GROUPS,
    "ssm.time_step_rank": RANK,
    "ssm.inner_size": INNER,
}
Shape = tuple[int, ...]


def write(path: Path) -> Path:
    """The model as a GGUF; takes seconds."""
    reader = gguf.GGUFReader(EMBEDDED / "model.gguf")
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(path, architecture)
    for name, entry in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            inner = entry.types[-1] if entry.types[0] == gguf.GGUFValueType.ARRAY else None
            value = CHANGED.get(name.removeprefix(f"{architecture}."), entry.contents())
            writer.add_key_value(name, value, entry.types[0], inner)
    n_vocab = len(reader.fields["tokenizer.ggml.tokens"].contents())
    random = np.random.default_rng(SEED)
    for name, shape in _shapes(n_vocab):
        _add(writer, name, shape, random)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(n_vocab: int) -> Iterator[tuple[str, Shape]]:
    """Names and shapes, rows first, as numpy has them."""
    yield "token_embd.weight", (n_vocab, HIDDEN)
    yield "output_norm.weight", (HIDDEN,)
    for n in range(LAYERS):
        for name, shape in {**_mixer(is_attention=n % 4 == 3), **_experts()}.items():
            yield f"blk.{n}.{name}", shape


def _mixer(is_attention: bool) -> dict[str, Shape]:
    if is_attention:
        return {
            "attn_q.weight": (2 * HEADS * HEAD, HIDDEN),
            "attn_k.weight": (KV_HEADS * HEAD, HIDDEN),
            "attn_v.weight": (KV_HEADS * HEAD, HIDDEN),
            "attn_output.weight": (HIDDEN, HEADS * HEAD),
            "attn_q_norm.weight": (HEAD,),
            "attn_k_norm.weight": (HEAD,),
        }
    mixed = INNER + 2 * GROUPS * STATE
    return {
        "ssm_a": (RANK,),
        "ssm_dt.bias": (RANK,),
        "attn_qkv.weight": (mixed, HIDDEN),
        "attn_gate.weight": (INNER, HIDDEN),
        "ssm_beta.weight": (RANK, HIDDEN),
        "ssm_alpha.weight": (RANK, HIDDEN),
        "ssm_conv1d.weight": (mixed, 4),
        "ssm_norm.weight": (STATE,),
        "ssm_out.weight": (HIDDEN, INNER),
    }


def _experts() -> dict[str, Shape]:
    return {
        "attn_norm.weight": (HIDDEN,),
        "post_attention_norm.weight": (HIDDEN,),
        "ffn_gate_inp.weight": (EXPERTS, HIDDEN),
        "ffn_gate_exps.weight": (EXPERTS, EXPERT, HIDDEN),
        "ffn_up_exps.weight": (EXPERTS, EXPERT, HIDDEN),
        "ffn_down_exps.weight": (EXPERTS, HIDDEN, EXPERT),
        "ffn_gate_shexp.weight": (SHARED, HIDDEN),
        "ffn_up_shexp.weight": (SHARED, HIDDEN),
        "ffn_down_shexp.weight": (HIDDEN, SHARED),
        "ffn_gate_inp_shexp.weight": (HIDDEN,),
    }


def _add(writer: Any, name: str, shape: Shape, random: np.random.Generator) -> None:
    if name.endswith("norm.weight"):
        writer.add_tensor(name, np.ones(shape, np.float32))
    elif name.endswith("ssm_a"):
        writer.add_tensor(name, np.full(shape, -1.0, np.float32))  # it forgets, or noise would grow
    else:
        writer.add_tensor(name, random.standard_normal(shape, np.float32) * np.float32(SCALE))
