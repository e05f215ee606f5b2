"""Weights -> model.safetensors + config.json (for mlx-lm and transformers) and model.gguf (for llama.cpp).

Values are rounded to float16 once, so both files hold the same numbers. A norm's weight is stored as its distance
from one in safetensors and as itself in GGUF: it is rounded so that both are exact.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from model import PLUS_ONE, Config, Model, stored_form
from safetensors.torch import load_file, save_file
from tokenizer import CHAT_TEMPLATE, SPECIAL_TOKENS
from torch import Tensor

SIZE_LIMIT = 20_000_000  # bytes, both weight files together
GGUF_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "linear_attn.in_proj_qkv.weight": "attn_qkv.weight",
    "linear_attn.in_proj_z.weight": "attn_gate.weight",
    "linear_attn.in_proj_b.weight": "ssm_beta.weight",
    "linear_attn.in_proj_a.weight": "ssm_alpha.weight",
    "linear_attn.conv1d.weight": "ssm_conv1d.weight",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
    "linear_attn.norm.weight": "ssm_norm.weight",
    "linear_attn.out_proj.weight": "ssm_out.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.experts.down_proj": "ffn_down_exps.weight",
    "mlp.shared_expert.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_expert.up_proj.weight": "ffn_up_shexp.weight",
    "mlp.shared_expert.down_proj.weight": "ffn_down_shexp.weight",
    "mlp.shared_expert_gate.weight": "ffn_gate_inp_shexp.weight",
}
# Small, and read as float32 by llama.cpp's kernels whatever the file's type.
ALWAYS_F32 = (
    "norm.weight",
    "ssm_a",
    "ssm_dt.bias",
    "ssm_conv1d.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
)


def config_json(c: Config) -> dict[str, Any]:
    """config.json with every key explicit: a missing one is silently wrong in some loaders."""
    end = c.vocab_size - len(SPECIAL_TOKENS)
    kinds = ["linear_attention" if c.is_linear(i) else "full_attention" for i in range(c.num_hidden_layers)]
    rope = {
        "rope_type": "default", "rope_theta": c.rope_theta, "partial_rotary_factor": c.partial_rotary_factor,
        "mrope_interleaved": True, "mrope_section": list(c.mrope_section),
    }  # fmt: skip
    shared = ("vocab_size", "hidden_size", "num_hidden_layers", "full_attention_interval", "num_attention_heads",
              "num_key_value_heads", "head_dim", "num_experts", "num_experts_per_tok", "moe_intermediate_size",
              "shared_expert_intermediate_size", "rms_norm_eps", "max_position_embeddings")  # fmt: skip
    return {
        "architectures": ["Qwen3_5MoeForCausalLM"], "model_type": "qwen3_5_moe", "torch_dtype": "float16",
        **{key: getattr(c, key) for key in shared},
        "intermediate_size": c.moe_intermediate_size, "decoder_sparse_step": 1, "mlp_only_layers": [],
        "norm_topk_prob": True, "layer_types": kinds, "attn_output_gate": True, "attention_bias": False,
        "attention_dropout": 0.0, "hidden_act": "silu", "tie_word_embeddings": True,
        "linear_num_key_heads": c.linear_num_heads, "linear_num_value_heads": c.linear_num_heads,
        "linear_key_head_dim": c.linear_head_dim, "linear_value_head_dim": c.linear_head_dim,
        "linear_conv_kernel_dim": c.conv_kernel, "mamba_ssm_dtype": "float32",
        "partial_rotary_factor": c.partial_rotary_factor, "rope_theta": c.rope_theta, "rope_parameters": rope,
        "eos_token_id": [end, end + 2], "pad_token_id": end, "bos_token_id": None, "use_cache": True,
    }  # fmt: skip


def gguf_tensors(weights: dict[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """llama.cpp's names and forms: norms as themselves, decay as -exp(A_log), gate and up apart."""
    out: dict[str, Tensor] = {
        "token_embd.weight": weights["model.embed_tokens.weight"].float(),
        "output_norm.weight": weights["model.norm.weight"].float() + 1.0,
    }
    for name, value in weights.items():
        if not name.startswith("model.layers."):
            continue
        _, _, layer, rest = name.split(".", 3)
        value = value.float() + (1.0 if name.endswith(PLUS_ONE) else 0.0)
        if rest == "mlp.experts.gate_up_proj":
            gate, up = value.chunk(2, 1)
            out[f"blk.{layer}.ffn_gate_exps.weight"], out[f"blk.{layer}.ffn_up_exps.weight"] = (
                gate.contiguous(),
                up.contiguous(),
            )
            continue
        if rest == "linear_attn.A_log":
            value = -torch.exp(value)
        elif rest in ("linear_attn.conv1d.weight", "mlp.shared_expert_gate.weight"):
            value = value.squeeze(1) if value.ndim == 3 else value.squeeze(0)
        out[f"blk.{layer}.{GGUF_NAMES[rest]}"] = value
    return {name: value.numpy() for name, value in out.items()}


