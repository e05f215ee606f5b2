"""What a model will take in memory, from the headers of its files: weights, attention rows, recurrent states.

Exact for rows and weights of the architecture that `checks` knows, a few bytes short for llama.cpp's snapshots, which
carry a header; the working memory of a pass is an estimate, whose sources stand beside it. Reads no weights; knows no
engine but by what it stores. The files have passed `checks` or `gguf.check_header`.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from math import prod
from pathlib import Path
from typing import Any

from inference.backends.base import EngineName, EngineSettings
from inference.errors import ModelBroken
from inference.memory import ModelSizes
from inference.models.checks import read_header
from inference.models.entries import Linear, Shape
from inference.models.gguf import Header

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2}
_NOT_LOADED = ("vision_tower", "model.visual", "mtp.")  # mlx-lm drops these parts
_F32, _HALF = 4, 2  # bytes
_PYTHON_BYTES = 128 << 20  # measured: 110 MiB with an engine and nothing loaded
_VOCABULARY_BYTES = 1536  # per token; measured with as many as the real model has: tokenizer 780, grammar tables 510
_POSITION_BYTES = 24  # beside each row that llama.cpp writes out: by that the prefix cache counts its rows


def of_folder(folder: Path, settings: EngineSettings, has_metal: bool) -> ModelSizes:
    """A safetensors model in MLX: as it is stored where there is Metal, else with all floats in f32."""
    whole = json.loads((folder / "config.json").read_bytes())
    config: Mapping[str, Any] = whole.get("text_config", whole)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        tensors |= dict(read_header(path))
    loaded = {name: kind for name, kind in tensors.items() if not any(part in name for part in _NOT_LOADED)}
    weights = sum(_mlx_bytes(dtype, has_metal) * prod(shape) for dtype, shape in loaded.values())
    item = _HALF if has_metal and not _is_wide(loaded) else _F32
    return _in_mlx(shape_of(config), config["max_position_embeddings"], weights, item, settings)


def of_entry(shape: Shape, n_ctx: int, weight_bytes: int, engine: EngineName, settings: EngineSettings) -> ModelSizes:
    """A model that is not here yet, by what the catalogue says of it; in MLX, as it is where there is Metal."""
    if engine == "mlx":
        return _in_mlx(shape, n_ctx, weight_bytes, _HALF, settings)
    item = _F32 if settings.exact else _HALF
    row_bytes = _n_full(shape) * 2 * shape.num_key_value_heads * shape.head_dim * item
    return ModelSizes(
        n_ctx=n_ctx,
        weight_bytes=weight_bytes,
        row_bytes=row_bytes + _POSITION_BYTES,
        snapshot_bytes=_states(shape, _F32),
        work_bytes=_work_bytes(settings, shape.vocab_size, shape.hidden_size),
        work_ctx_bytes=2 * _per_cell(row_bytes, settings),
        process_bytes=_PYTHON_BYTES + shape.vocab_size * _VOCABULARY_BYTES,
    )


def _in_mlx(shape: Shape, n_ctx: int, weight_bytes: int, item: int, settings: EngineSettings) -> ModelSizes:
    # Attention with heads of 256 has no fused kernel for prefill: scores and their softmax lie in memory, with a mask.
    per_ctx = settings.chunk * (2 * shape.num_attention_heads * item + 1)
    return ModelSizes(
        n_ctx=n_ctx,
        weight_bytes=weight_bytes,
        row_bytes=_n_full(shape) * 2 * shape.num_key_value_heads * shape.head_dim * item,
        snapshot_bytes=_states(shape, item),
        work_bytes=_work_bytes(settings, shape.vocab_size, shape.hidden_size),
        work_ctx_bytes=per_ctx,
        process_bytes=_PYTHON_BYTES + shape.vocab_size * _VOCABULARY_BYTES,
    )


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Of a `config.json` that has passed the checks."""
    linear = Linear(
        config["linear_num_value_heads"],
        config["linear_num_key_heads"],
        config["linear_value_head_dim"],
        config["linear_conv_kernel_dim"],
    )
    names = [each.name for each in fields(Shape) if each.name not in ("linear", "experts")]
    return Shape(**{name: config[name] for name in names}, linear=linear, experts=None)


def _n_full(shape: Shape) -> int:
    return shape.num_hidden_layers // shape.full_attention_interval


