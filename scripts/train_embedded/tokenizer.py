"""The byte-level BPE of the embedded model, with Qwen's special tokens in Qwen's order after the ordinary ones.

The pre-tokenizer is the expression that llama.cpp calls `qwen35`, so both engines cut text alike. There is no
normaliser: llama.cpp has none, and text must survive a round trip byte for byte.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB_SIZE = 4096
SAMPLE_BYTES = 40_000_000  # enough for 3,800 merges; training takes half a minute
# llama.cpp, src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_QWEN35
PRE_TOKENIZER = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# True: a control token. False: Qwen marks it "special: false"; text such as <think> that is ordinary output.
SPECIAL_TOKENS: dict[str, bool] = {
    "<|endoftext|>": True, "<|im_start|>": True, "<|im_end|>": True,
    "<|object_ref_start|>": True, "<|object_ref_end|>": True, "<|box_start|>": True, "<|box_end|>": True,
    "<|quad_start|>": True, "<|quad_end|>": True, "<|vision_start|>": True, "<|vision_end|>": True,
    "<|vision_pad|>": True, "<|image_pad|>": True, "<|video_pad|>": True,
    "<tool_call>": False, "</tool_call>": False,
    "<|fim_prefix|>": False, "<|fim_middle|>": False, "<|fim_suffix|>": False, "<|fim_pad|>": False,
    "<|repo_name|>": False, "<|file_sep|>": False,
    "<tool_response>": False, "</tool_response>": False, "<think>": False, "</think>": False,
    "<|audio_start|>": True, "<|audio_end|>": True, "<tts_pad>": True, "<tts_text_bos>": True,
    "<tts_text_eod>": True, "<tts_text_bos_single>": True, "<|audio_pad|>": True,
}  # fmt: skip
# Written for this model: system, user, assistant and tool turns, and an empty think block when thinking is off.
CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}{{- message['content'] }}
{%- else %}{%- for part in message['content'] %}{{- part['text'] }}{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}
"""


def empty_tokenizer() -> Tokenizer:
    """An untrained BPE with the pre-tokenizer and decoder set."""
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(PRE_TOKENIZER), behavior="isolated", invert=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def train(texts: list[str]) -> Tokenizer:
    """Learn the merges from `texts`; ids 0..VOCAB_SIZE-34 are ordinary, the rest special."""
    tokenizer = empty_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    for token, special in SPECIAL_TOKENS.items():
        tokenizer.add_tokens([AddedToken(token, special=special, normalized=False)])
    return tokenizer


def sample(files: Path, seed: int) -> list[str]:
    """Training texts in a seeded order up to SAMPLE_BYTES; held-out packages are not read."""
    rows = [json.loads(line) for line in files.read_text().splitlines()]
    texts = [row["text"] for row in rows if row["split"] == "train"]
    random.Random(seed).shuffle(texts)
    chosen, total = [], 0
    for text in texts:
        if total > SAMPLE_BYTES:
            break
        chosen.append(text)
        total += len(text.encode())
    return chosen


def tokenizer_config() -> dict[str, object]:
    """What transformers and mlx-lm read beside tokenizer.json."""
    first = VOCAB_SIZE - len(SPECIAL_TOKENS)
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    added = {
        str(first + i): {"content": token, **flags, "special": special}
        for i, (token, special) in enumerate(SPECIAL_TOKENS.items())
    }
    return {
        "tokenizer_class": "Qwen2TokenizerFast",
        "add_prefix_space": False,
        "add_bos_token": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": False,
        "errors": "replace",
        "model_max_length": 32768,
        "added_tokens_decoder": added,
        "chat_template": CHAT_TEMPLATE,
    }


def main() -> None:
    """Train on files.jsonl and write the three tokenizer files into the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tokenizer = train(sample(arguments.files, arguments.seed))
    arguments.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(arguments.out / "tokenizer.json"))
    (arguments.out / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(), indent=1) + "\n")
    (arguments.out / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    print("vocabulary", tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
