"""Greedy generation from the GGUF with llama.cpp, with token healing. Needs cyllama (Python >= 3.12), not torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cyllama.llama import llama_cpp as cy
from fim import END
from numpy.typing import NDArray
from tokenizers import Tokenizer

F32_CACHE = 0  # GGML_TYPE_F32
CONTEXT = 4096


@dataclass(frozen=True, slots=True)
class Output:
    """Text after the prompt, the sum of its tokens' log-probabilities in nats, and how many tokens were decoded."""

    text: str
    log_probability: float
    n_tokens: int


def byte_table() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}


class Engine:
    """One model, one context, one sequence at a time."""

    def __init__(self, folder: Path, gguf: Path | None = None, threads: int = 1) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = cy.LlamaModelParams()
        settings.n_gpu_layers = 0
        self.model = cy.LlamaModel(str(gguf or folder / "model.gguf"), settings)
        context = cy.LlamaContextParams()
        context.n_ctx, context.n_batch, context.n_threads, context.n_threads_batch = CONTEXT, CONTEXT, threads, threads
        context.type_k = context.type_v = F32_CACHE
        self.context = cy.LlamaContext(self.model, context)
        table = byte_table()
        special = set(self.tokenizer.get_added_tokens_decoder())
        names = [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.get_vocab_size())]
        self.bytes = [b"" if i in special else bytes(table[c] for c in name) for i, name in enumerate(names)]
        self.ends = {self.tokenizer.token_to_id(END), self.tokenizer.token_to_id("<|im_end|>")}
        self.place = 0

    def feed(self, ids: list[int], restart: bool, every: bool = False) -> list[NDArray[np.float32]]:
        """Evaluate ids; the logits of the last one, or of each one when `every`."""
        if restart:
            self.context.kv_cache_clear()
            self.place = 0
        batch = cy.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
        for i, token in enumerate(ids):
            batch.add(token, self.place + i, [0], every or i == len(ids) - 1)
        self.context.decode(batch)
        self.place += len(ids)
        wanted = range(len(ids)) if every else [len(ids) - 1]
        return [np.array(self.context.get_logits_ith(i), dtype=np.float32) for i in wanted]

    def allowed(self, typed: bytes) -> NDArray[np.bool_]:
        """Tokens that agree with what is typed already."""
        return np.array([bool(b) and (b.startswith(typed) or typed.startswith(b)) for b in self.bytes])

    def healed(self, prompt: str, prefix: str) -> tuple[list[int], bytes]:
        """Prompt ids without the last pre-token of `prefix` (which ends the prompt), and the bytes that it held."""
        tail = prefix[-400:].split("\n")[-1] if "\n" in prefix[-400:-1] else prefix[-400:]
        pieces = self.tokenizer.pre_tokenizer.pre_tokenize_str(tail) if tail else []
        typed = tail[pieces[-1][1][0] :] if pieces else ""
        ids = self.tokenizer.encode(prompt[: len(prompt) - len(typed)], add_special_tokens=False).ids
        return ids, typed.encode()

    def complete(self, prompt: str, prefix: str, limit: int, one_line: bool) -> Output:
        """Greedy text after `prompt`, healed at `prefix`'s end; `one_line` stops before the first newline."""
        ids, typed = self.healed(prompt, prefix)
        made, total, count = b"", 0.0, 0
        logits = self.feed(ids[-(CONTEXT - limit) :], restart=True)[0]
        while count < limit:
            left = typed[len(made) :] if len(made) < len(typed) else b""
            if left:
                logits = np.where(self.allowed(left), logits, -np.inf)
            token = int(logits.argmax())
            total -= math.log(float(np.exp(logits - logits[token]).sum()))
            if token in self.ends or not self.bytes[token]:
                break
            made += self.bytes[token]
            count += 1
            if one_line and b"\n" in made[len(typed) :]:
                break
            logits = self.feed([token], restart=False)[0]
        text = made[len(typed) :].decode("utf-8", "replace")
        return Output(text.split("\n")[0] if one_line else text, total, count)

    def bits(self, text: str, row: int) -> tuple[float, int]:
        """Bits to code `text` in rows of `row` tokens, each from an empty context, and the bytes coded."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        bits, coded = 0.0, 0
        for start in range(0, len(ids) - 1, row):
            part = ids[start : start + row + 1]
            for logits, target in zip(self.feed(part[:-1], restart=True, every=True), part[1:], strict=False):
                top = float(logits.max())
                bits += (top + math.log(float(np.exp(logits - top).sum())) - float(logits[target])) / math.log(2)
                coded += len(self.bytes[target])
        return bits, coded
