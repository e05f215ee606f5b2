"""Text to token ids and back, by the `tokenizers` library, for both file formats.

Does not know engines, prompts or chat templates beyond carrying one. llama.cpp's own vocabulary is not used because
it finds user-defined tokens such as `<think>` in any text, also with `parse_special` false: a user's file would be
turned into control tokens. So a GGUF's vocabulary is put into the same library; tests hold it equal to llama.cpp's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from inference.errors import ModelBroken

# Tokens that no answer goes on after, in Qwen's families; the same set that llama.cpp derives from a vocabulary.
END_TOKENS = ("<|endoftext|>", "<|im_end|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>")

# How text is cut before byte pairs are merged, by the name that GGUF files use.
_WORD = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_PATTERNS = {
    "qwen2": rf"{_WORD}|{_LEAD}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}",
    "qwen35": rf"{_WORD}|{_LEAD}[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}",
}
_GGUF_NORMAL, _GGUF_CONTROL, _GGUF_USER_DEFINED = 1, 3, 4


def _byte_of_character() -> dict[str, int]:
    """The printable stand-ins that byte-level BPE uses for bytes: a published table, written as its rule."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}


_BYTES = _byte_of_character()


@dataclass(slots=True)  # not frozen: the contract has `chat_template` as a plain attribute
class TextTokenizer:
    """Two views of one vocabulary: with its added tokens, and without any. Safe to call from any thread."""

    chat_template: str | None
    end_ids: frozenset[int]
    n_vocab: int
    _marked: Tokenizer
    _plain: Tokenizer
    _added: Mapping[int, bytes]

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """Ids of `text`. With `parse_special` false no part of the text becomes a control token."""
        whole = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate, from JSON, becomes a question mark
        tokenizer = self._marked if parse_special else self._plain
        ids: list[int] = tokenizer.encode(whole, add_special_tokens=False).ids
        return ids

    def piece(self, token: int) -> bytes:
        """The bytes that `token` stands for; may end within a UTF-8 character; empty for control tokens."""
        if token in self._added:
            return self._added[token]
        text = self._plain.id_to_token(token)
        return b"" if text is None else bytes(_BYTES[character] for character in text)


def from_folder(folder: Path) -> TextTokenizer:
    """The tokenizer of a safetensors model: `tokenizer.json`, and the template where one is."""
    try:
        definition = json.loads((folder / "tokenizer.json").read_bytes())
        settings_file = folder / "tokenizer_config.json"
        settings = json.loads(settings_file.read_bytes()) if settings_file.exists() else {}
        template_file = folder / "chat_template.jinja"
        template = template_file.read_text("utf-8") if template_file.exists() else settings.get("chat_template")
        return _build(definition, settings.get("eos_token"), template if isinstance(template, str) else None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelBroken(f"the tokenizer in {folder} is unusable: {type(error).__name__}: {error}") from error


def from_gguf(metadata: Mapping[str, Any]) -> TextTokenizer:
    """The tokenizer of a GGUF file, from its metadata."""
    prefix = "tokenizer.ggml."
    if (model := metadata.get(prefix + "model")) != "gpt2":
        raise ModelBroken(f"{prefix}model is {model!r}; only byte-level BPE ('gpt2') is supported")
    pattern = _PATTERNS.get(metadata.get(prefix + "pre", ""))
    if pattern is None:
        raise ModelBroken(f"{prefix}pre is {metadata.get(prefix + 'pre')!r}; supported: {', '.join(_PATTERNS)}")
    try:
        tokens: Sequence[str] = metadata[prefix + "tokens"]
        types: Sequence[int] = metadata[prefix + "token_type"]
        eos = metadata.get(prefix + "eos_token_id")
        definition = {
            "version": "1.0",
            "pre_tokenizer": _pre_tokenizer(pattern),
            "added_tokens": [
                _added_token(i, tokens[i], kind == _GGUF_CONTROL)
                for i, kind in enumerate(types)
                if kind in (_GGUF_CONTROL, _GGUF_USER_DEFINED)
            ],
            "model": {
                "type": "BPE",
                "vocab": {tokens[i]: i for i, kind in enumerate(types) if kind == _GGUF_NORMAL},
                "merges": list(metadata[prefix + "merges"]),
            },
        }
        return _build(definition, None if eos is None else tokens[eos], metadata.get("tokenizer.chat_template"))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ModelBroken(f"the GGUF's vocabulary is unusable: {type(error).__name__}: {error}") from error


def _pre_tokenizer(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    as_bytes = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, as_bytes]}


def _added_token(token: int, text: str, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": text, "special": special, **flags}


def _build(definition: dict[str, Any], eos: object, template: str | None) -> TextTokenizer:
    """Both views from one definition. Its normaliser is dropped: a file's bytes must come back as they went in."""
    definition = {**definition, "normalizer": None, "truncation": None, "padding": None}
    added = definition.get("added_tokens", [])
    marked = _loaded(definition)
    ends = {eos["content"] if isinstance(eos, dict) else eos, *END_TOKENS}
    return TextTokenizer(
        chat_template=template,
        end_ids=frozenset(token["id"] for token in added if token["content"] in ends),
        n_vocab=marked.get_vocab_size(with_added_tokens=True),
        _marked=marked,
        _plain=_loaded({**definition, "added_tokens": []}),
        _added={token["id"]: b"" if _is_control(token) else token["content"].encode() for token in added},
    )


def _loaded(definition: dict[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(definition))
    except Exception as error:  # the library raises plain Exception
        raise ValueError(str(error)) from error


def _is_control(token: Mapping[str, Any]) -> bool:
    """Qwen marks its FIM tokens as not special; a GGUF made from the same files calls them control tokens."""
    content: str = token["content"]
    return bool(token.get("special")) or (content.startswith("<|") and content.endswith("|>"))
