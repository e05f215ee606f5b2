"""What the engine says by itself: each prompt on a fresh, empty sequence, token by token; no cache, no drafts.

Has a backend of its own, so that nothing of the daemon's can leak in. Computes each distinct answer once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.backends.base import Backend
from inference.generation import GREEDY, Constraint
from inference.grammar import Compiler, Grammar
from scripts.benches.edit_scripts import Ask


def n_common(a: Sequence[int], b: Sequence[int]) -> int:
    """Tokens that both begin with."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@dataclass(frozen=True, slots=True)
class Answer:
    """`ended`: an end or stop id came after `tokens`."""

    tokens: tuple[int, ...]
    ended: bool


class Plain:
    """The engine's own answers, and how sure it was of them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._compiler = Compiler(backend.tokenizer, backend.info.n_vocab, backend.info.end_ids)
        self._constraints: dict[str, Callable[[], Constraint]] = {}
        self._answers: dict[tuple[object, ...], Answer] = {}

    def encode(self, text: str) -> list[int]:
        return self.backend.tokenizer.encode(text, parse_special=False)

    def constraint(self, grammar: Grammar | None) -> Callable[[], Constraint] | None:
        if grammar is None:
            return None
        key = repr(grammar)
        if key not in self._constraints:
            self._constraints[key] = self._compiler.compile(grammar)
        return self._constraints[key]

    def answer(self, ask: Ask) -> Answer:
        key = (ask.prompt, ask.max_tokens, ask.stop_ids, repr(ask.grammar))
        if key not in self._answers:
            self._answers[key] = self._said(ask)
        return self._answers[key]

    def forget(self) -> None:
        """What was computed for one script is seldom of use to another."""
        self._answers.clear()
        self._constraints.clear()

    def margin(self, ask: Ask, n_right: int, instead: Sequence[int]) -> float:
        """By how much the token after the first `n_right` of the answer beats the best of `instead`, in logits."""
        ids = self.end_ids(ask)
        answer = self.answer(ask)
        logits = self._logits((*ask.prompt, *answer.tokens[:n_right]), len(ask.prompt))
        said = answer.tokens[n_right : n_right + 1] or tuple(ids)
        return float(logits[list(said)].max() - logits[list(instead)].max())

    def end_ids(self, ask: Ask) -> frozenset[int]:
        return self.backend.info.end_ids | ask.stop_ids

    def _said(self, ask: Ask) -> Answer:
        if ask.max_tokens == 0:
            return Answer((), False)
        constraint, end_ids = self.constraint(ask.grammar), self.end_ids(ask)
        sampler = self.backend.sampler(GREEDY, constraint() if constraint else None)
        seq = self.backend.open()
        try:
            self.backend.evaluate(seq, ask.prompt)
            tokens: list[int] = []
            while (token := self.backend.sample(seq, sampler)) not in end_ids:
                tokens.append(token)
                if len(tokens) == ask.max_tokens:
                    return Answer(tuple(tokens), False)
                self.backend.evaluate(seq, (token,))
            return Answer(tuple(tokens), True)
        finally:
            self.backend.close(seq)

    def _logits(self, tokens: tuple[int, ...], n_prompt: int) -> NDArray[np.float64]:
        """After the last of `tokens`. The contract has no logits, so this looks inside, for this report only."""
        seq = self.backend.open()
        try:
            self.backend.evaluate(seq, tokens[:n_prompt])
            for token in tokens[n_prompt:]:
                self.backend.evaluate(seq, (token,))
            inside: Any = self.backend
            row = inside._context.get_logits_ith(-1) if inside.info.engine == "llama" else inside._logits[-1].tolist()
            return np.asarray(row, np.float64)
        finally:
            self.backend.close(seq)
