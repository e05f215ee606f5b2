"""Replayed typing: the trace is the commits', the figures are what the keys said."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.replay import (
    MOST_PAUSE_S,
    Played,
    Trace,
    drawn_out,
    lasting,
    play,
    read_typing,
    spread,
    trace,
    typing,
)
from qwen_lsp.eval.traces import Stroke
from qwen_lsp.eval.window import Key, Window
from tests.qwen_lsp.eval.repositories import Tree, repository

TREES: tuple[Tree, ...] = (
    {"a.py": "x = 1\n", "b.py": "y = 1\n"},
    {"a.py": "x = 1\nvalue = 2\n"},
    {"a.py": "x = 1\nvalue = 23\n", "b.py": "y = 1\nother = 4\n", "notes.txt": "not code\n"},
)


@dataclass
class Editor:
    """A window that keeps texts and answers with what a model would have cost."""

    texts: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    def open(self, path: str, text: str) -> None:
        self.texts[path] = text

    def edit(self, path: str, start: int, end: int, text: str) -> None:
        self.texts[path] = self.texts[path][:start] + text + self.texts[path][end:]

    def complete(self, path: str, cursor: int) -> Key:
        self.asked.append((path, cursor))
        usage = {"prompt_tokens": 100, "cached_tokens": 90, "evaluated_tokens": 15, "engine_ms": 8.0}
        return Key("x", 10.0, usage, False)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(repository(tmp_path_factory.mktemp("past") / "w", TREES))


def test_after_the_last_stroke_all_files_are_as_the_commits_left_them(past: Repository) -> None:
    found = trace(past, 1_000, seed=3)
    assert found is not None and found.commit == past.commits()[-1].parent
    assert found.tabs == {"a.py": "x = 1\n", "b.py": "y = 1\n"}, "the oldest text of each"
    editor = Editor(dict(found.tabs))
    waited: list[float] = []
    played = [each for each in play(cast(Window, editor), found.strokes, waited.append) if isinstance(each, Played)]
    assert editor.texts == {"a.py": "x = 1\nvalue = 23\n", "b.py": "y = 1\nother = 4\n"}
    assert len(played) == found.n_keys == len(editor.asked)
    assert max(waited) <= MOST_PAUSE_S
    assert trace(past, 1_000, seed=3) == found and trace(past, 1_000, seed=4) != found


def test_a_trace_is_as_long_as_asked_and_may_not_be_there(past: Repository) -> None:
    found = [trace(past, n_keys, seed=3) for n_keys in range(1, 20)]
    lengths = [each.n_keys for each in found if each is not None]
    assert lengths and min(lengths) < cast(Trace, trace(past, 1_000, seed=3)).n_keys
    assert found[0] is None, "no commit is as short"
    assert trace(past, 1_000, seed=3, admitted=lambda _commit, _change: False) is None


def test_a_trace_may_be_as_long_as_a_person_types_and_ends_there(past: Repository) -> None:
    whole = cast(Trace, trace(past, 1_000, seed=3))
    whole_s = sum(stroke.pause_s for stroke in whole.strokes)
    assert lasting(past, 3_600.0, seed=3) == whole, "the history is no longer than that"
    for seconds in (whole_s, whole_s * 0.9, whole_s * 0.7):
        found = cast(Trace, lasting(past, seconds, seed=3))
        n = len(found.strokes)
        typed_s = sum(stroke.pause_s for stroke in found.strokes)
        assert typed_s <= seconds and (found.commit, found.tabs) == (whole.commit, whole.tabs)
        assert found.strokes == whole.strokes[:n]
        assert n == len(whole.strokes) or typed_s + whole.strokes[n].pause_s > seconds, "the next one is too late"
    assert lasting(past, 0.5, seed=3) is None, "no commit is as short"


def test_a_trace_can_be_drawn_out_over_an_hour_without_slower_keys(past: Repository) -> None:
    whole = cast(Trace, trace(past, 1_000, seed=3))
    drawn = drawn_out(whole, 3_600.0)
    assert sum(stroke.pause_s for stroke in drawn.strokes) == pytest.approx(3_600.0)
    assert [replace(stroke, pause_s=0.0) for stroke in drawn.strokes] == [
        replace(stroke, pause_s=0.0) for stroke in whole.strokes
    ]
    for one, other in zip(whole.strokes, drawn.strokes, strict=True):
        assert one.pause_s == other.pause_s if one.kind in ("key", "back") else one.pause_s < other.pause_s


def test_an_edit_elsewhere_is_told_with_the_next_key() -> None:
    editor = Editor({"a.py": "x\n"})
    strokes = [
        Stroke("key", "a.py", 1, 1, "y"),
        Stroke("paste", "a.py", 3, 3, "pasted text!"),
        Stroke("key", "a.py", 2, 2, "z"),
        Stroke("key", "a.py", 3, 3, "z"),
    ]
    played = [each for each in play(cast(Window, editor), strokes, lambda _: None) if isinstance(each, Played)]
    assert [each.elsewhere for each in played] == [0, 4, 0]


def test_figures_are_of_what_they_say(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 100, "cached_tokens": 90, "evaluated_tokens": 15, "engine_ms": 8.0}
    asked, known, silent = Key("x", 10.0, usage, False), Key("y", 1.0, None, True), Key(None, 30.0, None, False)
    found = typing([Played(asked, "a.py", 5), Played(known, "a.py", 0), Played(silent, "a.py", 0)], 1.5)
    assert (found.keys, found.known, found.shown, found.reused) == (3, 1 / 3, 2 / 3, 0.9)
    assert found.evaluated == spread([15, 0]) and found.asked == spread([15]) and found.beside_ms == spread([2.0])
    assert found.elsewhere == spread([10])
    path = tmp_path / "typing.json"
    path.write_text(json.dumps({"about": {"seed": 1}, "typing": asdict(found)}))
    assert read_typing(path, {"seed": 1}) == found
    assert read_typing(path, {"seed": 2}) is None and read_typing(tmp_path / "none", {}) is None
