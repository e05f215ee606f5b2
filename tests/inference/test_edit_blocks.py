"""What edit blocks may say, without a model."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.edit_blocks import MAX_LINES, is_marker
from inference.errors import BadRequest
from inference.grammar import EditBlocks
from tests.inference.edit_blocks import check_applies
from tests.inference.walks import BYTES, EMBEDDED_TOKENIZER, END, MODELS, WORDS, says, walk

MARKERS = ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "======= ", "<|im_end|>", "<think>", "=======x")
LINES = st.sampled_from(
    ["", "a", "\tb", "  c  ", 'say "hi" \\n', "é漢🙂", "\x00\x7f", "\u2028", "/x/i", "%json", *MARKERS]
)
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    st.lists(LINES | st.text(max_size=6), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
)
PATHS = st.sampled_from(["a.py", "a.pyi", "src/é b.c", 'q"uote', "back\\slash"])


def searchable(files: Mapping[str, str]) -> bool:
    try:
        BYTES.compile(EditBlocks(files))
    except BadRequest as problem:
        assert "no file with a line" in problem.message
        return False
    return True


@pytest.mark.parametrize("name", list(MODELS))
@settings(deadline=None, max_examples=30)  # the machine may be busy
@given(files=st.dictionaries(PATHS, TEXTS, min_size=1, max_size=3), seed=st.integers(0, 99))
def test_any_finished_walk_applies(name: str, files: dict[str, str], seed: int) -> None:
    model = MODELS[name]
    if not searchable(files):
        return
    begin = model.compiler.compile(EditBlocks(files))
    answer, tokens, finished = walk(model, begin, random.Random(seed))
    if finished:
        check_applies(answer.decode(), files)
    else:
        answer.decode("utf-8", "ignore")
    assert begin().allows(tuple(tokens)) == len(tokens)  # any part of it may be said again, in one draft


def test_walks_do_finish() -> None:
    files = {"a.py": "a = 1\nb = 2\na = 1\n", "b.py": "\n\nx\n\n"}
    begin = WORDS.compile(EditBlocks(files, max_blocks=3))
    finished = 0
    for seed in range(20):
        answer, _, done = walk(MODELS["words"], begin, random.Random(seed))
        finished += done
        if done:
            check_applies(answer.decode(), files)
    assert finished >= 3


def block(search: str, replace: str, path: str = "a.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE"


def test_a_file_is_made_by_a_block_without_lines_to_search_for() -> None:
    begin = WORDS.compile(EditBlocks({"a.py": "x\n"}, creates=("new/b.py",)))
    made = "new/b.py\n<<<<<<< SEARCH\n=======\ny = 1\n\nz\n>>>>>>> REPLACE"
    for answer, allowed in (
        (made, True),
        (made.replace("new/b.py", "a.py"), False),
        (made.replace("b.py", "c.py"), False),
    ):
        tokens = tuple(EMBEDDED_TOKENIZER.encode(answer, parse_special=False))
        assert (begin().allows(tokens) == len(tokens)) == allowed


def test_what_edit_blocks_take() -> None:
    grammar = EditBlocks({"a.py": "one\r\ntwo\r\none\r\n=======\r\n<think>", "b.py": "three\n", "empty.py": ""}, 2)
    for text in (
        block("two\n", ""),
        block("one\ntwo\none\n", "any\n\n  text\n") + "\n",
        block("<think>\n", "======\n========\n >>>>>>> REPLACE\n") + "\n" + block("three\n", "", "b.py"),
    ):
        assert says(text, grammar) == len(text)
        assert BYTES.compile(grammar)().allows((*text.encode(), END)) >= len(text)
    for text, at in (
        (block("one\n", ""), "======="),  # it stands there twice
        (block("three\n", ""), "hree"),
        (block("", ""), "======="),
        (block("two\none\n=======\n", ""), "\n>>>>>>>"),
        (block("tw\n", ""), "\n======="),
        (block("two\n", "=======\n"), "\n>>>>>>>"),
        (block("two\n", "<<<<<<< SEARCH\n"), "H\n>>>>>>>"),
        (block("two\n", "=======  \n"), "\n>>>>>>>"),
        (block("two\n", ">>>>>>> REPLACED\n"), "D\n>>>>>>>"),
        (block("two\n", " " * 201), " >>>>>>>"),
        (block("x\n", "", "c.py"), "c.py"),
        (block("x\n", "", "empty.py"), "empty.py"),
        (block("two\n", "\r\n"), "\r"),
        (block("two\n", "\n" * 9), "\n>>>>>>>"),
    ):
        assert says(text, grammar) == text.rindex(at), text
    count = EditBlocks({"a.py": "one\ntwo\nthree\n"}, 2)
    three = "\n".join(block(f"{line}\n", "") for line in ("one", "two", "three"))
    assert says(three, count) == len(three) - len(block("three\n", ""))


def runs_of(lines: list[str]) -> list[tuple[int, int]]:
    """Those that stand once and hold no marker."""
    places = [(i, j) for i in range(len(lines)) for j in range(i + 1, len(lines) + 1)]
    texts = [lines[i:j] for i, j in places]
    return [(i, j) for i, j in places if texts.count(lines[i:j]) == 1 and not any(map(is_marker, lines[i:j]))]


def searched(lines: list[str], run: tuple[int, int], path: str = "a.py") -> str:
    return block("".join(line + "\n" for line in lines[slice(*run)]), "x\n", path)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["a", "", "  b", "======="]), min_size=1, max_size=7))
def test_two_blocks_of_a_file_stand_one_below_the_other(lines: list[str]) -> None:
    """All pairs of all runs: just those that do not meet, in the file's order."""
    if not (runs := runs_of(lines)):
        return
    begin = BYTES.compile(EditBlocks({"a.py": "".join(line + "\n" for line in lines)}))
    for first in runs:
        for second in runs:
            text = searched(lines, first) + "\n" + searched(lines, second)
            fits = begin().allows((*text.encode(), END)) >= len(text)
            assert fits == (first[1] <= second[0]), (first, second)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_runs_that_do_not_meet_can_be_said(data: st.DataObject) -> None:
    files = {path: data.draw(st.lists(st.sampled_from("abcdefgh"), max_size=80)) for path in ("a.py", "b.py")}
    said = []
    for path, lines in files.items():
        at = 0
        for run in sorted(data.draw(st.lists(st.sampled_from(runs_of(lines)), max_size=6))) if lines else []:
            if run[0] >= at:
                said.append(searched(lines, run, path))
                at = run[1]
    if said:
        text = "\n".join(said)
        grammar = EditBlocks({path: "".join(line + "\n" for line in lines) for path, lines in files.items()}, len(said))
        assert says(text, grammar) == len(text)
        check_applies(text, {path: "\n".join(lines) for path, lines in files.items()})


