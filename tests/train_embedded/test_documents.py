"""Laws of the training documents: holes, edit tasks, probes, packing. Seeded, no torch."""

from __future__ import annotations

import importlib
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

fim: Any = importlib.import_module("fim")
edits: Any = importlib.import_module("edits")
probes: Any = importlib.import_module("probes")
mix: Any = importlib.import_module("mix")
card: Any = importlib.import_module("card")
tokens: Any = importlib.import_module("tokenizer")

ROOT = Path(__file__).parents[2]
WORDS = [
    "alpha",
    "bravo",
    "count",
    "delta",
    "entry",
    "field",
    "group",
    "house",
    "index",
    "joint",
    "label",
    "model",
    "north",
    "order",
    "paint",
    "queue",
]
TEXT = "\n".join(
    f"def function_{i}(first, second=None):\n    value = first + {i}\n    return other_{i}(value)\n" for i in range(40)
)
FUNCTIONS = [
    ("total", "items", "def total(items):\n    result = sum(items)\n    return result"),
    ("load", "path, mode='r'", "def load(path, mode='r'):\n    return open_file(path, mode)"),
    ("run", "", "def run():\n    while True:\n        step()"),
]
SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_hole_is_the_text_cut_in_three(seed: int) -> None:
    hole = fim.cut(TEXT, random.Random(seed))
    assert hole.prefix + hole.middle + hole.suffix == TEXT


@pytest.mark.parametrize("at", [0, 5, len(TEXT) // 2, len(TEXT) - 1, len(TEXT)])
def test_rest_of_line_stops_before_the_newline(at: int) -> None:
    hole = fim.rest_of_line(TEXT, at)
    assert hole.prefix + hole.middle + hole.suffix == TEXT
    assert "\n" not in hole.middle and hole.suffix[:1] in ("", "\n")


def test_joint_form_does_not_show_where_the_cursor_was() -> None:
    one, two = fim.Hole("ab", "cd", "ef"), fim.Hole("abc", "d", "ef")
    assert fim.joint(one) == fim.joint(two) == "<|fim_prefix|><|fim_suffix|>ef<|fim_middle|>abcd<|endoftext|>"
    assert fim.joint(fim.Hole("ab", "", "ef"), end="").endswith("<|fim_middle|>ab")


def test_marked_forms() -> None:
    hole = fim.Hole("P", "M", "S")
    assert fim.prefix_first(hole) == "<|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>M<|endoftext|>"
    assert fim.suffix_first(hole) == "<|fim_suffix|>S<|fim_prefix|>P<|fim_middle|>M<|endoftext|>"


def test_cross_uses_find_names_of_one_other_file() -> None:
    texts = ["def gather_rows(x):\n    return x\n", "from a import gather_rows\n\nprint(gather_rows(1))\n"]
    uses = fim.cross_uses(texts, 9, random.Random(0))
    assert [(u.user, u.owner, texts[1][u.at : u.at + 11]) for u in uses] == [(1, 0, "gather_rows")] * 2
    document = fim.cross_file(texts, ["a.py", "b.py"], "demo", uses[0], random.Random(0))
    assert document.startswith("<|repo_name|>demo\n<|file_sep|>a.py\ndef gather_rows")
    assert document.endswith("<|endoftext|>") and "<|file_sep|>b.py\n<|fim_prefix|>" in document


def test_blocks_and_apply_are_inverse() -> None:
    before = (("a.py", "x = 1\ny = 2\nz = 3"), ("b.py", "import a"))
    after = (("a.py", "x = 1\ny = 5\nz = 6"), ("b.py", "import c"))
    answer = edits.blocks(edits.Task("", before, after))
    first = "a.py\n<<<<<<< SEARCH\ny = 2\nz = 3\n=======\ny = 5\nz = 6\n>>>>>>> REPLACE"
    assert answer == first + "\nb.py\n<<<<<<< SEARCH\nimport a\n=======\nimport c\n>>>>>>> REPLACE"
    assert edits.apply(answer, before) == after


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "sure!",
        "a.py\n<<<<<<< SEARCH\nnot there\n=======\ny\n>>>>>>> REPLACE",
        "other.py\n<<<<<<< SEARCH\nx = 1\n=======\ny\n>>>>>>> REPLACE",
        "a.py\n<<<<<<< SEARCH\nx = 1\n=======\ny\n>>>>>>> REPLACE",  # twice in the file
    ],
)
def test_blocks_that_do_not_apply(answer: str) -> None:
    assert edits.apply(answer, (("a.py", "x = 1\nx = 1"),)) is None


@pytest.mark.parametrize("kind", ["rename", "call", "parameter"])
@pytest.mark.parametrize("files", [1, 2])
def test_tasks_meet_their_own_post_condition(kind: str, files: int) -> None:
    made = 0
    for seed in SEEDS:
        rng = random.Random(f"{kind}-{seed}")
        task = edits.make(kind, files, rng.sample(FUNCTIONS, 2), rng, WORDS)
        if task is None:
            continue
        made += 1
        assert len(task.before) == files
        assert edits.apply(edits.blocks(task), task.before) == task.after != task.before
        if kind == "rename":
            old = next(name for name, _, _ in FUNCTIONS if any(f"def {name}(" in text for _, text in task.before)
                       and not any(f"def {name}(" in text for _, text in task.after))  # fmt: skip
            assert all(old not in fim.IDENTIFIER.findall(text) for _, text in task.after)
    assert made >= 10


