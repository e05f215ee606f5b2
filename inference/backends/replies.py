"""What a scripted daemon answers, from a file that a test or a bench wrote. Stands for no model's quality.

The file is a list of `{"when": [texts], "say": text}`: the first row whose texts all occur in the prompt answers, and
nothing does where none fits. Texts of `"near"` must occur at the prompt's end, where the cursor is. `"token_ms"` slows
a row down, for whoever ends an answer in its middle. The file is read again for each answer, so that a test can change
its mind.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from inference.errors import ModelBroken

MAX_BYTES = 64 << 20
NEAR_CHARS = 160  # two lines: other files may say the same


@dataclass(frozen=True, slots=True)
class Reply:
    """One row."""

    when: tuple[str, ...]
    say: str
    token_ms: float = 0.0
    near: tuple[str, ...] = ()

    def fits(self, prompt: str) -> bool:
        end = prompt[-NEAR_CHARS:]
        return all(text in prompt for text in self.when) and all(text in end for text in self.near)


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
    if not isinstance(row, dict) or not row.keys() <= {"when", "say", "token_ms", "near"}:
        raise problem
    when, say, token_ms, near = row.get("when", []), row.get("say"), row.get("token_ms", 0), row.get("near", [])
    for texts in (when, near):
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise problem
    if not isinstance(say, str) or not ({"when", "near"} & row.keys()):
        raise problem
    if isinstance(token_ms, bool) or not isinstance(token_ms, int | float) or not 0 <= token_ms <= 10_000:
        raise problem
    return Reply(tuple(when), say, float(token_ms), tuple(near))