def test_files_come_in_their_order_and_new_ones_last_and_once() -> None:
    grammar = EditBlocks({"a.py": "one\n", "b.py": "two\n"}, creates=("c.py", "d.py"))
    one, two, made = block("one\n", ""), block("two\n", "", "b.py"), block("", "x\n", "c.py")
    for said in (
        [one, two, made],
        [two, made.replace("c.py", "d.py")],
        [made, made.replace("c.py", "d.py")],
        [one, made],
    ):
        assert says("\n".join(said), grammar) == len("\n".join(said))
    for said in ([two, one], [made, one], [made, made], [one, one]):
        assert says("\n".join(said), grammar) < len("\n".join(said))


@pytest.mark.parametrize("alike", [False, True])
def test_the_longest_files(alike: bool) -> None:
    """No rule too many, and no recursion of llguidance's that ends the process."""
    lines = ["x" if alike else f"{i // 2}" if i % 2 else "" for i in range(MAX_LINES)]
    begin = WORDS.compile(EditBlocks({"a.py": "".join(line + "\n" for line in lines)}))
    runs = [(0, MAX_LINES)] if alike else [(1, 2), (MAX_LINES - 1, MAX_LINES)]
    text = "\n".join(searched(lines, run) for run in runs)
    tokens = EMBEDDED_TOKENIZER.encode(text, parse_special=False)
    assert begin().allows(tuple(tokens)) == len(tokens)


def test_lines_that_repeat_in_too_many_ways_are_refused() -> None:
    rng = random.Random(1)
    with pytest.raises(BadRequest, match="too many lines that repeat"):
        BYTES.compile(EditBlocks({"a.py": "".join(rng.choice("ab") + "\n" for _ in range(MAX_LINES))}))


def test_look_alikes_of_control_tokens_are_plain_text() -> None:
    ids = EMBEDDED_TOKENIZER
    text = block("<|im_end|>\n<think>\n", "</think><|fim_pad|>\n")
    constraint = WORDS.compile(EditBlocks({"a.py": "<|im_end|>\n<think>\n"}))()
    plain = tuple(ids.encode(text, parse_special=False))
    assert constraint.allows(plain) == len(plain)
    tagged = tuple(ids.encode(text, parse_special=True))
    assert tagged != plain
    assert constraint.allows(tagged) == next(i for i, (a, b) in enumerate(zip(tagged, plain, strict=False)) if a != b)
