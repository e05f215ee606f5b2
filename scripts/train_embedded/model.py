"""The `qwen3_5_moe` text architecture in miniature, written for fast training on a CPU (it runs on CUDA too).

Parameter names are those of the published checkpoints, so a state dict is the exported file. Shapes: B rows,
T tokens, D hidden size, H heads, C chunk. Source of the layer maths: the paper "Gated Delta Networks" and mlx-lm's
and transformers' readable versions; `tests` of equality with mlx-lm and llama.cpp are in `parity.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from kernels import convolution, delta_rule, experts, next_token_loss
from torch import Tensor, nn
from torch.nn import functional

PLUS_ONE = (  # stored as distance from one, as in the published checkpoints; the gated norm is not
    "input_layernorm.weight", "post_attention_layernorm.weight", "model.norm.weight", "q_norm.weight", "k_norm.weight",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of config.json that shape the model; small enough for minutes on a GPU or an hour or two on a CPU."""

    vocab_size: int = 4096
    hidden_size: int = 192
    num_hidden_layers: int = 4
    full_attention_interval: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    head_dim: int = 64
    linear_num_heads: int = 2  # key heads = value heads: the GGUF needs no reordering
    linear_head_dim: int = 64
    conv_kernel: int = 4
    num_experts: int = 11  # as many as 20 MB for both files allow; two are active however many there are
    num_experts_per_tok: int = 2
    moe_intermediate_size: int = 128
    shared_expert_intermediate_size: int = 64
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1_000_000.0  # slow rotations: positions past the training window look like far ones
    partial_rotary_factor: float = 0.25
    max_position_embeddings: int = 65_536
    mrope_section: tuple[int, int, int] = field(default=(3, 3, 2))  # halves of the rotary width, text uses all alike

    def is_linear(self, layer: int) -> bool:
        """Three of four layers are gated DeltaNet; every fourth is full attention."""
        return (layer + 1) % self.full_attention_interval != 0


class Norm(nn.Module):
    """RMS norm whose stored weight is the distance from one, as the published checkpoints store it."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), 1.0 + self.weight, self.eps)


class GatedNorm(nn.Module):
    """RMS norm of a head's output times silu(gate); the weight is stored as it is."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps) * functional.silu(gate)


def unit(x: Tensor) -> Tensor:
    """L2-normalise the last axis; eps is inside the root, on the sum, as in the reference."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


class DeltaNet(nn.Module):
    """Gated DeltaNet: a short causal convolution, then a decaying associative memory of 64 x 64 per head."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.heads, self.size = c.linear_num_heads, c.linear_head_dim
        width = self.heads * self.size
        self.in_proj_qkv = nn.Linear(c.hidden_size, 3 * width, bias=False)
        self.in_proj_z = nn.Linear(c.hidden_size, width, bias=False)
        self.in_proj_b = nn.Linear(c.hidden_size, self.heads, bias=False)
        self.in_proj_a = nn.Linear(c.hidden_size, self.heads, bias=False)
        self.conv1d = nn.Conv1d(3 * width, 3 * width, c.conv_kernel, groups=3 * width, bias=False)
        self.A_log = nn.Parameter(torch.log(torch.linspace(1, 8, self.heads)))
        self.dt_bias = nn.Parameter(torch.full((self.heads,), -4.0))  # decay near one at the start: long memory
        self.norm = GatedNorm(self.size, c.rms_norm_eps)
        self.out_proj = nn.Linear(width, c.hidden_size, bias=False)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x (B,T,D) -> q, k, v (B,T,H,C), log decay and write strength (B,T,H)."""
        b, t, _ = x.shape
        out = functional.silu(convolution(self.in_proj_qkv(x), self.conv1d.weight[:, 0]))
        q, k, v = out.view(b, t, 3, self.heads, self.size).unbind(2)
        decay = -torch.exp(self.A_log) * functional.softplus(self.in_proj_a(x) + self.dt_bias)
        return unit(q) * self.size**-0.5, unit(k), v, decay, torch.sigmoid(self.in_proj_b(x))

    def finish(self, out: Tensor, x: Tensor) -> Tensor:
        """Per-head output (B,T,H,C) -> (B,T,D)."""
        gated = self.norm(out, self.in_proj_z(x).view_as(out))
        return self.out_proj(gated.flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(delta_rule(*self.project(x)), x)


class Attention(nn.Module):
    """Grouped-query attention with an output gate, normed heads and rotation of a quarter of each head."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.q_proj = nn.Linear(c.hidden_size, 2 * self.heads * self.size, bias=False)  # per head: query, then gate
        self.k_proj = nn.Linear(c.hidden_size, self.kv_heads * self.size, bias=False)
        self.v_proj = nn.Linear(c.hidden_size, self.kv_heads * self.size, bias=False)
        self.o_proj = nn.Linear(self.heads * self.size, c.hidden_size, bias=False)
        self.q_norm, self.k_norm = Norm(self.size, c.rms_norm_eps), Norm(self.size, c.rms_norm_eps)
        self.rotary = int(self.size * c.partial_rotary_factor)
        self.theta = c.rope_theta

    def rotate(self, x: Tensor) -> Tensor:
        """Rotate the first `rotary` dimensions, halves paired; x is (B,H,T,size)."""
        half = self.rotary // 2
        rate = self.theta ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
        angle = torch.arange(x.shape[-2], device=x.device, dtype=torch.float32)[:, None] * rate
        a, b, rest = x.split((half, half, x.shape[-1] - self.rotary), -1)
        return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin(), rest), -1)

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, gate = self.q_proj(x).view(b, t, self.heads, 2 * self.size).chunk(2, -1)
        k = self.k_norm(self.k_proj(x).view(b, t, self.kv_heads, self.size)).transpose(1, 2)
        v = self.v_proj(x).view(b, t, self.kv_heads, self.size).transpose(1, 2)
        q = self.rotate(self.q_norm(q).transpose(1, 2))
        repeat = self.heads // self.kv_heads
        k, v = self.rotate(k).repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        return self.o_proj((out * torch.sigmoid(gate)).reshape(b, t, -1))


