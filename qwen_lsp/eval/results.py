"""What a run asked and what came back, one line per answer in a file of its own, so that a stopped run goes on.

The file holds source text of the repository: it is the user's own, in a folder that the user names, mode 0600. A line
that was cut off by a kill is asked again. git and the index pass the folder over. Knows no engine.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from qwen_lsp.errors import NotDone
from qwen_lsp.index.locks import Taken, locked
from qwen_lsp.settings import Layout

FILE_NAME = "answers.jsonl"
LOCK = "lock"
IGNORED = ".gitignore"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of asking. layout: None is that of the settings; log: edits before the hole are told as edits.

    is_baseline: what llama.vim sends instead of a prompt of ours.
    """

    name: str
    layout: Layout | None = None
    context_tokens: int = 0
    log: bool = True
    is_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One hole asked in one way. `reason`: why nothing was shown, or "". Times in milliseconds, counts in tokens.

    tests: whether the repository's own tests pass with the answer in the hole; None where they were not run.
    """

    hole: str
    kind: str
    path: str
    time: int
    variant: str
    line: str  # what stands before the hole in its line
    wanted: str
    said: str
    reason: str
    exact: bool
    similarity: float
    first_line: bool
    parses: bool
    ms: float
    prompt: int
    cached: int | None
    evaluated: int | None
    tests: bool | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.hole, self.variant

    @property
    def commit(self) -> str:
        """That wrote what was wanted."""
        return self.hole.partition(":")[0]


class Results:
    """Answers so far. `about` says what was asked of whom: a file of another run is refused."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.path = folder / FILE_NAME
        self.about = about
        self.answers: dict[tuple[str, str], Answer] = {}
        self._held = ExitStack()
        self._own(folder)
        try:
            self._open()
        except BaseException:
            self._held.close()
            raise

    def _own(self, folder: Path) -> None:
        """Have the folder, and keep others out."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._held.enter_context(locked(folder / LOCK, wait=False))
            if not (folder / IGNORED).exists():
                (folder / IGNORED).write_text("*\n", "utf-8")
        except Taken:
            raise NotDone(f"another run writes to {folder}") from None
        except OSError as error:
            raise NotDone(f"{folder} can not be written to: {error.strerror}") from error

    def _open(self) -> None:
        complete = self._read()
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
        self._file.seek(complete)
        self._file.truncate()
        if complete == 0:
            self._write(self.about)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._held.close()

    def add(self, answer: Answer) -> None:
        """Keep it, on the disk too."""
        self.answers[answer.key] = answer
        self._write(asdict(answer))

    def _write(self, value: dict[str, Any]) -> None:
        self._file.write(json.dumps(value, ensure_ascii=False) + "\n")
        self._file.flush()

    def _read(self) -> int:
        """Take what an earlier run left; how many bytes of the file are whole lines."""
        n_bytes = 0
        for number, (line, value) in enumerate(_lines(self.path)):
            if number == 0 and value != self.about:
                differing = sorted(key for key in {*value, *self.about} if value.get(key) != self.about.get(key))
                raise NotDone(f"{self.path} is of another run ({', '.join(differing)} differ): name another folder")
            if number:
                try:
                    answer = Answer(**value)
                except TypeError:
                    raise NotDone(f"{self.path} is of another version: name another folder") from None
                self.answers[answer.key] = answer
            n_bytes += len(line)
        return n_bytes


def read_answers(folder: Path) -> tuple[dict[str, Any], dict[tuple[str, str], Answer]]:
    """What a run asked and was answered, whoever writes there. Raises NotDone where there is none."""
    rows = [value for _, value in _lines(folder / FILE_NAME)]
    if not rows:
        raise NotDone(f"{folder} holds no run")
    try:
        answers = [Answer(**value) for value in rows[1:]]
    except TypeError:
        raise NotDone(f"{folder / FILE_NAME} is of another version") from None
    return rows[0], {answer.key: answer for answer in answers}


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Whole lines only, up to the first that is none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    for line in content.splitlines(keepends=True):
        try:
            value = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not isinstance(value, dict):
            return
        yield line, value