def token_kind(token: str, special: bool) -> gguf.TokenType:
    """As llama.cpp's converter has it: whatever looks like <|...|> is a control token, <think> and the like are not."""
    control = special or (token.startswith("<|") and token.endswith("|>"))
    return gguf.TokenType.CONTROL if control else gguf.TokenType.USER_DEFINED


def add_tokenizer(writer: gguf.GGUFWriter, tokenizer: dict[str, Any], size: int) -> None:
    """Vocabulary, merges, special tokens and the chat template; the pre-tokenizer is llama.cpp's `qwen35`."""
    tokens = dict(tokenizer["model"]["vocab"]) | {t["content"]: t["id"] for t in tokenizer["added_tokens"]}
    kinds = {t["id"]: token_kind(t["content"], t["special"]) for t in tokenizer["added_tokens"]}
    by_id = sorted(tokens, key=tokens.__getitem__)
    assert [tokens[t] for t in by_id] == list(range(size)), "token ids must be dense"
    merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list(by_id)
    writer.add_token_types([kinds.get(i, gguf.TokenType.NORMAL) for i in range(size)])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(tokens["<|im_end|>"])
    writer.add_eot_token_id(tokens["<|im_end|>"])
    writer.add_pad_token_id(tokens["<|endoftext|>"])
    writer.add_add_bos_token(False)
    for key, token in (("pre", "prefix"), ("suf", "suffix"), ("mid", "middle"), ("pad", "pad")):
        writer.add_uint32(f"tokenizer.ggml.fim_{key}_token_id", tokens[f"<|fim_{token}|>"])
    writer.add_uint32("tokenizer.ggml.fim_rep_token_id", tokens["<|repo_name|>"])
    writer.add_uint32("tokenizer.ggml.fim_sep_token_id", tokens["<|file_sep|>"])
    writer.add_chat_template(CHAT_TEMPLATE)


def add_shape(writer: gguf.GGUFWriter, c: Config) -> None:
    """The hyperparameters that llama.cpp's qwen35moe reads."""
    writer.add_name("qwen-lsp embedded")
    writer.add_license("apache-2.0")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(c.rope_theta)
    writer.add_rope_dimension_count(int(c.head_dim * c.partial_rotary_factor))
    writer.add_rope_dimension_sections([*c.mrope_section, 0])
    writer.add_expert_count(c.num_experts)
    writer.add_expert_used_count(c.num_experts_per_tok)
    writer.add_expert_feed_forward_length(c.moe_intermediate_size)
    writer.add_expert_shared_feed_forward_length(c.shared_expert_intermediate_size)
    writer.add_full_attention_interval(c.full_attention_interval)
    writer.add_ssm_conv_kernel(c.conv_kernel)
    writer.add_ssm_state_size(c.linear_head_dim)
    writer.add_ssm_group_count(c.linear_num_heads)
    writer.add_ssm_time_step_rank(c.linear_num_heads)
    writer.add_ssm_inner_size(c.linear_num_heads * c.linear_head_dim)


def write_gguf(path: Path, weights: dict[str, Tensor], c: Config, tokenizer: Path, full: bool) -> None:
    """Write `path`; matrices are F16, or F32 when `full` (for comparing engines)."""
    writer = gguf.GGUFWriter(str(path), "qwen35moe")
    add_shape(writer, c)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32 if full else gguf.LlamaFileType.MOSTLY_F16)
    add_tokenizer(writer, json.loads(tokenizer.read_text()), c.vocab_size)
    for name, value in gguf_tensors(weights).items():
        keep = full or name.endswith(ALWAYS_F32)
        writer.add_tensor(name, value.astype(np.float32 if keep else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def export(state: dict[str, Tensor], c: Config, folder: Path, full_copy: Path | None = None) -> int:
    """Write config.json, model.safetensors and model.gguf (and a float32 GGUF) beside the tokenizer.

    Returns the bytes of both weight files.
    """
    weights = {name: stored_form(name, value).contiguous() for name, value in state.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # save_file lets the owner alone read it
    (folder / "config.json").write_text(json.dumps(config_json(c), indent=1) + "\n")
    write_gguf(folder / "model.gguf", weights, c, folder / "tokenizer.json", full=False)
    if full_copy is not None:
        write_gguf(full_copy, weights, c, folder / "tokenizer.json", full=True)
    size = sum((folder / name).stat().st_size for name in ("model.safetensors", "model.gguf"))
    assert size <= SIZE_LIMIT, f"{size} bytes is over {SIZE_LIMIT}"
    return size


def main() -> None:
    """Export a checkpoint, or seeded random weights when none is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="a file of train.py: checkpoint.pt, or weights as safetensors")
    parser.add_argument("--which", default="model", choices=("average", "model"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--full-copy", type=Path, help="also write the same weights as a float32 GGUF here")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    config = Config()
    if arguments.checkpoint is None:
        state = Model(config, arguments.seed).state_dict()
    elif arguments.checkpoint.suffix == ".safetensors":
        state = load_file(arguments.checkpoint)
    else:
        state = torch.load(arguments.checkpoint, map_location="cpu", weights_only=True)[arguments.which]
    print("bytes, both files:", export(dict(state), config, arguments.out, arguments.full_copy))


if __name__ == "__main__":
    main()
