"""Mechanical refactors: each has an answer that holds, and a post-condition that only that answer meets."""

from qwen_lsp.eval.across import across
from qwen_lsp.eval.tasks import Task, tasks
from tests.qwen_lsp.eval.packages import PACKAGE

SOURCE = '''"""A module."""

import os


def area(width):
    return width * 12


def shown(name):
    total = len(name)
    return str(total)


print(area(3), shown(os.name))
'''
CART, MAIN = "src/shop/cart.py", "src/shop/main.py"


def cut(**changed: str) -> dict[str, Task]:
    """By kind; `changed` has other texts for files of the package, by stem."""
    texts = {path: changed.get(path.rpartition("/")[2].partition(".")[0], text) for path, text in PACKAGE.items()}
    return {task.kind: task for task in across(texts)}


def test_a_file_gives_one_task_of_each_kind() -> None:
    found = {task.kind: task for task in tasks("src/a.py", SOURCE)}
    assert set(found) == {"rename", "move", "signature", "constant"}
    assert "def area_renamed(width):" in found["rename"].after["src/a.py"]
    assert "print(area_renamed(3)" in found["rename"].after["src/a.py"]
    assert set(found["move"].after) == {"src/a.py", "src/area_moved.py"}
    assert "def area(width, quiet=False):" in found["signature"].after["src/a.py"]
    assert "EXTRACTED = 12\n" in found["constant"].after["src/a.py"]


def test_the_post_condition_looks_at_code_only() -> None:
    for task in tasks("src/a.py", SOURCE):
        assert task.is_done({path: text + "# more\n" for path, text in task.after.items()})
        assert not task.is_done(task.before)
        assert not task.is_done({path: text + "evil = 1\n" for path, text in task.after.items()})
        assert not task.is_done({path: text + "(" for path, text in task.after.items()})


def test_strange_files_give_no_tasks() -> None:
    for text in ("", "def (", "\ufeffdef f(): ...\n", "x = 1\r\n", "\0"):
        assert list(tasks("a.py", text)) == list(across({"a.py": text})) == []


def test_names_change_in_every_file_that_uses_them() -> None:
    found = cut()
    assert set(found) == {"rename", "signature", "move", "constant"}
    assert found["rename"].after.keys() == {CART, MAIN}
    assert "print(total_of_renamed([1]), total_of_renamed([*range(3)],))" in found["rename"].after[MAIN]
    signature = found["signature"].after
    assert (
        "def total_of(prices, quiet=False):" in signature[CART] and "total_of(prices, quiet=False)" in signature[CART]
    )
    assert "print(total_of([1], quiet=False), total_of([*range(3)], quiet=False,))" in signature[MAIN]


def test_what_a_function_needs_goes_with_it() -> None:
    move = cut()["move"]
    assert move.after["src/shop/total_of_moved.py"].startswith("import os\n\n\ndef total_of(prices):\n")
    assert "from .total_of_moved import total_of\n" in move.after[CART], "the folder is a package"


def test_a_name_that_may_mean_something_else_is_left_alone() -> None:
    for use in (
        "x.total_of()",
        "f(total_of=1)",
        "total_of = 3",
        "getattr(x, 'total_of')",
        "import a.total_of",
        "def (total_of",
    ):
        found = cut(main=f"{use}\n")
        named = [task for task in found.values() if task.kind in ("rename", "signature")]
        assert all(" total_of " not in task.instruction for task in named), use
    assert "signature" not in {
        task.kind
        for task in cut(main="from shop.cart import total_of\nmap(total_of, [])\n").values()
        if "total_of" in task.instruction
    }, "it is not only called"
