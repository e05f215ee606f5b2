"""Sizes from headers: the real model's published figures, and what the engines measure of the embedded one."""

import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest

from inference.backends.base import Backend, EngineSettings
from inference.errors import ModelBroken
from inference.memory import ModelSizes
from inference.models.catalogue import ModelFiles, load
from inference.models.gguf import Header, read_header
from inference.models.sizes import of_folder, of_gguf
from tests.inference.models.published import CONFIG
from tests.inference.weights import EMBEDDED

SETTINGS = EngineSettings(n_ctx=512, n_cells=1024, max_sequences=4, chunk=64)
POSITIONS = 24  # bytes beside each row, as llama.cpp writes it out

# Qwen3.6-35B-A3B as published: the GGUF's metadata for the numbers of its config.
METADATA: dict[str, Any] = {
    "general.architecture": "qwen35moe",
    "tokenizer.ggml.tokens": ["x"] * 248_320,
    "qwen35moe.context_length": 262_144,
    "qwen35moe.embedding_length": 2048,
    "qwen35moe.block_count": 40,
    "qwen35moe.full_attention_interval": 4,
    "qwen35moe.attention.head_count": 16,
    "qwen35moe.attention.head_count_kv": 2,
    "qwen35moe.attention.key_length": 256,
    "qwen35moe.attention.value_length": 256,
    "qwen35moe.ssm.conv_kernel": 4,
    "qwen35moe.ssm.state_size": 128,
    "qwen35moe.ssm.group_count": 16,
    "qwen35moe.ssm.time_step_rank": 32,
    "qwen35moe.ssm.inner_size": 4096,
}
MIB = 1 << 20


def gguf_sizes(folder: Path, changed: Mapping[str, Any] | None = None, n_bytes: int = 1000) -> ModelSizes:
    path = folder / "model.gguf"
    path.write_bytes(bytes(n_bytes))
    return of_gguf(path, Header({**METADATA, **(changed or {})}, {}, n_bytes), EngineSettings(chunk=256))


def folder_sizes(folder: Path, tensors: Mapping[str, tuple[str, list[int]]], has_metal: bool) -> ModelSizes:
    """A folder with these tensors; their data is a hole in the file."""
    items = {"F32": 4, "BF16": 2, "U32": 4}
    header, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + items[dtype] * prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    encoded = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        file.truncate(8 + len(encoded) + end)
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen3_5_moe", "text_config": CONFIG}))
    return of_folder(folder, EngineSettings(chunk=256), has_metal)


def test_the_real_model_in_llama_cpp(tmp_path: Path) -> None:
    found = gguf_sizes(tmp_path)
    assert found.n_ctx == 262_144
    assert found.row_bytes - POSITIONS == 20_480
    assert round(found.snapshot_bytes / MIB, 1) == 62.8
    assert found.snapshot_bytes // (found.row_bytes - POSITIONS) == 3216  # tokens that it is as dear as
    # Measured with llama.cpp at this shape: 254.75 MiB with 4,096 rows, 317.96 MiB with 131,072.
    for rows, measured in ((4096, 254.75), (131_072, 317.96)):
        estimated = (found.work_bytes + rows * found.work_ctx_bytes // 2) / MIB
        assert measured <= estimated < measured * 1.05


def test_the_real_model_in_mlx(tmp_path: Path) -> None:
    tensors = {
        "language_model.model.embed_tokens.weight": ("U32", [248_320, 256]),
        "language_model.model.embed_tokens.scales": ("BF16", [248_320, 32]),
        "vision_tower.blocks.0.weight": ("BF16", [1000, 1000]),
        "model.mtp.layers.0.weight": ("BF16", [1000, 1000]),
    }
    found = folder_sizes(tmp_path, tensors, has_metal=True)
    assert found.row_bytes == 20_480
    assert round(found.snapshot_bytes / MIB, 1) == 61.4
    assert found.weight_bytes == 248_320 * (256 * 4 + 32 * 2)  # neither the vision tower nor the draft layer
    off_metal = folder_sizes(tmp_path, tensors, has_metal=False)
    assert off_metal.row_bytes == 2 * 20_480
    assert off_metal.weight_bytes == 248_320 * (256 * 4 + 32 * 4)


def test_activations_in_f32_have_rows_in_f32(tmp_path: Path) -> None:
    found = folder_sizes(tmp_path, {"model.embed_tokens.weight": ("F32", [10, 10])}, has_metal=True)
    assert (found.row_bytes, found.weight_bytes) == (2 * 20_480, 400)


@pytest.mark.parametrize("exact", [True, False])
def test_what_llama_cpp_measures(exact: bool) -> None:
    files = ModelFiles("embedded", "llama", EMBEDDED / "model.gguf", is_embedded=True)
    settings = replace(SETTINGS, exact=exact)
    backend = load(files, settings)
    check_measured(backend, of_gguf(files.path, read_header(files.path), settings), n_header=200_000)


def test_what_mlx_measures() -> None:
    backend = load(ModelFiles("embedded", "mlx", EMBEDDED, True), SETTINGS)
    check_measured(backend, of_folder(EMBEDDED, SETTINGS, has_metal=False), n_header=0)


def check_measured(backend: Backend, estimated: ModelSizes, n_header: int) -> None:
    measured = backend.info
    backend.shutdown()
    assert estimated.n_ctx == 65_536
    assert measured.row_bytes == estimated.row_bytes
    assert measured.snapshot_bytes - 200 <= estimated.snapshot_bytes <= measured.snapshot_bytes
    assert measured.weight_bytes <= estimated.weight_bytes <= measured.weight_bytes + n_header


def test_other_architectures(tmp_path: Path) -> None:
    """A dense model: every layer has rows, none a state; what is not said follows from the rest."""
    metadata = {
        "general.architecture": "qwen2",
        "qwen2.context_length": 32_768,
        "qwen2.embedding_length": 896,
        "qwen2.block_count": 24,
        "qwen2.attention.head_count": 14,
        "qwen2.attention.head_count_kv": 2,
    }
    found = gguf_sizes(tmp_path, metadata)
    assert found.row_bytes - POSITIONS == 24 * 2 * 2 * 64 * 2
    assert found.snapshot_bytes == 0
    per_layer = gguf_sizes(tmp_path, metadata | {"qwen2.attention.head_count_kv": [0, 2] * 12})
    assert per_layer.row_bytes == found.row_bytes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", 0),
        ("block_count", "40"),
        ("context_length", -1),
        ("attention.head_count", []),
        ("ssm.state_size", None),
    ],
)
def test_metadata_that_makes_no_sense(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ModelBroken, match=key):
        gguf_sizes(tmp_path, {f"qwen35moe.{key}": value})


def test_a_model_in_several_files(tmp_path: Path) -> None:
    first = tmp_path / "m-00001-of-00002.gguf"
    first.write_bytes(bytes(1000))
    header = Header({**METADATA, "split.count": 2}, {}, 1000)
    with pytest.raises(ModelBroken, match=r"m-00002-of-00002\.gguf is not there"):
        of_gguf(first, header, SETTINGS)
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(500))
    assert of_gguf(first, header, SETTINGS).weight_bytes == 1500
