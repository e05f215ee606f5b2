"""Which findings are new after an edit. Texts and findings in, findings out."""

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.verify.compare import alignments, moved, new_findings
from qwen_lsp.verify.verdict import Changes, Finding


def at(line: int, message: str = "wrong", path: str = "a.py", rule: str = "E1", is_test: bool = False) -> Finding:
    return Finding(path, line, 0, "error", message, rule, is_test, "check")


def check_new(before: list[Finding], after: list[Finding], then: Changes, now: Changes, *, new: list[Finding]) -> None:
    assert list(new_findings(before, after, alignments(then, now))) == new


BEFORE = "one\ntwo\nthree\nfour\n"


def test_the_same_finding_is_not_new() -> None:
    check_new([at(2)], [at(2)], {}, {}, new=[])


def test_a_finding_moves_with_its_line() -> None:
    then, now = {"a.py": BEFORE}, {"a.py": "zero\nhalf\n" + BEFORE}
    check_new([at(2)], [at(4)], then, now, new=[])
    check_new([at(2)], [at(2)], then, now, new=[at(2)])  # this line was not there


def test_a_finding_of_a_changed_line_that_stays_is_not_new() -> None:
    check_new([at(2)], [at(2)], {"a.py": BEFORE}, {"a.py": BEFORE.replace("two", "2")}, new=[])


def test_another_message_at_the_same_place_is_new() -> None:
    check_new([at(2)], [at(2, "worse")], {"a.py": BEFORE}, {"a.py": BEFORE.replace("two", "2")}, new=[at(2, "worse")])


def test_twice_where_it_stood_once_is_new_once() -> None:
    then, now = {"a.py": BEFORE}, {"a.py": BEFORE + "two\n"}
    check_new([at(2)], [at(2), at(5)], then, now, new=[at(5)])


def test_a_finding_goes_with_a_function_to_another_file() -> None:
    then: Changes = {"a.py": "def f():\n    two\n", "b.py": None}
    now: Changes = {"a.py": "", "b.py": "import x\ndef f():\n    two\n"}
    check_new([at(2)], [at(3, path="b.py")], then, now, new=[])
    check_new([at(2)], [at(1, path="b.py")], then, now, new=[at(1, path="b.py")])


def test_line_numbers_in_messages_do_not_count() -> None:
    then, now = {"a.py": BEFORE}, {"a.py": "zero\n" + BEFORE}
    check_new([at(4, "defined on line 2")], [at(5, "defined on line 3")], then, now, new=[])


def test_a_test_that_failed_before_is_not_new_whatever_it_says() -> None:
    before, after = at(2, "1 != 2", rule="t::x", is_test=True), at(9, "boom", "b.py", "t::x", is_test=True)
    check_new([before], [after], {}, {}, new=[])
    other = replace(after, rule="t::y")
    check_new([before], [after, other], {}, {}, new=[other])


def test_checks_are_compared_apart() -> None:
    other = replace(at(2), check="other")
    check_new([at(2)], [other], {}, {}, new=[other])


def test_where_lines_went() -> None:
    file = moved(BEFORE, "zero\none\nthree\n")
    assert [file.line(line) for line in (1, 2, 3, 4)] == [2, None, 3, None]
    assert [file.is_changed(line) for line in (1, 2, 3)] == [True, False, False]


def test_a_rewritten_file_of_many_lines_is_aligned_at_once() -> None:
    one, other = ("".join(f"{word} {n}\n" for n in range(50_000)) for word in ("a", "b"))
    started = time.process_time()
    assert moved(f"head\n{one}tail\n", f"head\n{other}tail\n").line(50_002) == 50_002
    assert time.process_time() - started < 2


lines = st.lists(st.sampled_from("abc"), max_size=8).map(lambda many: "".join(f"{each}\n" for each in many))


@given(lines, lines)
def test_alignment_pairs_equal_lines_in_order(before: str, after: str) -> None:
    file = moved(before, after)
    pairs = [(line, file.line(line)) for line in range(1, file.before.count + 1)]
    kept = [(line, now) for line, now in pairs if now is not None]
    assert all(file.before.line(line - 1) == file.after.line(now - 1) for line, now in kept)
    assert [now for _, now in kept] == sorted({now for _, now in kept})
    assert {now for _, now in kept} == {line for line in range(1, file.after.count + 1) if not file.is_changed(line)}


@given(lines, lines, st.lists(st.integers(1, 8), max_size=4))
def test_what_did_not_change_is_never_new(before: str, after: str, at_lines: list[int]) -> None:
    """A finding on each line of a text, before and after: those of lines that stayed are accounted for."""
    files = alignments({"a.py": before}, {"a.py": after})
    then = [at(line) for line in range(1, files["a.py"].before.count + 1)]
    now = [at(line) for line in range(1, files["a.py"].after.count + 1)]
    new = new_findings(then, now, files)
    assert all(files["a.py"].is_changed(finding.line) for finding in new)
    assert len(new) == max(0, len(now) - len(then))
