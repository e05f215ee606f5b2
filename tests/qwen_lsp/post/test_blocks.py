"""Edit blocks: those that fit are applied whole, the others come back with a reason and the nearest lines."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.post.answers import parse
from qwen_lsp.post.blocks import Applied, Target, applied
from qwen_lsp.text.secrets import masked

CART = "class Cart:\n    def total(self):\n        return 0\n\n    def empty(self):\n        return True\n"


def block(search: str, replace: str, path: str = "cart.py") -> str:
    return f"{path}\n<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def applied_to(answer: str, text: str = CART) -> Applied:
    blocks, failures = parse(answer)
    found = applied(blocks, {"cart.py": Target(text)}, ("new.py",))
    return Applied(found.texts, (*failures, *found.failures), found.n_blocks)


def check(answer: str, becomes: str, text: str = CART) -> None:
    found = applied_to(answer, text)
    assert found.failures == () and found.texts == {"cart.py": becomes}


def check_fails(answer: str, reason: str, text: str = CART, hint: str = "") -> None:
    (failure,) = applied_to(answer, text).failures
    assert reason in failure.reason and failure.hint == hint


def test_blocks_replace_whole_lines() -> None:
    check(block("        return 0\n", "        return 1\n"), CART.replace("0", "1"))
    check(
        block("        return 0\n", "        return 1\n") + "\n" + block("        return True\n", ""),
        CART.replace("0", "1").replace("        return True\n", ""),
    )
    check(block("class Cart:\n", "# é\nclass Cart:\n"), "# é\n" + CART)


def test_an_empty_search_makes_a_file() -> None:
    found = applied_to(block("", "x = 1\n", "new.py"))
    assert found.texts == {"new.py": "x = 1\n"} and not found.failures
    check_fails(block("", "x = 1\n"), "the file is not empty")
    check(block("", "x = 1\n"), "x = 1\n", text="\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_line_ends_and_the_last_one_are_kept(end: str, last: bool) -> None:
    def text(*lines: str) -> str:
        return end.join(lines) + (end if last else "")

    check(block("b\n", "x\ny\n"), text("a", "z", "x", "y"), text("a", "z", "b"))
    check(block("b\n", ""), text("a", "z"), text("a", "z", "b"))
    check(block("a\n", ""), text("z", "b"), text("a", "z", "b"))


def test_credentials_that_the_model_saw_as_stars_stay() -> None:
    text = 'password = "hunter2!x"\nretries = 1\n'
    shown = masked(text)
    assert "hunter2" not in shown
    check(block(shown, "# two\n" + shown.replace("1", "2")), "# two\n" + text.replace("1", "2"), text)
    check(block(shown.split("\n")[0] + "\n", "    " + shown.split("\n")[0] + "\n"), "    " + text, text)


def test_equal_lines_keep_their_own_ends_in_a_mixed_file() -> None:
    text = "a\r\nb\nc\r\n"
    check(block("a\nb\nc\n", "a\nB\nb\nc\n"), "a\r\nB\r\nb\nc\r\n", text)


ZERO, ONE = "        return 0", "        return 1"


@pytest.mark.parametrize(
    "answer",
    [
        f"Here it is:\n\n```python\ncart.py\n<<<<<<< SEARCH\n{ZERO}\n=======\n{ONE}\n>>>>>>> REPLACE\n```\n",
        f"### `cart.py`\n```\n<<<<<<< SEARCH\n{ZERO}\n=======\n{ONE}\n>>>>>>> REPLACE\n```",
        f"File: cart.py\n<<<<<<< ORIGINAL\n{ZERO}\n=======\n{ONE}\n>>>>>>> UPDATED\n",
        f"**cart.py**\n<<<<<<<SEARCH\r\n{ZERO}\r\n=======\r\n{ONE}\r\n>>>>>>>REPLACE\r\n",
        f"./cart.py:\n<<<<<<< SEARCH\n{ZERO}  \n=======\n{ONE}\n>>>>>>> REPLACE",
        "cart.py\n<<<<<<< SEARCH\nreturn 0\n=======\nreturn 1\n>>>>>>> REPLACE",
        f"cart.py\n<<<<<<< SEARCH\n```python\n{ZERO}\n```\n=======\n```python\n{ONE}\n```\n>>>>>>> REPLACE",
        f"cart.py\n<<<<<<< SEARCH\n\t{ZERO}\n=======\n\t{ONE}\n>>>>>>> REPLACE",
    ],
)
def test_what_other_models_write_is_read(answer: str) -> None:
    check(answer, CART.replace("0", "1"))


def test_the_path_counts_until_another_one_comes() -> None:
    other = block("        return True\n", "        return 2\n").split("\n", 1)[1]
    check(block(f"{ZERO}\n", f"{ONE}\n") + other, CART.replace("0", "1").replace("True", "2"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("I would rather not.", "no edit block"),
        ("", "no edit block"),
        ("cart.py\n<<<<<<< SEARCH\n        return 0\n=======\n        return", "cut off"),
        ("cart.py\n<<<<<<< SEARCH\n        return 0\n", "cut off"),
        ("cart.py\n<<<<<<< SEARCH\n        return 0\n>>>>>>> REPLACE\n", "has no line ======="),
        ("<<<<<<< SEARCH\n        return 0\n=======\n>>>>>>> REPLACE\n", "which file"),
        (block("        return 0\n", "", "../cart.py"), "not among the files"),
        (block("        return 0\n", "", "/etc/passwd"), "not among the files"),
        (block("        return 0\n", "", "other.py"), "not among the files"),
        (block("        return\n", ""), "do not stand in the file"),
    ],
)
def test_a_block_that_does_not_fit_has_a_reason(answer: str, reason: str) -> None:
    found = applied_to(answer)
    assert reason in found.failures[0].reason and found.texts == {}


def test_the_nearest_lines_are_told() -> None:
    wrong = "    def totals(self):\n        return None\n"
    check_fails(block(wrong, ""), "do not stand", hint="    def total(self):\n        return 0\n")


def test_spaces_said_for_tabs_become_tabs_and_the_other_way() -> None:
    tabs = "func F() {\n\tif x {\n\t\ta()\n\t}\n}\n"
    for size in (2, 4):
        spaces = tabs.expandtabs(size)
        for text, said in ((tabs, spaces), (spaces, tabs)):
            old, new = (f"{said.split('func F() {')[1][1:-2]}".replace("a()", name) for name in ("a()", "b()"))
            deeper = new.replace("b()", f"for {{\n{3 * (' ' * size if said is spaces else chr(9))}b()")
            becomes = tabs.replace("a()", "for {\n\t\t\tb()")
            check(block(old, deeper), becomes if text is tabs else becomes.expandtabs(size), text)


CONFLICT = "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n"
FENCED = "```sh\nmake\n```\n"


@pytest.mark.parametrize(
    ("text", "search", "replace"),
    [
        ("Usage\n=====\nold\n", "Usage\n=====\nold\n", "Usage\n=====\nnew\n"),
        ("Install\n=======\nold\n", "Install\n=======\nold\n", "Install\n=======\nnew\n"),
        ("=======\nInstall\n=======\n", "=======\nInstall\n=======\n", "=======\nUse\n=======\n"),
        ("Install\nold\n", "Install\n", "Install\n=======\n"),
        (CONFLICT, CONFLICT, "x = 3\n"),
        (FENCED, FENCED, "make\n"),
        ("make\n", "make\n", FENCED),
        (FENCED, FENCED, FENCED.replace("make", "make all")),
    ],
)
def test_lines_of_a_file_that_look_like_markers_are_lines(text: str, search: str, replace: str) -> None:
    check(block(search, replace), f"a\n{text.replace(search, replace)}z\n", f"a\n{text}z\n")


def test_a_new_file_keeps_its_fence_where_fences_mean_something() -> None:
    for path, text in (("new.md", FENCED), ("new.sh", "make\n")):
        blocks, _ = parse(block("", FENCED, path))
        assert applied(blocks, {}, (path,)).texts == {path: text}


def test_an_empty_file_is_filled_once() -> None:
    found = applied_to(block("", "one\n") + block("", "two\n"), "")
    assert "another block" in found.failures[0].reason and found.texts == {"cart.py": "one\n"}


def test_lines_that_stand_twice_are_no_place() -> None:
    check_fails(block("x = 1\n", "x = 2\n"), "stand 2 times (at lines 1, 3)", "x = 1\ny\nx = 1\n")


def test_only_what_was_shown_counts() -> None:
    blocks, _ = parse(block("x = 1\n", "x = 2\n"))
    found = applied(blocks, {"cart.py": Target("x = 1\ny\nx = 1\n", ((2, 3),))})
    assert found.texts == {"cart.py": "x = 1\ny\nx = 2\n"}
    (failure,) = applied(blocks, {"cart.py": Target("x = 1\ny\n", ((1, 2),))}).failures
    assert "do not stand" in failure.reason


def test_blocks_that_meet_are_refused_and_repeated_ones_are_one() -> None:
    one, other = block("        return 0\n", "        return 1\n"), block("        return 0\n\n", "")
    assert applied_to(one + one).n_blocks == 1
    found = applied_to(one + other)
    assert "another block" in found.failures[0].reason and found.texts == {"cart.py": CART.replace("0", "1")}


LINES = st.lists(st.sampled_from(["a", "  b", "b", "", "c\t", "=======x", "é"]), min_size=1, max_size=8)


@settings(deadline=None)
@given(LINES, st.randoms(use_true_random=False), LINES, st.sampled_from(["\n", "\r\n"]))
def test_lines_that_stand_once_are_replaced_and_no_other(
    lines: list[str], chance: random.Random, new: list[str], end: str
) -> None:
    first = chance.randrange(len(lines))
    last = chance.randrange(first, len(lines)) + 1
    search = lines[first:last]
    answer = block("".join(f"{line}\n" for line in search), "".join(f"{line}\n" for line in new))
    n_places = sum(lines[at : at + len(search)] == search for at in range(len(lines)))
    found = applied_to(answer, "".join(line + end for line in lines))
    if n_places == 1:
        assert found.texts == {"cart.py": "".join(line + end for line in (*lines[:first], *new, *lines[last:]))}
    elif any(line.strip() for line in lines):
        assert "times" in found.failures[0].reason


MARKERS = ["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "cart.py", "```", ZERO, ""]


@settings(deadline=None)
@given(st.lists(st.sampled_from(MARKERS), max_size=14))
def test_no_answer_breaks_it(lines: list[str]) -> None:
    found = applied_to("\n".join(lines))
    assert found.texts or found.failures or found.n_blocks == 0
    assert set(found.texts) <= {"cart.py"}
