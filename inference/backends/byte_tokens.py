"""One id per byte, and Qwen's control tokens: the vocabulary of the scripted backend. Needs no file."""

_CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
)
CONTROL_IDS = {text: 256 + i for i, text in enumerate(_CONTROL)}
END_IDS = frozenset(CONTROL_IDS[text] for text in ("<|endoftext|>", "<|im_end|>", "<|fim_pad|>"))
N_VOCAB = 256 + len(_CONTROL)
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ByteTokenizer:
    """One id per byte, and Qwen's control tokens."""

    chat_template: str | None = _CHAT_TEMPLATE

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        if not parse_special:
            return list(text.encode("utf-8", "replace"))
        found = [(text.index(control), control) for control in _CONTROL if control in text]
        if not found:
            return self.encode(text, parse_special=False)
        at, control = min(found)
        rest = self.encode(text[at + len(control) :], parse_special=True)
        return [*self.encode(text[:at], parse_special=False), CONTROL_IDS[control], *rest]

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""


def as_text(tokens: tuple[int, ...]) -> str:
    """A prompt to read, control tokens by their names."""
    pieces = (bytes([token]) if token < 256 else _CONTROL[token - 256].encode() for token in tokens)
    return b"".join(pieces).decode("utf-8", "replace")
