"""Is this a model that an engine can load and be right about? Asked before any engine sees the files.

mlx-lm loads a configuration that lacks `num_experts_per_tok` or `rope_parameters` and is silently wrong. Reads
headers only, never weights; knows no engine.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inference.errors import ModelBroken

Shape = tuple[int, ...]

_MODEL_TYPES = ("qwen3_5_moe", "qwen3_5_moe_text")
_COUNTS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "full_attention_interval",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_conv_kernel_dim",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "max_position_embeddings",
)
_DIVIDES = (  # the second is a multiple of the first
    ("num_key_value_heads", "num_attention_heads"),
    ("linear_num_key_heads", "linear_num_value_heads"),
    ("full_attention_interval", "num_hidden_layers"),
)
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


def check_folder(folder: Path) -> None:
    """The whole folder of a safetensors model. Raises ModelBroken with the file or key at fault."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{folder / 'config.json'} is unreadable: {error}") from error
    if not isinstance(config, dict):
        raise ModelBroken(f"{folder / 'config.json'} is not a JSON object")
    check_config(config)
    check_safetensors(folder, config)


def check_config(config: Mapping[str, Any]) -> None:
    """A `config.json` of this architecture: every key that the forward pass depends on, and that they fit together."""
    if config.get("model_type") not in _MODEL_TYPES:
        raise ModelBroken(f"model_type is {config.get('model_type')!r}; supported: {_MODEL_TYPES[0]}")
    if "model_file" in config:
        raise ModelBroken("config.json names a model_file: a model with code of its own is never run")
    text = config.get("text_config", config)
    if not isinstance(text, Mapping):
        raise ModelBroken("text_config is not an object")
    for key in _COUNTS:
        value = text.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelBroken(f"{key} must be a positive whole number, not {value!r}")
    for part, whole in _DIVIDES:
        if text[whole] % text[part]:
            raise ModelBroken(f"{whole} {text[whole]} is not a multiple of {part} {text[part]}")
    if text["num_experts_per_tok"] > text["num_experts"]:
        raise ModelBroken("num_experts_per_tok is larger than num_experts")
    if text["linear_key_head_dim"] != text["linear_value_head_dim"]:
        raise ModelBroken("linear_key_head_dim and linear_value_head_dim differ, which the engines can not do")
    _positive(text, "rms_norm_eps", below=1)
    rope = text.get("rope_parameters")
    if not isinstance(rope, Mapping):
        raise ModelBroken(f"rope_parameters must be an object, not {rope!r}")
    _positive(rope, "rope_theta", below=float("inf"))
    _positive(rope, "partial_rotary_factor", below=1.000_001)


def _positive(values: Mapping[str, Any], key: str, below: float) -> None:
    value = values.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < below:
        raise ModelBroken(f"{key} must be a number above 0 and below {below}, not {value!r}")


def check_safetensors(folder: Path, config: Mapping[str, Any]) -> None:
    """Every tensor that the configuration implies is in the files, whole and in its shape."""
    found: dict[str, tuple[str, Shape]] = {}
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise ModelBroken(f"no model*.safetensors in {folder}")
    for path in files:
        found |= {_canonical(name): tensor for name, tensor in read_header(path)}
    is_stacked = "model.layers.0.mlp.experts.gate_up_proj" in found
    for name, shape in _expected(config.get("text_config", config), is_stacked):
        if name not in found:
            raise ModelBroken(f"the weights lack {name}")
        dtype, actual = found[name]
        is_packed = dtype not in ("F32", "F16", "BF16")  # quantised: the last axis is packed, the loader checks it
        if not is_packed and actual != shape and not _is_moved_kernel(name, actual, shape):
            raise ModelBroken(f"{name} has shape {actual}, and config.json says {shape}")


