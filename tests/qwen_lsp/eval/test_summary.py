"""What is made of answers: only holes that all were asked count, and only sure differences are recommended."""

from qwen_lsp.eval.results import Answer, Variant
from qwen_lsp.eval.summary import LEAST_HOLES, summary
from tests.qwen_lsp.eval.answers import answer

OURS, MORE, VIM = Variant("ours"), Variant("more context"), Variant("llama.vim", is_baseline=True)


def run(n: int, right: int, right_more: int) -> list[Answer]:
    first = [answer(number, "ours", number < right) for number in range(n)]
    return first + [answer(number, "more context", number < right_more) for number in range(n)]


def test_a_better_way_is_recommended_where_it_is_sure() -> None:
    found = summary(run(60, 20, 45), (OURS, MORE), None, 1)
    assert [row.exact.mean for row in found.everything] == [20 / 60, 45 / 60]
    assert [(row.evaluated, row.all_evaluated) for row in found.everything] == [(15, 60 * 15)] * 2
    assert found.everything[0].against is None
    against = found.everything[1].against
    assert against is not None and against.exact_is == "better" and abs(against.exact.mean - 25 / 60) < 1e-9
    assert found.recommended == "more context" and "+41.7 points" in found.why and "exactly right" in found.why


def test_nothing_is_recommended_by_chance_or_from_few_holes() -> None:
    assert summary(run(60, 20, 21), (OURS, MORE), None, 1).recommended is None
    few = summary(run(LEAST_HOLES - 1, 0, LEAST_HOLES - 1), (OURS, MORE), None, 1)
    assert few.recommended is None and "fewer than" in few.why


def test_where_nothing_is_exact_similarity_decides() -> None:
    answers = [answer(n, "ours", False, similarity=0.3) for n in range(60)]
    answers += [answer(n, "more context", False, similarity=0.3 + n / 300) for n in range(60)]
    found = summary(answers, (OURS, MORE), None, 1)
    assert found.recommended == "more context" and "similarity" in found.why


def test_what_no_setting_turns_off_is_not_recommended() -> None:
    without = Variant("more context", log=False)
    found = summary(run(60, 20, 45), (OURS, without), None, 1)
    assert found.recommended is None and "no setting turns off" in found.why
    assert "only “ours” was asked" in summary(run(60, 20, 45), (OURS,), None, 1).why


def test_holes_of_few_commits_are_not_enough() -> None:
    answers = [
        answer(n, name, name != "ours", hole=f"{n % 4}:hole {n}") for n in range(60) for name in ("ours", "more")
    ]
    found = summary(answers, (OURS, Variant("more")), None, 1)
    assert found.everything[0].commits == 4 and found.recommended is None and "10 commits" in found.why


def test_reuse_is_a_share_of_the_prompts() -> None:
    answers = [answer(1, cached=50, prompt=100), answer(2, cached=None), answer(3, cached=150, prompt=300)]
    assert summary(answers, (OURS,), None, 1).everything[0].reused == 0.5


def test_a_baseline_is_shown_and_never_recommended() -> None:
    answers = [answer(n, "ours", False) for n in range(60)] + [answer(n, "llama.vim") for n in range(60)]
    assert summary(answers, (OURS, VIM), None, 1).recommended is None


def test_holes_that_not_all_were_asked_do_not_count() -> None:
    found = summary([*run(40, 10, 20), answer(99, "ours")], (OURS, MORE), None, 1)
    assert [row.n for row in found.everything] == [40, 40]


def test_newer_holes_are_scored_apart() -> None:
    answers = run(40, 40, 40)
    found = summary(answers, (OURS, MORE), 1_700_000_000 + 9, 1)
    assert found.newer == 30 / 40
    assert {age: rows[0].n for age, rows in found.by_age.items()} == {"newer than the model": 30, "older": 10}
    assert summary(answers, (OURS, MORE), None, 1).newer is None


def test_shares_are_of_what_they_say() -> None:
    answers = [
        answer(1, said="", exact=False, reason="the gate", parses=True),
        answer(2, parses=False, exact=False, tests=False),
        answer(3, tests=True),
    ]
    (row,) = summary(answers, (OURS,), None, 1).everything
    assert (row.shown, row.parses, row.tests, row.n_tested) == (2 / 3, 1 / 2, 1 / 2, 2)


def test_what_is_surely_worse_is_said() -> None:
    found = summary(run(60, 45, 20), (OURS, MORE), None, 1)
    assert found.recommended is None and "“more context” is surely worse" in found.why
    assert "worse" not in summary(run(60, 20, 21), (OURS, MORE), None, 1).why


def test_layouts_share_what_is_read_so_their_times_are_not_compared() -> None:
    answers = run(60, 20, 45)
    assert "per answer at the median" in summary(answers, (OURS, MORE), None, 1).why
    other = Variant("more context", layout="chat")
    found = summary(answers, (OURS, other), None, 1)
    assert found.recommended == "more context" and "per answer" not in found.why