def test_add_parameter() -> None:
    assert edits.add_parameter("def f():\n    pass", "f", "a") == "def f(a):\n    pass"
    assert edits.add_parameter("def f(x, y):", "f", "a=None") == "def f(x, y, a=None):"


@pytest.mark.parametrize("seed", SEEDS)
def test_probe_names_are_defined_in_another_file_only(seed: int) -> None:
    probe = probes.make(random.Random(seed), WORDS)
    defining = [text for _, text in probe.others if probe.name in fim.IDENTIFIER.findall(text)]
    assert len(defining) == 1
    assert probe.hole.middle.startswith(probe.name)
    assert probe.text(answered=True).startswith(probe.text(answered=False)[: -len(probe.hole.prefix) or None])
    assert probe.text(answered=False).endswith(probe.hole.prefix)


def test_licence_comment_is_left_out_and_others_stay() -> None:
    assert mix.without_licence("# Copyright X\n# more\n\nimport a\n") == "import a\n"
    assert mix.without_licence("/* License: MIT\n */\nlet a;\n") == "let a;\n"
    assert mix.without_licence("# What this does.\nimport a\n") == "# What this does.\nimport a\n"


def corpus_file(folder: Path) -> Path:
    rows = []
    for i in range(12):
        text = TEXT.replace("function_", f"function_{i}_") + "".join(f"\n\n{source}\n" for _, _, source in FUNCTIONS)
        text += f"\n\nfunction_{(i + 2) % 12}_1(1, 2)\n"  # defined in another file of the package
        rows.append({"package": f"p{i % 2}", "path": f"p{i % 2}/m{i}.py", "split": "train", "text": text})
    path = folder / "files.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_shards_are_reproducible_and_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mix, "SHARD_ROWS", 12)
    monkeypatch.setattr(mix, "words_of", lambda texts: WORDS)
    tokenizer = tokens.train([TEXT] * 3)
    source = mix.read(corpus_file(tmp_path), "train", 0)
    first, again, other = (mix.shard(source, tokenizer, 0, index, 10) for index in (8, 8, 9))
    assert first[0].shape == (12, mix.ROW + 1) == first[1].shape
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()
    assert 0.3 < first[1].mean() < 1.0


@pytest.mark.parametrize("shares", [mix.SHARES, mix.LATE_SHARES])
def test_shares_are_of_known_kinds_and_add_up(shares: dict[str, float]) -> None:
    assert sum(shares.values()) == pytest.approx(1.0)
    assert all(hasattr(mix.Writer, kind) and kind in mix.TYPICAL_TOKENS for kind in shares)


@pytest.mark.parametrize(("index", "late"), [(4, False), (5, True)])
def test_the_last_part_of_the_run_follows_its_own_shares(
    index: int, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mix, "SHARD_ROWS", 2)
    monkeypatch.setattr(mix, "words_of", lambda texts: WORDS)
    monkeypatch.setattr(mix, "SHARES", {"fim": 1.0})
    monkeypatch.setattr(mix, "LATE_SHARES", {"marked": 1.0})
    tokenizer = tokens.train([TEXT] * 3)
    prefix, suffix = (tokenizer.token_to_id(f"<|fim_{name}|>") for name in ("prefix", "suffix"))
    ids, _ = mix.shard(mix.read(corpus_file(tmp_path), "train", 0), tokenizer, 0, index, 10)
    joint = any(list(pair) == [prefix, suffix] for row in ids.tolist() for pair in itertools.pairwise(row))
    assert joint is not late


def test_late_tokens_count_from_the_part_of_the_planned_run(tmp_path: Path) -> None:
    for index in (28, 99):  # a second session makes only the shards that it needs
        (tmp_path / f"shard-{index:04}.npz").touch()
    one = mix.SHARD_ROWS * mix.ROW
    assert card.late_tokens(40 * one, tmp_path) == 0.0
    assert card.late_tokens(85 * one, tmp_path) == pytest.approx((85 - 100 * mix.LATE_FROM) * one / 1e6)


def test_special_tokens_are_qwens_in_order_at_the_end() -> None:
    tokenizer = tokens.Tokenizer.from_file(str(ROOT / "inference/models/embedded/tokenizer.json"))
    first = tokens.VOCAB_SIZE - len(tokens.SPECIAL_TOKENS)
    assert tokenizer.get_vocab_size() == tokens.VOCAB_SIZE
    assert [tokenizer.token_to_id(t) for t in tokens.SPECIAL_TOKENS] == list(range(first, tokens.VOCAB_SIZE))
    for text in ("a\r\n\tb  c\n\n", "日本語 🙂 e\u0301", "x = 12345  # \u2028", "def f(self):\n        return 1\n"):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
