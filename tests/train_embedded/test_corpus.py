"""Licences, filters, duplicates and the manifest. No network, no torch."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

corpus: Any = importlib.import_module("corpus")
HERE = Path(corpus.HERE)


def source(name: str, text: str, split: str = "train") -> Any:
    return corpus.SourceFile("p", name, split, text)


def lines(seed: int, count: int) -> str:
    rng = random.Random(seed)
    return "\n".join(f"value_of_the_row = compute_{rng.randrange(10**6)}(argument, other)" for _ in range(count))


@pytest.mark.parametrize(
    ("declared", "text", "permitted"),
    [
        ("MIT", "", True),
        ("BSD License", "", True),
        ("Apache-2.0 OR BSD-2-Clause", "", True),
        ("Python Software Foundation License", "", True),
        ("ISC License (ISCL)", "", True),
        ("GNU Lesser General Public License v3 (LGPLv3)", "", False),
        ("MIT AND GPL-2.0", "", False),
        ("Mozilla Public License 2.0 (MPL 2.0)", "", False),
        ("MPL-2.0 AND MIT", "", False),
        ("", "Permission is hereby granted, free of charge, to any person obtaining", True),
        ("", "Redistribution and use in source and binary forms, with or without", True),
        ("", "All rights reserved.", False),
        ("", "", False),
    ],
)
def test_licences(declared: str, text: str, permitted: bool) -> None:
    assert (corpus.licence_of(declared, text) is not None) == permitted


def test_filters() -> None:
    good = lines(1, 40)
    assert corpus.acceptable("p/a.py", good)
    assert not corpus.acceptable("p/_vendor/a.py", good)
    assert not corpus.acceptable("p/a_pb2.py", good)
    assert not corpus.acceptable("p/a.py", "# Automatically generated\n" + good)
    assert not corpus.acceptable("p/a.py", good + "\n" + "x" * 500)
    assert not corpus.acceptable("p/a.py", "x = 1\n")
    assert not corpus.acceptable("p/a.py", good.replace("v", "\0"))


def test_near_duplicates_are_dropped_and_the_held_out_copy_is_kept() -> None:
    held, other = lines(1, 60), lines(2, 60)
    changed = held.replace(held.split("\n")[30], "something = else")
    files = [source("h.py", held, "heldout"), source("copy.py", changed), source("b.py", other), source("b2.py", other)]
    assert [f.path for f in corpus.without_duplicates(files)] == ["h.py", "b.py"]


def test_a_small_overlap_is_kept() -> None:
    first, second = lines(1, 60), lines(2, 60)
    mixed = "\n".join([*second.split("\n"), *first.split("\n")[:10]])
    files = [source("a.py", first), source("b.py", mixed)]
    assert [f.path for f in corpus.without_duplicates(files)] == ["a.py", "b.py"]


def test_cap_is_respected_and_does_not_depend_on_order() -> None:
    files = [source(f"{i}.py", lines(i, 20)) for i in range(30)]
    chosen = corpus.capped(files, 5000)
    assert sum(len(f.text) for f in chosen) <= 5000
    assert corpus.capped(files[::-1], 5000) == chosen


def test_lists_name_a_hundred_packages_and_hold_ten_out() -> None:
    names = corpus.parse_list((HERE / "packages_python.txt").read_text())
    assert len(names) >= 100
    assert sum(split == "heldout" for split in names.values()) >= 10


def test_manifest() -> None:
    rows = json.loads((HERE / "manifest.json").read_text())
    assert {"stdlib", "python", "npm"} == {row["registry"] for row in rows}
    for row in rows:
        assert set(row) == {"name", "version", "registry", "licence", "sha256", "split", "files", "bytes"}
        assert len(row["sha256"]) == 64 and row["version"] and row["files"] > 0
        assert corpus.licence_of(row["licence"], "") is not None, row["name"]
    held = {row["name"] for row in rows if row["split"] == "heldout"}
    assert len(held) >= 10
    assert not held & {row["name"] for row in rows if row["split"] == "train"}
    assert "://" not in (HERE / "manifest.json").read_text()