def _states(shape: Shape, item: int) -> int:
    """The recurrent states of all layers that have one; the convolution's part in the precision of activations."""
    linear = shape.linear
    if linear is None:
        return 0
    mixed = (linear.num_value_heads + 2 * linear.num_key_heads) * linear.head_dim
    state = linear.num_value_heads * linear.head_dim**2 * _F32 + (linear.conv_kernel - 1) * mixed * item
    return (shape.num_hidden_layers - _n_full(shape)) * state


def of_gguf(path: Path, header: Header, settings: EngineSettings) -> ModelSizes:
    """A GGUF in llama.cpp, of any architecture whose attention layers are alike."""
    own = _Metadata(header.metadata)
    n_layers = own.count("block_count") - own.count("nextn_predict_layers", 0)
    is_recurrent = "ssm.inner_size" in own
    n_full = n_layers // own.count("full_attention_interval", 4) if is_recurrent else n_layers
    hidden, heads = own.count("embedding_length"), own.count("attention.head_count")
    key = own.count("attention.key_length", hidden // heads)
    value = own.count("attention.value_length", key)
    n_vocab = len(header.metadata.get("tokenizer.ggml.tokens", ()))
    item = _F32 if settings.exact else _HALF
    row_bytes = n_full * own.count("attention.head_count_kv", heads) * (key + value) * item
    return ModelSizes(
        n_ctx=own.count("context_length"),
        weight_bytes=sum(part.stat().st_size for part in _parts(path, own.count("split.count", 1, prefix=""))),
        row_bytes=row_bytes + _POSITION_BYTES,
        snapshot_bytes=(n_layers - n_full) * _state_bytes(own) if is_recurrent else 0,
        work_bytes=_work_bytes(settings, n_vocab, hidden),
        work_ctx_bytes=2 * _per_cell(row_bytes, settings),  # there are up to two rows per token of context
        process_bytes=_PYTHON_BYTES + n_vocab * _VOCABULARY_BYTES,
    )


class _Metadata:
    """The architecture's own keys as whole numbers."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata
        self._prefix = f"{metadata.get('general.architecture')}."

    def __contains__(self, key: str) -> bool:
        return self._prefix + key in self._metadata

    def count(self, key: str, default: int | None = None, prefix: str | None = None) -> int:
        """The largest of a list, one number per layer. Raises ModelBroken."""
        name = (self._prefix if prefix is None else prefix) + key
        value = self._metadata.get(name, default)
        if isinstance(value, list) and value and all(isinstance(each, int) for each in value):
            value = max(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < (0 if default == 0 else 1):
            raise ModelBroken(f"the GGUF's {name} must be a positive whole number, not {value!r}")
        return value


def _mlx_bytes(dtype: str, has_metal: bool) -> int:
    is_float = dtype in ("F32", "F16", "BF16")
    return _F32 if is_float and not has_metal else _ITEM_BYTES.get(dtype, 1)


def _is_wide(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> bool:
    """Whether activations are in f32: what the embedding gives, or, quantised, its scales."""
    found = [dtype for name, (dtype, _) in tensors.items() if ".embed_tokens." in name and dtype != "U32"]
    return found[:1] == ["F32"]


def _state_bytes(own: _Metadata) -> int:
    """One layer's recurrent state in llama.cpp, all of it in f32."""
    inner, state = own.count("ssm.inner_size"), own.count("ssm.state_size")
    mixed = inner + 2 * own.count("ssm.group_count") * state
    return _F32 * (inner * state + (own.count("ssm.conv_kernel") - 1) * mixed)


def _work_bytes(settings: EngineSettings, n_vocab: int, hidden: int) -> int:
    """Buffers of a pass: llama.cpp keeps room for a whole chunk's logits (measured at the real model's shape, 252 MiB
    for 256 tokens: 242 for logits and 10 for the layers)."""
    return settings.chunk * _F32 * (n_vocab + 8 * hidden)


def _per_cell(row_bytes: int, settings: EngineSettings) -> int:
    """Per row, whoever uses it: the mask in f16; and where rows are in f32, a copy of a half in f16."""
    return _HALF * (settings.chunk + settings.max_sequences + 1) + (row_bytes // 2 if settings.exact else 0)


def _parts(path: Path, n_parts: int) -> list[Path]:
    """A model may be split over files named `…-00001-of-00003.gguf`."""
    end = f"-00001-of-{n_parts:05d}.gguf"
    if n_parts == 1 or not path.name.endswith(end):
        return [path]
    stem = path.name.removesuffix(end)
    parts = [path.with_name(f"{stem}-{n:05d}-of-{n_parts:05d}.gguf") for n in range(1, n_parts + 1)]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise ModelBroken(f"{path.name} is one of {n_parts} files, and {missing[0]} is not there")
    return parts
