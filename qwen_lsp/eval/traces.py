"""Typing as it may have been, from what commits changed: keys, pauses, slips, jumps, pastes elsewhere. Pure.

The same changes and seed give the same strokes, and after the last one every file is as its commit left it. How a
person really got there nobody recorded; rhythm and slips are drawn. Does not know editors, servers or models.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from qwen_lsp.eval.history import Change
from qwen_lsp.prompt.hunks import Hunk
from qwen_lsp.text.common import common_head, common_tail

# open: a file comes up; jump: only the cursor moves; key: one character, or a line end with the indentation behind it;
# back: a slip is taken back, or what stood there is deleted; paste: many characters at once.
Kind = Literal["open", "jump", "key", "back", "paste"]

KEY_S, KEY_SPREAD = 0.14, 0.5  # between two keys: median, and sigma of its logarithm
LINE_S = 0.5  # before the next line
THOUGHT_S = (1.0, 4.0)  # before going on somewhere else
SLIP_SHARE = 0.02  # of letters
PASTED_SHARE = 0.25  # of hunks: moved code, formatters, snippets
MOST_TYPED = 1_200  # characters; who writes more at once has it from somewhere
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Stroke:
    """`text` takes the place of `start` to `end` in the file; then the cursor stands behind it. Offsets, LF."""

    kind: Kind
    path: str
    start: int
    end: int
    text: str = field(repr=False)
    pause_s: float = 0.0  # before it

    @property
    def cursor(self) -> int:
        return self.start + len(self.text)

    def applied(self, text: str) -> str:
        """The file's text after it."""
        return text[: self.start] + self.text + text[self.end :]


def strokes(changes: Sequence[Change], seed: int) -> Iterator[Stroke]:
    """One commit's changes typed: files by turns, the hunks of each from top to bottom."""
    rng = random.Random(seed)
    texts = {change.path: change.before for change in changes}
    left: dict[str, list[Hunk]] = {change.path: list(change.hunks()) for change in changes if change.hunks()}
    for path in left:
        yield Stroke("open", path, 0, 0, texts[path], rng.uniform(*THOUGHT_S))
    while left:
        path = rng.choice(sorted(left))
        hunk = left[path].pop(0)
        if not left[path]:
            del left[path]
        for stroke in _hunk(rng, path, texts[path], hunk):
            if stroke.kind != "jump":
                texts[path] = stroke.applied(texts[path])
            yield stroke


def _hunk(rng: random.Random, path: str, text: str, hunk: Hunk) -> Iterator[Stroke]:
    """What differs within the hunk, not its whole lines."""
    start = _line_start(text, hunk.at)
    old, new = "".join(hunk.old), "".join(hunk.new)
    head = common_head(old, new)
    tail = common_tail(old, new, min(len(old), len(new)) - head)
    first, last, typed = start + head, start + len(old) - tail, new[head : len(new) - tail]
    thought_s = rng.uniform(*THOUGHT_S)
    if len(typed) > MOST_TYPED or (typed and rng.random() < PASTED_SHARE):
        yield Stroke("paste", path, first, last, typed, thought_s)
        return
    yield Stroke("jump", path, last, last, "", thought_s)
    if last > first:
        yield Stroke("back", path, first, last, "", _key_s(rng))
    yield from _typed(rng, path, first, typed)


def _typed(rng: random.Random, path: str, at: int, text: str) -> Iterator[Stroke]:
    done = 0
    while done < len(text):
        key = _key(text, done)
        if key.isalpha() and rng.random() < SLIP_SHARE:
            slip = rng.choice(LETTERS)
            yield Stroke("key", path, at + done, at + done, slip, _key_s(rng))
            yield Stroke("back", path, at + done, at + done + 1, "", _key_s(rng) * 2)
        pause_s = _key_s(rng) + (LINE_S if key[0] == "\n" else 0.0)
        yield Stroke("key", path, at + done, at + done, key, pause_s)
        done += len(key)


def _key(text: str, at: int) -> str:
    """One character; a line end brings the indentation of the line that follows, as editors do it."""
    if text[at] != "\n":
        return text[at]
    end = at + 1
    while end < len(text) and text[end] in " \t":
        end += 1
    return text[at:end] if end < len(text) and text[end] != "\n" else "\n"


def _key_s(rng: random.Random) -> float:
    return round(rng.lognormvariate(math.log(KEY_S), KEY_SPREAD), 3)


def _line_start(text: str, line: int) -> int:
    at = 0
    for _ in range(line):
        at = text.find("\n", at) + 1
        if at == 0:
            return len(text)
    return at
