"""The baseline: llama.vim's prompt asked of llama-server with the same weights, with llama.vim's own cache of answers.

`eval/llama_vim.py` has the prompt. What was asked before is not asked again, and typing along an answer asks nothing,
as there. Its speculative second request is left out, and answers end after 16 tokens instead of 128: in its favour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from inference.tokenizer import from_folder
from qwen_lsp.eval import llama_vim
from qwen_lsp.prompt.segments import Control, Prompt, Text
from scripts.benches.inference_servers import EMBEDDED, Answer, Server
from scripts.benches.inference_traces import Ask

MAX_TOKENS = 16
LOOK_BACK = 64  # characters along which an earlier answer is looked for; llama.vim's own number
CONTEXT_TOKENS = 32_768 - MAX_TOKENS


@dataclass(slots=True)
class Vim:
    """One window of llama.vim's. `opened`: the files of the session, the oldest first."""

    server: Server
    opened: dict[str, str] = field(default_factory=dict)
    _answers: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _ids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _tokenizer: object = field(default_factory=lambda: from_folder(EMBEDDED))

    def key(self, path: str, texts: Mapping[str, str], cursor: int) -> Answer | None:
        """What is asked after a key; None where an earlier answer serves."""
        text = texts[path]
        before, after = text[:cursor], text[cursor:]
        if self._known(path, before, after):
            return None
        recent = [(name, texts[name]) for name in self.opened if name != path and name in texts]
        prompt = llama_vim.prompt(path, before, after, recent)
        answer = self.server.ask(Ask(self._encoded(prompt)[-CONTEXT_TOKENS:]), MAX_TOKENS)
        self._answers[path, before, after] = answer.text
        return answer

    def _known(self, path: str, before: str, after: str) -> bool:
        for n in range(min(LOOK_BACK, len(before)) + 1):
            said = self._answers.get((path, before[: len(before) - n], after))
            if said is not None and said.startswith(before[len(before) - n :]) and len(said) > n:
                return True
        return False

    def _encoded(self, prompt: Prompt) -> tuple[int, ...]:
        found: list[int] = []
        for segment in prompt.segments:
            if isinstance(segment, Control):
                found += self._encode(segment.token, True)
            elif isinstance(segment, Text):
                found += self._encode(segment.text, False)
        return tuple(found)

    def _encode(self, text: str, is_control: bool) -> tuple[int, ...]:
        key = f"{is_control}{text}"
        if key not in self._ids:
            self._ids[key] = tuple(self._tokenizer.encode(text, parse_special=is_control))  # type: ignore[attr-defined]
        return self._ids[key]
