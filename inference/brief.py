"""How much of a prompt is evaluated at once while somebody types: a step that a key may have to wait for is short.

Far into a context a token costs ten times what it costs at the beginning, so tokens alone do not say how long it takes.
"""

from dataclasses import dataclass

STEP_S = 0.1
PIECE = 64  # tokens: fewer at once cost more each


@dataclass(slots=True)
class Brief:
    """`token_s`: what a token of the last long step cost; none was there yet where it is 0."""

    token_s: float = 0.0

    def took(self, n_tokens: int, seconds: float) -> None:
        """A step of prefill."""
        if n_tokens >= PIECE:
            self.token_s = seconds / n_tokens

    def chunk(self, most: int) -> int:
        """Tokens of the next step: whole pieces, at least one, at most `most`."""
        n = int(STEP_S / self.token_s) if self.token_s else most
        return min(most, max(1, n // PIECE) * PIECE)
