"""The header of a GGUF file, read before llama.cpp sees the file: its metadata, and whether the tensors are all there.

Every length is checked against the file's size before it is believed. Reads no weights; knows no engine.
Format: the GGUF specification of ggml, versions 2 and 3, little-endian.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from inference.errors import ModelBroken
from inference.models.checks import check_config

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_BLOCKS = {  # tensor type -> elements and bytes of one block
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 20: (32, 18), 23: (256, 136), 30: (1, 2),
}  # fmt: skip
_MAX_TENSORS = 1_000_000
_ARCHITECTURE = "qwen35moe"
_KEYS = {  # config.json's names for what the metadata says
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "linear_num_key_heads": "ssm.group_count",
    "linear_num_value_heads": "ssm.time_step_rank",
    "linear_key_head_dim": "ssm.state_size",
    "linear_conv_kernel_dim": "ssm.conv_kernel",
    "num_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "moe_intermediate_size": "expert_feed_forward_length",
    "shared_expert_intermediate_size": "expert_shared_feed_forward_length",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights. `n_bytes` is how long the file must be to hold them all."""

    metadata: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]
    n_bytes: int


class _Reader:
    """A position in the mapped file; raises IndexError instead of reading past its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def scalars(self, code: str, n: int) -> tuple[Any, ...]:
        layout = struct.Struct(f"<{n}{code}") if n < len(self._data) else None
        if layout is None or self.at + layout.size > len(self._data):
            raise IndexError(f"cut off at byte {self.at}")
        values = layout.unpack_from(self._data, self.at)
        self.at += layout.size
        return values

    def scalar(self, code: str) -> Any:
        return self.scalars(code, 1)[0]

    def string(self) -> str:
        n: int = self.scalar("Q")
        if self.at + n > len(self._data):
            raise IndexError(f"cut off at byte {self.at}")
        self.at += n
        return self._data[self.at - n : self.at].decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            inner, n = self.scalar("I"), self.scalar("Q")
            return [self.string() for _ in range(n)] if inner == _STRING else list(self.scalars(_SCALARS[inner], n))
        return self.scalar(_SCALARS[kind])


def read_header(path: Path) -> Header:
    """Raises ModelBroken where the file is no GGUF, is cut off or makes no sense."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:4] != b"GGUF":
                raise ModelBroken(f"{path.name} is not a GGUF file")
            header = _header(_Reader(data))
            n_present = len(data)
    except (OSError, ValueError, IndexError, KeyError, TypeError, struct.error, OverflowError) as error:
        raise ModelBroken(f"{path.name} has an unreadable GGUF header: {error}") from error
    if n_present < header.n_bytes:
        raise ModelBroken(f"{path.name} should have at least {header.n_bytes} bytes and has {n_present}")
    return header


def _header(reader: _Reader) -> Header:
    reader.at = 4
    version, n_tensors, n_keys = reader.scalar("I"), reader.scalar("Q"), reader.scalar("Q")
    if version not in (2, 3) or n_tensors > _MAX_TENSORS:
        raise ValueError(f"version {version} with {n_tensors} tensors")
    metadata = {}
    for _ in range(n_keys):
        key = reader.string()
        metadata[key] = reader.value(reader.scalar("I"))
    tensors, end = {}, 0
    for _ in range(n_tensors):
        name = reader.string()
        shape: tuple[int, ...] = reader.scalars("Q", reader.scalar("I"))
        kind, offset = reader.scalar("I"), reader.scalar("Q")
        per_block, block_bytes = _BLOCKS.get(kind, (1, 0))  # unknown: llama.cpp will check its extent
        tensors[name] = shape
        end = max(end, offset + prod(shape) // per_block * block_bytes)
    alignment = metadata.get("general.alignment", 32)
    return Header(metadata, tensors, -(-reader.at // alignment) * alignment + end)


def check_header(header: Header) -> None:
    """The metadata fits together, by the rules that hold for config.json. Other architectures are llama.cpp's care."""
    metadata = header.metadata
    if metadata.get("general.architecture") != _ARCHITECTURE:
        return
    own = {key.removeprefix(_ARCHITECTURE + "."): value for key, value in metadata.items()}
    missing = [name for name in (*_KEYS.values(), "block_count", "ssm.inner_size", "rope.freq_base") if name not in own]
    if missing:
        raise ModelBroken(f"the GGUF lacks {_ARCHITECTURE}.{missing[0]}")
    try:
        config = _config(own, len(metadata.get("tokenizer.ggml.tokens", ())))
    except TypeError as error:
        raise ModelBroken(f"the GGUF's metadata has a value of the wrong kind: {error}") from error
    check_config(config)


def _config(own: Mapping[str, Any], n_vocab: int) -> dict[str, Any]:
    """The metadata under the names of config.json."""
    config = {key: own[name] for key, name in _KEYS.items()}
    head, heads = config["head_dim"], config["linear_num_value_heads"]
    return config | {
        "model_type": "qwen3_5_moe",
        "vocab_size": n_vocab,
        "num_hidden_layers": own["block_count"] - own.get("nextn_predict_layers", 0),
        "full_attention_interval": own.get("full_attention_interval", 4),
        "linear_value_head_dim": own["ssm.inner_size"] // heads if heads else 0,
        "rope_parameters": {
            "rope_theta": own["rope.freq_base"],
            "partial_rotary_factor": own.get("rope.dimension_count", head) / head if head else 0,
        },
    }
