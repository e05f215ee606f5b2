"""What a scripted daemon answers, from a file that a test or a bench wrote. Stands for no model's quality.

The file is a list of `{"when": [texts], "say": text}`: the first row whose texts all occur in the prompt answers, and
nothing does where none fits. `"token_ms"` slows a row down, for whoever ends an answer in its middle. The file is read
again for each answer, so that a test can change its mind.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from inference.errors import ModelBroken

MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """One row."""

    when: tuple[str, ...]
    say: str
    token_ms: float = 0.0

    def fits(self, prompt: str) -> bool:
        return all(text in prompt for text in self.when)


NOTHING = Reply((), "")


@dataclass(frozen=True, slots=True)
class Told:
    """A file of answers."""

    path: Path

    def reply(self, prompt: str) -> Reply:
        """The row that answers. Raises ModelBroken."""
        return next((row for row in read(self.path) if row.fits(prompt)), NOTHING)


def read(path: Path) -> tuple[Reply, ...]:
    """The rows of a file. Raises ModelBroken."""
    try:
        with path.open("rb") as file:
            rows = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBroken(f"{path} is no list of scripted answers: {type(error).__name__}") from error
    if not isinstance(rows, list):
        raise ModelBroken(f"{path} is no list of scripted answers")
    return tuple(_row(path, number, row) for number, row in enumerate(rows, 1))


def _row(path: Path, number: int, row: object) -> Reply:
    problem = ModelBroken(f'{path}: row {number} is not {{"when": [texts], "say": text}}')
    if not isinstance(row, dict) or not row.keys() <= {"when", "say", "token_ms"}:
        raise problem
    when, say, token_ms = row.get("when"), row.get("say"), row.get("token_ms", 0)
    if not isinstance(when, list) or not all(isinstance(text, str) for text in when) or not isinstance(say, str):
        raise problem
    if isinstance(token_ms, bool) or not isinstance(token_ms, int | float) or not 0 <= token_ms <= 10_000:
        raise problem
    return Reply(tuple(when), say, float(token_ms))
