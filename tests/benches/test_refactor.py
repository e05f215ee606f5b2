"""The refactor bench: tasks with answers that hold, edit blocks that apply, and attacks of which none gets through."""

from qwen_lsp.eval.tasks import tasks
from qwen_lsp.post.blocks import Target, applied, parse
from scripts.benches.refactor import ATTACKS, blocks, measure

SOURCE = '''"""A module."""

import os


def area(width):
    return width * 12


def shown(name):
    total = len(name)
    return str(total)


print(area(3), shown(os.name))
'''


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
        assert list(tasks("a.py", text)) == []


def test_blocks_lead_from_one_text_to_the_other() -> None:
    for task in tasks("src/a.py", SOURCE):
        for path, text in task.after.items():
            before = task.before.get(path)
            if before is None:
                continue
            found, failures = parse(blocks(path, before, text))
            assert failures == ()
            assert applied(found, {path: Target(before)}).texts == {path: text}


async def test_all_of_the_answers_apply_and_none_of_the_attacks() -> None:
    results = await measure(list(tasks("src/a.py", SOURCE)), 6 * len(ATTACKS))
    assert results["done"] == results["tasks"] == {"rename": 1, "move": 1, "signature": 1, "constant": 1}
    assert (results["failed"], results["got_through"]) == ([], [])
    assert results["hostile"] == dict.fromkeys(ATTACKS, 6)
