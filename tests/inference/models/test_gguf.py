"""A GGUF is read to the last byte of its header before llama.cpp sees it; what is broken is named, nothing crashes."""

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import ModelBroken
from inference.models.gguf import Header, check_header, read_header
from tests.inference.weights import EMBEDDED

RAW = (EMBEDDED / "model.gguf").read_bytes()
GOOD = read_header(EMBEDDED / "model.gguf")
ARCH = "qwen35moe."


def test_the_embedded_model_is_whole() -> None:
    check_header(GOOD)
    assert GOOD.n_bytes <= len(RAW)
    shape = json.loads((EMBEDDED / "config.json").read_text())
    assert GOOD.tensors["token_embd.weight"] == (shape["hidden_size"], shape["vocab_size"])
    assert len(GOOD.metadata["tokenizer.ggml.tokens"]) == shape["vocab_size"]


def refused(tmp_path: Path, raw: bytes, match: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(raw)
    with pytest.raises(ModelBroken, match=match):
        read_header(path)


@pytest.mark.parametrize("n_kept", [0, 3, 4, 8, 23, 24, 25, 100, 3000, 200_000, len(RAW) // 2, len(RAW) - 100])
def test_a_file_that_was_cut_off(tmp_path: Path, n_kept: int) -> None:
    refused(tmp_path, RAW[:n_kept], r"model\.gguf")


def test_not_a_gguf(tmp_path: Path) -> None:
    refused(tmp_path, b"<!DOCTYPE html><html>" * 100, "not a GGUF")
    refused(tmp_path, b"GGUF" + struct.pack("<IQQ", 9, 1, 1) + bytes(100), "version 9")
    refused(tmp_path, b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(100), "version")
    refused(tmp_path, b"GGUF" + struct.pack("<IQQ", 3, 2**60, 1) + bytes(100), "tensors")
    refused(tmp_path, b"GGUF" + struct.pack("<IQQ", 3, 1, 2**60) + bytes(100), "header")
    refused(tmp_path, b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 2**62) + bytes(100), "cut off")


def test_a_folder_and_nothing(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.gguf"):
        with pytest.raises(ModelBroken, match="unreadable"):
            read_header(path)


@settings(max_examples=150, deadline=None)
@given(at=st.integers(4, 3000), value=st.integers(0, 255))
def test_any_changed_byte_is_survived(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    path = tmp_path_factory.mktemp("flipped") / "model.gguf"
    path.write_bytes(RAW[:at] + bytes([value]) + RAW[at + 1 : 20_000])
    with pytest.raises(ModelBroken):  # the rest of the file is missing anyway
        read_header(path)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("attention.head_count_kv", 0, "num_key_value_heads"),
        ("attention.head_count_kv", 3, "num_key_value_heads"),
        ("attention.key_length", 0, "head_dim"),
        ("ssm.time_step_rank", 0, "linear_num_value_heads"),
        ("expert_used_count", 99, "num_experts_per_tok"),
        ("rope.freq_base", 0.0, "rope_theta"),
        ("rope.dimension_count", 65, "partial_rotary_factor"),
        ("full_attention_interval", 3, "full_attention_interval"),
        ("block_count", None, "wrong kind"),
        ("ssm.inner_size", [1], "wrong kind"),
    ],
)
def test_metadata_that_does_not_fit_together(key: str, value: object, named: str) -> None:
    with pytest.raises(ModelBroken, match=named):
        check_header(Header({**GOOD.metadata, ARCH + key: value}, GOOD.tensors, GOOD.n_bytes))


@pytest.mark.parametrize("key", ["expert_used_count", "rope.freq_base", "block_count", "ssm.inner_size"])
def test_metadata_that_is_missing(key: str) -> None:
    metadata = {name: value for name, value in GOOD.metadata.items() if name != ARCH + key}
    with pytest.raises(ModelBroken, match=key):
        check_header(Header(metadata, GOOD.tensors, GOOD.n_bytes))


def test_other_architectures_are_left_to_llama_cpp() -> None:
    check_header(Header({"general.architecture": "qwen2"}, {}, 0))
