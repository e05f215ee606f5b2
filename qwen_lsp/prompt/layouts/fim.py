"""Fill in the middle, raw: the model reads what surrounds the cursor and writes on.

Layouts are rows of parts. `JOINT`, the default, puts the suffix first and lets the model simply continue the prefix,
so that typing appends to the prompt. Pure; does not know which model is loaded, nor how texts are ranked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.prompt.heal import border
from qwen_lsp.prompt.ledger import Entry
from qwen_lsp.prompt.segments import Control, Prompt, Segment, Text

PREFIX, SUFFIX, MIDDLE = Control("<|fim_prefix|>"), Control("<|fim_suffix|>"), Control("<|fim_middle|>")
REPO, FILE = Control("<|repo_name|>"), Control("<|file_sep|>")
LOG_NAME = "changes.patch"  # what the log is called, as if it were a file
MARK_CHARS = 2_000  # between two marks in a base, at least: each costs the engine a snapshot
STOP_CONTROLS = ("<|endoftext|>", "<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<|im_end|>")


class Part(Enum):
    """What a layout has a place for, besides control tokens."""

    BEFORE = "the text before the hole"
    AFTER = "the text after the hole"
    MARK = "what follows changes more often"


@dataclass(frozen=True, slots=True)
class Layout:
    """`heals`: the prompt may end at a token border before the cursor (see heal.py)."""

    name: str
    parts: tuple[Control | Part, ...]
    heals: bool = True
    stop_controls: tuple[str, ...] = STOP_CONTROLS


JOINT = Layout("joint", (PREFIX, SUFFIX, Part.AFTER, MIDDLE, Part.MARK, Part.BEFORE))
SUFFIX_FIRST = Layout("suffix-first", (SUFFIX, Part.AFTER, Part.MARK, PREFIX, Part.BEFORE, MIDDLE))
PREFIX_FIRST = Layout("prefix-first", (PREFIX, Part.BEFORE, SUFFIX, Part.AFTER, MIDDLE))
LAYOUTS = {layout.name: layout for layout in (JOINT, SUFFIX_FIRST, PREFIX_FIRST)}


@dataclass(frozen=True, slots=True)
class Hole:
    """The file at the cursor, already cut to its budgets, and what surrounds it. Lines end by LF.

    `log`: what has changed since in the files shown, and what was shown later, in time order.
    """

    path: str
    before: str
    after: str
    repository: str = ""
    files: tuple[ContextFile, ...] = ()
    log: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and the letters before the cursor that it leaves to the answer."""

    prompt: Prompt
    typed: str


def question(layout: Layout, hole: Hole, *, heal: bool = True, stop: tuple[str, ...] = ()) -> Question:
    """Render `hole`. The same hole gives the same prompt; the line of the cursor is a segment of its own."""
    line_start = hole.before.rfind("\n") + 1
    line = hole.before[line_start:]
    cut = border(line) if heal and layout.heals else len(line)
    segments, marks = _repository(hole)
    for part in layout.parts:
        if part is Part.BEFORE:
            segments.append(Text(hole.before[:line_start]))
            marks.append(len(segments))  # a key within the line evaluates the line at most
            segments.append(Text(line[:cut]))
        elif part is Part.AFTER:
            segments.append(Text(hole.after))
        elif part is Part.MARK:
            marks.append(len(segments))
        else:
            segments.append(part)
    return Question(_without_empty(segments, marks, stop, layout.stop_controls), line[cut:])


def _repository(hole: Hole) -> tuple[list[Segment], list[int]]:
    """Other files and what changed in them, marks between them and after the log; nothing where there are none."""
    if not hole.files and not hole.log:
        return [], []
    base, borders = _shown(hole.repository, hole.files)
    segments, marks = [*base, *_told(hole.log)], list(borders)
    if hole.log:
        marks.append(len(segments))
    return [*segments, FILE, Text(f"{hole.path}\n")], marks


@lru_cache(maxsize=4)
def _shown(repository: str, files: tuple[ContextFile, ...]) -> tuple[tuple[Segment, ...], tuple[int, ...]]:
    """A base is rendered once, and its segments stay the same objects from key to key."""
    segments: list[Segment] = [REPO, Text(f"{repository}\n")]
    marks: list[int] = []
    n_chars = 0
    for file in files:
        segments += _file(file)
        n_chars += len(file.text)
        if n_chars >= MARK_CHARS or file is files[-1]:
            marks.append(len(segments))
            n_chars = 0
    return tuple(segments), tuple(marks)


@lru_cache(maxsize=4)
def _told(log: tuple[Entry, ...]) -> tuple[Segment, ...]:
    """A log, likewise: it stays the same while somebody types at a place, and so do its entries when it grows."""
    segments: list[Segment] = []
    is_patch = False
    for entry in log:
        if isinstance(entry, ContextFile):
            segments += _file(entry)
        else:
            segments += [_hunk(entry)] if is_patch else [FILE, _LOG_HEAD, _hunk(entry)]
        is_patch = not isinstance(entry, ContextFile)
    return tuple(segments)


_LOG_HEAD = Text(LOG_NAME + "\n")
_hunk = lru_cache(maxsize=256)(Text)


@lru_cache(maxsize=256)
def _file(file: ContextFile) -> tuple[Segment, ...]:
    return FILE, Text(f"{file.path}\n{file.text.rstrip()}\n")  # blank lines at its end tell nothing


def _without_empty(
    segments: list[Segment], marks: Iterable[int], stop: tuple[str, ...], stop_controls: tuple[str, ...]
) -> Prompt:
    """Drop empty texts; marks move along and none stands at the start or twice."""
    kept: list[Segment] = []
    place = [0]
    for segment in segments:
        if isinstance(segment, Control) or segment.text:
            kept.append(segment)
        place.append(len(kept))
    borders = sorted({place[mark] for mark in marks} - {0})
    return Prompt(tuple(kept), tuple(borders), stop, stop_controls)
