"""`qwen-lsp refactor` from the shell: a real daemon that says what a file tells it to, the real index, real checks.

The answers are scripted: they prove the machinery and say nothing of a model.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemons import Daemons
from tests.qwen_lsp.features.refactor.saying import block

FILES = {
    "cart.py": b"class Cart:\r\n    def total(self):\r\n        return 2\r\n",
    "shop.py": "\ufefffrom cart import Cart\n\nprint(Cart().total())  # 🧺".encode(),
    "test_cart.py": b"from cart import Cart\n\n\nassert Cart().price() == 3\n",
}
PLAN = {
    "changes": [{"path": "cart.py", "symbols": ["Cart.total"]}, {"path": "shop.py", "symbols": []}],
    "creates": [],
    "renames": [],
    "deletes": [],
    "leaves": "the tests",
}
ANSWERS = [
    {
        "when": ["edit blocks for cart.py", "AssertionError"],
        "say": block("cart.py", "        return 2\n", "        return 3\n"),
    },
    {"when": ["edit blocks for cart.py"], "say": block("cart.py", "    def total(self):\n", "    def price(self):\n")},
    {
        "when": ["edit blocks for shop.py"],
        "say": block("shop.py", "print(Cart().total())  # 🧺\n", "print(Cart().price())  # 🧺\n"),
    },
    {"when": ["Write the plan"], "say": json.dumps(PLAN)},
    {"when": ["Instruction"], "say": "done"},
]
AFTER = {
    "cart.py": FILES["cart.py"].replace(b"total", b"price"),
    "shop.py": FILES["shop.py"].replace(b"total", b"price"),
    "test_cart.py": FILES["test_cart.py"],
}


@pytest.fixture
def project(daemons: Daemons, tmp_path: Path) -> Path:
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(ANSWERS), "utf-8")
    (daemons.home / "qwen-lsp.toml").write_text(f'engine = "scripted"\nmodel = "{answers}"\n', "utf-8")
    root = tmp_path / "project"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_bytes(text)
    subprocess.run(["git", "init", "--quiet", str(root)], check=True, timeout=30)
    return root


def run(root: Path, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "qwen_lsp", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done


def holds(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()}


def test_a_diff_is_printed_and_nothing_written(project: Path) -> None:
    done = run(project, "refactor", "rename Cart.total to price", code=0)
    assert "-    def total(self):" in done.stdout and "+print(Cart().price())  # 🧺" in done.stdout
    assert "not checked: commands run only in folders that you trust" in done.stderr
    assert holds(project) == FILES


def test_it_is_applied_byte_for_byte(project: Path) -> None:
    (project / "cart.py").chmod(0o640)
    run(project, "refactor", "rename Cart.total to price", "--apply", code=0)
    assert holds(project) == AFTER
    assert (project / "cart.py").stat().st_mode & 0o777 == 0o640


def test_a_failing_check_is_mended_in_the_second_round(project: Path) -> None:
    run(project, "trust", code=0)
    check = f"{sys.executable} test_cart.py"
    done = run(project, "refactor", "rename Cart.total to price", "--apply", "--check", check, "--json", code=0)
    told = json.loads(done.stdout)
    assert (told["applied"], told["rounds"], told["findings"]) == (True, 2, []), told
    assert holds(project) == {**AFTER, "cart.py": AFTER["cart.py"].replace(b"2", b"3")}


def test_only_what_was_named_may_change(project: Path) -> None:
    assert "shop.py" in run(project, "refactor", "rename Cart.total to price", "--path", ".", code=0).stdout
    run(project, "refactor", "rename Cart.total to price", "--path", "cart.py", "--apply", code=0)
    assert holds(project) == {**FILES, "cart.py": AFTER["cart.py"]}
    run(project, "refactor", "x", "--path", "none.py", code=2)


def test_what_is_printed_is_what_git_applies(project: Path) -> None:
    command = [sys.executable, "-P", "-m", "qwen_lsp", "refactor", "rename Cart.total to price"]
    printed = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, check=True, timeout=120).stdout
    subprocess.run(["git", "apply", "-"], cwd=project, input=printed, check=True, timeout=30)
    assert holds(project) == AFTER


def test_a_report_for_people_and_what_a_stranger_does_wrong(project: Path, tmp_path: Path) -> None:
    told = run(project, "refactor", "rename Cart.total to price", "--report", code=0)
    assert told.stdout.startswith("# rename Cart.total to price\n") and "- left alone: the tests" in told.stdout
    for wrong, said in (
        (["  "], "the instruction is empty"),
        (["x" * 5_000], "longer than 4,000"),
        (["x", "--check", " "], "--check needs a command"),
        (["x", "--path", str(tmp_path)], "lies outside of"),
        (["x", "--path", "none.py"], "there is no none.py"),
        (["x", "--apply", "--diff"], "not allowed"),
    ):
        assert said in run(project, "refactor", *wrong, code=2).stderr
    (project / "bytes.py").write_bytes(b"x = 1\0")
    assert "binary" in run(project, "refactor", "x", "--path", "bytes.py", code=1).stderr
    assert holds(project).keys() == FILES.keys() | {"bytes.py"}


def test_ctrl_c_ends_it_and_leaves_nothing(project: Path, daemons: Daemons) -> None:
    """While the project's own check hangs, which is when a person loses patience."""
    run(project, "trust", code=0)
    command = [sys.executable, "-P", "-m", "qwen_lsp", "refactor", "rename Cart.total to price", "--apply"]
    command += ["--check", "test -e begun && sleep 600; touch begun"]
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "checking: test -e" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "") and "stopped; nothing was changed" in err and "Traceback" not in err
    assert holds(project) == FILES
    assert list((daemons.home / "cache" / "verify").glob("copy-*")) == []