def read_header(path: Path) -> Iterator[tuple[str, tuple[str, Shape]]]:
    """Names, types and shapes of a safetensors file's tensors. Raises ModelBroken."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        n_header = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= n_header <= min(size - 8, _LONGEST_HEADER):
            raise ModelBroken(f"{path.name} is not a safetensors file, or is cut off")
        raw = file.read(n_header)
    try:
        header: dict[str, Any] = json.loads(raw)
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        tensors = [(name, (entry["dtype"], tuple(entry["shape"]))) for name, entry in header.items()]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelBroken(f"{path.name} has an unreadable header: {error}") from error
    if 8 + n_header + end != size:
        raise ModelBroken(f"{path.name} should have {8 + n_header + end} bytes and has {size}")
    yield from tensors


def _canonical(name: str) -> str:
    """One name for what publishers, transformers and mlx-lm call differently."""
    for prefix in ("model.language_model.", "language_model.model."):
        if name.startswith(prefix):
            name = "model." + name.removeprefix(prefix)
    return name.removeprefix("language_model.").replace(".switch_mlp.", ".experts.")


def _is_moved_kernel(name: str, actual: Shape, shape: Shape) -> bool:
    """mlx-lm's own files have the convolution's axes in another order."""
    return name.endswith("conv1d.weight") and actual == (shape[0], shape[2], shape[1])


def _expected(c: Mapping[str, Any], is_stacked: bool) -> Iterator[tuple[str, Shape]]:
    hidden, vocab = c["hidden_size"], c["vocab_size"]
    yield "model.embed_tokens.weight", (vocab, hidden)
    yield "model.norm.weight", (hidden,)
    if not c.get("tie_word_embeddings", False):
        yield "lm_head.weight", (vocab, hidden)
    for i in range(c["num_hidden_layers"]):
        is_full = (i + 1) % c["full_attention_interval"] == 0
        parts = {
            "input_layernorm.weight": (hidden,),
            "post_attention_layernorm.weight": (hidden,),
            **(_attention(c) if is_full else _linear_attention(c)),
            **_experts(c, is_stacked),
            "mlp.gate.weight": (c["num_experts"], hidden),
            "mlp.shared_expert_gate.weight": (1, hidden),
            "mlp.shared_expert.gate_proj.weight": (c["shared_expert_intermediate_size"], hidden),
            "mlp.shared_expert.up_proj.weight": (c["shared_expert_intermediate_size"], hidden),
            "mlp.shared_expert.down_proj.weight": (hidden, c["shared_expert_intermediate_size"]),
        }
        yield from ((f"model.layers.{i}.{name}", shape) for name, shape in parts.items())


def _experts(c: Mapping[str, Any], is_stacked: bool) -> dict[str, Shape]:
    """As published, gate and up projection in one tensor; or as mlx-lm writes them."""
    n, hidden, width = c["num_experts"], c["hidden_size"], c["moe_intermediate_size"]
    if is_stacked:
        return {"mlp.experts.gate_up_proj": (n, 2 * width, hidden), "mlp.experts.down_proj": (n, hidden, width)}
    return {
        "mlp.experts.gate_proj.weight": (n, width, hidden),
        "mlp.experts.up_proj.weight": (n, width, hidden),
        "mlp.experts.down_proj.weight": (n, hidden, width),
    }


def _attention(c: Mapping[str, Any]) -> dict[str, Shape]:
    hidden, size = c["hidden_size"], c["head_dim"]
    queries, keys = c["num_attention_heads"] * size, c["num_key_value_heads"] * size
    return {
        "self_attn.q_proj.weight": (2 * queries, hidden),  # the query and its output gate
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, queries),
        "self_attn.q_norm.weight": (size,),
        "self_attn.k_norm.weight": (size,),
    }


def _linear_attention(c: Mapping[str, Any]) -> dict[str, Shape]:
    hidden, heads = c["hidden_size"], c["linear_num_value_heads"]
    values = heads * c["linear_value_head_dim"]
    mixed = 2 * c["linear_num_key_heads"] * c["linear_key_head_dim"] + values
    return {
        "linear_attn.in_proj_qkv.weight": (mixed, hidden),
        "linear_attn.in_proj_z.weight": (values, hidden),
        "linear_attn.in_proj_b.weight": (heads, hidden),
        "linear_attn.in_proj_a.weight": (heads, hidden),
        "linear_attn.conv1d.weight": (mixed, 1, c["linear_conv_kernel_dim"]),
        "linear_attn.A_log": (heads,),
        "linear_attn.dt_bias": (heads,),
        "linear_attn.norm.weight": (c["linear_value_head_dim"],),
        "linear_attn.out_proj.weight": (hidden, values),
    }
