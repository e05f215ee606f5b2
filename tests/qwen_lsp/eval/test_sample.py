"""Which holes are taken: newest first, no more than asked for, the same ones again."""

from collections import Counter

import pytest

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.sample import by_tree, sample
from tests.qwen_lsp.eval.repositories import DAY_S, START, Tree, repository

BODY = (
    "def function_{0}(argument):\n    value = compute(argument, {0})\n    other = value + {0}\n    return other\n\n\n"
)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    trees: list[Tree] = [{"a.py": "import os\n"}]
    trees += [
        {"a.py": "import os\n" + "".join(BODY.format(k) for k in range(n)), "notes.md": f"{n}"} for n in range(1, 9)
    ]
    trees.append({f"mass_{n}.py": BODY.format(n) for n in range(61)})
    return Repository(repository(tmp_path_factory.mktemp("past") / "w", trees))


def test_so_many_of_each_kind_from_the_newest_commits(past: Repository) -> None:
    found = sample(past, 2, seed=1)
    assert Counter(hole.kind for hole in found) == {"line": 2, "lines": 2, "block": 2, "hunk": 2}
    assert min(hole.time for hole in found) >= START + 5 * DAY_S
    assert all(hole.path == "a.py" for hole in found), "the mass change is left out"
    assert found == sample(past, 2, seed=1)


def test_a_date_bounds_it_and_trees_come_in_order(past: Repository) -> None:
    found = sample(past, 100, seed=1, since=f"@{START + 7 * DAY_S}")
    assert {hole.time for hole in found} == {START + 7 * DAY_S, START + 8 * DAY_S}
    trees = list(by_tree(found))
    assert [{hole.time for hole in group} for _, group in trees] == [{START + 7 * DAY_S}, {START + 8 * DAY_S}]


def test_changes_can_be_left_out(past: Repository) -> None:
    assert sample(past, 2, seed=1, admitted=lambda _commit, change: change.path != "a.py") == ()
