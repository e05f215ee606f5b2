"""The architecture at its full size, without its weights: what mlx-lm makes of the published configuration, and a GGUF
that is all header. Counted, not evaluated: MLX is lazy, and the files have holes where the weights would be."""

import struct
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest

from inference.backends.base import EngineSettings
from inference.errors import ModelBroken
from inference.memory import GIB, Gpu, Machine, MemoryPlan, plan
from inference.models.checks import _canonical, _expected, check_config
from inference.models.entries import Model, load
from inference.models.gguf import check_header, read_header
from inference.models.sizes import of_entry, of_gguf
from inference.runner import CHUNK
from tests.inference.models.published import CONFIG

SETTINGS = EngineSettings(chunk=CHUNK)
BLOCK_Q4_K = 12  # 144 bytes for 256 weights
METADATA: dict[str, Any] = {
    "context_length": 262_144,
    "embedding_length": 2048,
    "block_count": 40,
    "full_attention_interval": 4,
    "attention.head_count": 16,
    "attention.head_count_kv": 2,
    "attention.key_length": 256,
    "attention.value_length": 256,
    "attention.layer_norm_rms_epsilon": 1e-6,
    "ssm.conv_kernel": 4,
    "ssm.state_size": 128,
    "ssm.group_count": 16,
    "ssm.time_step_rank": 32,
    "ssm.inner_size": 4096,
    "expert_count": 256,
    "expert_used_count": 8,
    "expert_feed_forward_length": 512,
    "expert_shared_feed_forward_length": 512,
    "rope.freq_base": 1e7,
    "rope.dimension_count": 64,
}


@cache
def entry() -> Model:
    return load().models[0]


def in_mlx(bits: int | None = None) -> tuple[Any, dict[str, Any]]:
    """The model of mlx-lm with weights that nothing computes, and its parameters by name."""
    core = pytest.importorskip("mlx.core")
    from mlx import nn
    from mlx.utils import tree_flatten
    from mlx_lm.models import qwen3_5_moe

    model = qwen3_5_moe.Model(qwen3_5_moe.ModelArgs.from_dict({"model_type": "qwen3_5_moe", "text_config": CONFIG}))
    model.set_dtype(core.bfloat16)
    if bits is not None:
        nn.quantize(model, group_size=64, bits=bits, class_predicate=lambda _, part: hasattr(part, "to_quantized"))
    return model, dict(tree_flatten(model.parameters()))


def test_the_configuration_passes_the_checks() -> None:
    check_config({"model_type": "qwen3_5_moe", "text_config": CONFIG})


def test_as_many_parameters_as_published() -> None:
    _, parameters = in_mlx()
    n = sum(array.size for array in parameters.values())
    assert n == entry().parameters
    assert round(n / 1e9, 2) == 34.66


def test_the_tensors_are_those_that_the_checks_expect() -> None:
    _, parameters = in_mlx()
    made = {_canonical(name): array.shape for name, array in parameters.items()}
    expected = dict(_expected(CONFIG, is_stacked=False))
    assert made.keys() == expected.keys()
    moved = {name for name, shape in expected.items() if made[name] != shape}
    assert all(name.endswith("conv1d.weight") for name in moved)  # mlx-lm has its axes in another order
    assert len(moved) == 30


@pytest.mark.parametrize("bits", [3, 4, 5, 6, 8])
def test_the_catalogue_computes_quantised_sizes_as_mlx_does(bits: int) -> None:
    _, parameters = in_mlx(bits)
    variant = next(each for each in entry().variants if each.name == f"mlx-{bits}bit")
    assert abs(sum(array.nbytes for array in parameters.values()) - variant.n_bytes) < variant.n_bytes / 500
    if bits == 4:
        assert round(variant.n_bytes / GIB, 1) == 18.2  # as published


def test_caches_are_where_the_arithmetic_has_them() -> None:
    model, _ = in_mlx()
    kinds = [type(each).__name__ for each in model.make_cache()]
    assert kinds == ["ArraysCache", "ArraysCache", "ArraysCache", "KVCache"] * 10


def test_rows_and_states_as_published() -> None:
    mlx = of_entry(entry().shape, entry().context, 0, "mlx", SETTINGS)
    llama = of_entry(entry().shape, entry().context, 0, "llama", SETTINGS)
    assert (mlx.row_bytes, llama.row_bytes) == (20_480, 20_480 + 24)
    assert mlx.row_bytes * 131_072 == 2.5 * GIB
    assert [round(each.snapshot_bytes / (1 << 20), 1) for each in (mlx, llama)] == [61.4, 62.8]


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def pair(name: str, value: Any) -> bytes:
    if isinstance(value, list):
        return text(name) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    if isinstance(value, str):
        return text(name) + struct.pack("<I", 8) + text(value)
    is_whole = isinstance(value, int)
    return text(name) + struct.pack("<II" if is_whole else "<If", 4 if is_whole else 6, value)


def write_gguf(path: Path, metadata: dict[str, Any]) -> Path:
    """Header only: every tensor of the full shape is named, and its bytes are a hole."""
    pairs = {"general.architecture": "qwen35moe", "tokenizer.ggml.tokens": [f"t{i}" for i in range(248_320)]}
    pairs |= {f"qwen35moe.{name}": value for name, value in metadata.items()}
    tensors, end = b"", 0
    shapes = dict(_expected(CONFIG, is_stacked=False))
    for name, shape in shapes.items():
        tensors += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), BLOCK_Q4_K, end)
        end += -(-prod(shape) // 256) * 144
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs)) + b"".join(map(pair, pairs, pairs.values()))
    with path.open("wb") as file:
        file.write(head + tensors)
        file.truncate(-(-(len(head) + len(tensors)) // 32) * 32 + end)
    return path


def test_a_gguf_of_the_full_shape_is_planned_for(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "whole.gguf", METADATA)
    assert path.stat().st_blocks * 512 < 100_000_000 < 19e9 < path.stat().st_size
    header = read_header(path)
    check_header(header)
    found = of_gguf(path, header, SETTINGS)
    assert found == of_entry(entry().shape, entry().context, path.stat().st_size, "llama", SETTINGS)
    made = plan(Machine(64 * GIB, None, Gpu("GPU", 32 * GIB, is_shared=False)), found, None, 8)
    assert isinstance(made, MemoryPlan)
    assert (made.n_ctx, made.on_gpu) == (131_072, True)


@pytest.mark.parametrize(
    "key",
    [
        key
        for key in METADATA
        if key not in ("attention.value_length", "full_attention_interval", "rope.dimension_count")
    ],
)
def test_a_gguf_that_lacks_a_key_is_refused_by_its_name(tmp_path: Path, key: str) -> None:
    path = write_gguf(tmp_path / "lacking.gguf", {name: value for name, value in METADATA.items() if name != key})
    with pytest.raises(ModelBroken, match=key.replace(".", r"\.")):
        check_header(read_header(path))
