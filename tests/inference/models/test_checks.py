"""A folder that mlx-lm would load and be wrong about, or fail on late, is refused with the key or tensor named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.errors import ModelBroken
from inference.models.checks import check_config, check_folder, check_safetensors
from tests.inference.weights import EMBEDDED, Tensors, write_folder

CONFIG: dict[str, Any] = json.loads((EMBEDDED / "config.json").read_bytes())
REQUIRED = (
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
    "rms_norm_eps",
    "rope_parameters",
)


def test_the_embedded_model_is_whole() -> None:
    check_folder(EMBEDDED)


@pytest.mark.parametrize("key", REQUIRED)
@pytest.mark.parametrize("value", [None, "8", -1, True, 0])
def test_a_required_key_is_named(key: str, value: object) -> None:
    with pytest.raises(ModelBroken, match=key):
        check_config({name: v for name, v in CONFIG.items() if name != key})
    with pytest.raises(ModelBroken, match=key):
        check_config(CONFIG | {key: value})


@pytest.mark.parametrize("key", ["rope_theta", "partial_rotary_factor"])
@pytest.mark.parametrize("value", [None, 0, -1.0, "1"])
def test_a_rope_key_is_named(key: str, value: object) -> None:
    with pytest.raises(ModelBroken, match=key):
        check_config(CONFIG | {"rope_parameters": CONFIG["rope_parameters"] | {key: value}})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_key_value_heads": 3}, "num_attention_heads 4 is not a multiple"),
        ({"linear_num_value_heads": 5}, "linear_num_value_heads"),
        ({"num_hidden_layers": 5}, "full_attention_interval"),
        ({"num_experts_per_tok": 99}, "num_experts_per_tok"),
        ({"linear_key_head_dim": 32}, "linear_key_head_dim"),
        ({"model_type": "llama"}, "model_type"),
        ({"model_file": "evil.py"}, "code of its own"),
        ({"text_config": 3}, "text_config"),
    ],
)
def test_what_does_not_fit_together(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelBroken, match=named):
        check_config(CONFIG | change)


def test_a_nested_text_config_counts() -> None:
    check_config({"model_type": "qwen3_5_moe", "text_config": CONFIG})
    with pytest.raises(ModelBroken, match="num_experts_per_tok"):
        check_config({"model_type": "qwen3_5_moe", "text_config": CONFIG | {"num_experts_per_tok": None}})


@pytest.mark.parametrize("content", ["", "[1]", "{", "null"])
def test_a_config_that_is_no_object(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelBroken, match=r"config\.json"):
        check_folder(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 5000, -1, -1000])
def test_a_file_that_was_cut_off(tmp_path: Path, keep: int) -> None:
    (tmp_path / "model.safetensors").write_bytes((EMBEDDED / "model.safetensors").read_bytes()[:keep])
    with pytest.raises(ModelBroken, match=r"model\.safetensors"):
        check_safetensors(tmp_path, CONFIG)


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="no model"):
        check_safetensors(tmp_path, CONFIG)


@pytest.mark.parametrize("header", [b"not json!", b'{"a": 1}', b'{"a": {}}', b"[1, 2]  "])
def test_a_header_that_makes_no_sense(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelBroken, match="unreadable header"):
        check_safetensors(tmp_path, CONFIG)


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",
        "model.layers.1.linear_attn.A_log",
        "model.layers.3.self_attn.q_norm.weight",
        "model.layers.2.mlp.experts.down_proj",
    ],
)
def test_a_tensor_that_is_missing_or_misshapen(tmp_path: Path, name: str) -> None:
    def drop(_config: dict[str, Any], tensors: Tensors) -> None:
        del tensors[name]

    def bend(_config: dict[str, Any], tensors: Tensors) -> None:
        tensors[name] = np.concatenate([tensors[name]] * 2)

    with pytest.raises(ModelBroken, match=f"lack {name}"):
        check_folder(write_folder(tmp_path / "dropped", drop))
    with pytest.raises(ModelBroken, match=f"{name} has shape"):
        check_folder(write_folder(tmp_path / "bent", bend))


def test_names_and_layouts_of_other_publishers(tmp_path: Path) -> None:
    def rename(_config: dict[str, Any], tensors: Tensors) -> None:
        for name in list(tensors):
            values = tensors.pop(name)
            name = "language_model." + name
            if name.endswith("experts.gate_up_proj"):
                gate, up = np.split(values, 2, axis=1)
                stem = name.removesuffix("experts.gate_up_proj") + "switch_mlp."
                tensors[stem + "gate_proj.weight"], tensors[stem + "up_proj.weight"] = gate, up
            elif name.endswith("experts.down_proj"):
                tensors[name.removesuffix("experts.down_proj") + "switch_mlp.down_proj.weight"] = values
            elif name.endswith("conv1d.weight"):
                tensors[name] = np.moveaxis(values, 2, 1)
            else:
                tensors[name] = values

    check_folder(write_folder(tmp_path / "mlx", rename))