class Experts(nn.Module):
    """The routed experts' weights, stacked as the checkpoints stack them."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.empty(c.num_experts, 2 * c.moe_intermediate_size, c.hidden_size))
        self.down_proj = nn.Parameter(torch.empty(c.num_experts, c.hidden_size, c.moe_intermediate_size))


class GatedMlp(nn.Module):
    """The shared expert: silu(gate) * up, then down."""

    def __init__(self, size: int, inner: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(size, inner, bias=False), nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Mixture(nn.Module):
    """Top-k of the routed experts, weights renormalised, plus the gated shared expert."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.top_k = c.num_experts_per_tok
        self.gate = nn.Linear(c.hidden_size, c.num_experts, bias=False)
        self.experts = Experts(c)
        self.shared_expert = GatedMlp(c.hidden_size, c.shared_expert_intermediate_size)
        self.shared_expert_gate = nn.Linear(c.hidden_size, 1, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (B,T,D) -> output of the same shape and the load-balancing loss (Switch Transformer, eq. 4)."""
        flat = x.reshape(-1, x.shape[-1])
        share = torch.softmax(self.gate(flat), -1)
        top, chosen = share.topk(self.top_k, -1)
        out = experts(flat, top / top.sum(-1, keepdim=True), chosen, self.experts.gate_up_proj, self.experts.down_proj)
        out = out + torch.sigmoid(self.shared_expert_gate(flat)) * self.shared_expert(flat)
        taken = chosen.flatten().unsqueeze(1) == torch.arange(share.shape[1], device=x.device)
        load = taken.to(share.dtype).mean(0)  # bincount would wait for a GPU
        return out.view_as(x), share.shape[1] * (load * share.mean(0)).sum()


class Layer(nn.Module):
    """Pre-norm token mixing, then pre-norm mixture of experts."""

    def __init__(self, c: Config, index: int) -> None:
        super().__init__()
        if c.is_linear(index):
            self.linear_attn = DeltaNet(c)
        else:
            self.self_attn = Attention(c)
        self.input_layernorm = Norm(c.hidden_size, c.rms_norm_eps)
        self.post_attention_layernorm = Norm(c.hidden_size, c.rms_norm_eps)
        self.mlp = Mixture(c)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mixer = self.linear_attn if hasattr(self, "linear_attn") else self.self_attn
        x = x + mixer(self.input_layernorm(x))
        out, balance = self.mlp(self.post_attention_layernorm(x))
        return x + out, balance


class Body(nn.Module):
    """Embedding, layers and the last norm; the output head is the embedding (tied)."""

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c.num_hidden_layers))
        self.norm = Norm(c.hidden_size, c.rms_norm_eps)


class Model(nn.Module):
    """The whole model; `model.` begins every parameter's name, as in the checkpoints."""

    def __init__(self, c: Config, seed: int = 0) -> None:
        super().__init__()
        self.config = c
        self.model = Body(c)
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            if p.ndim >= 2 and "conv1d" not in name:
                last = name.endswith(("out_proj.weight", "o_proj.weight", "down_proj.weight", "down_proj"))
                std = 0.02 if "embed" in name else p.shape[-1] ** -0.5 * (0.3 if last else 0.7)
                nn.init.normal_(p, std=std, generator=generator)
            elif "conv1d" in name:
                nn.init.uniform_(p, -0.5, 0.5, generator=generator)

    def hidden(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """ids (B,T) -> normed hidden states (B,T,D) and the mean load-balancing loss."""
        x = self.model.embed_tokens(ids)
        balance = x.new_zeros(())
        for layer in self.model.layers:
            x, loss = layer(x)
            balance = balance + loss / len(self.model.layers)
        return self.model.norm(x), balance

    def logits(self, ids: Tensor) -> Tensor:
        """ids (B,T) -> (B,T,V)."""
        return self.hidden(ids)[0] @ self.model.embed_tokens.weight.T

    def loss(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss in nats over targets that are not negative, and the load-balancing loss."""
        x, balance = self.hidden(ids)
        return next_token_loss(x.flatten(0, 1), self.model.embed_tokens.weight, targets.flatten()), balance


def stored_form(name: str, value: Tensor) -> Tensor:
    """Round to values that float16 holds, also after the one is added to a norm's weight."""
    if name.endswith(PLUS_ONE):
        return (value.float() + 1.0).half().float().sub(1.0).half()
    return value.half()
