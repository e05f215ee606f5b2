"""The database: what is put in comes out, whatever happens to the process or to the file."""

import logging
import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.index.database import SCHEMA, index_folder, store_folder
from qwen_lsp.index.languages import language_of
from qwen_lsp.index.reading import FileStat
from qwen_lsp.index.rows import content_key, pack
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import MOST_PARTS, FileRow, Store, StoreFull
from qwen_lsp.index.symbols import extract
from tests.qwen_lsp.index.trees import git, repository, write


def row(path: str, source: bytes) -> FileRow:
    """A file as a worker would hand it in."""
    packed = pack(extract(source, language_of(path)), source)
    return FileRow(FileStat(path, len(source), 1, 2), content_key(source, packed.language), packed)


def defining(store: Store, root: Path, name: str) -> list[str]:
    """The files that define the name."""
    index = Index(store, root)
    with index.snapshot() as found:
        paths = [each.path for each in found.definitions_of(name)]
    index.close()
    return paths


def test_files_and_contents(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    a, b = row("a.py", b"def f(): pass\n"), row("b.py", b"def f(): pass\n")
    skipped = FileRow(FileStat("c.py", 3, 1, 2), reason="binary", rule="a NUL")
    store.apply(root, [a, b, skipped])
    assert store.files(root) == {
        path: FileStat(path, size, 1, 2) for path, size in [("a.py", 14), ("b.py", 14), ("c.py", 3)]
    }
    assert a.key is not None
    assert store.has(a.key)
    assert defining(store, tmp_path, "f") == ["a.py", "b.py"]
    totals = store.totals(root)
    assert (totals.n_files, totals.n_definitions, totals.n_bytes) == (2, 2, 28)
    assert (dict(totals.languages), dict(totals.skipped)) == ({"python": 2}, {"binary": 1})
    store.apply(root, [row("a.py", b"def g(): pass\n")], ["b.py", "never.py"])
    assert (defining(store, tmp_path, "f"), defining(store, tmp_path, "g")) == ([], ["a.py"])
    store.close()


def test_roots_share_contents_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    one, two = store.root_id(tmp_path / "one"), store.root_id(tmp_path / "two")
    first = row("a.py", b"def f(): pass\n")
    store.apply(one, [first])
    store.apply(two, [FileRow(FileStat("b.py", 14, 1, 2), first.key)])
    assert defining(store, tmp_path / "one", "f") == ["a.py"]
    assert defining(store, tmp_path / "two", "f") == ["b.py"]
    store.apply(one, [], ["a.py"])
    assert defining(store, tmp_path / "two", "f") == ["b.py"]
    store.close()


def test_a_file_whose_content_was_dropped_meanwhile_is_read_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    store.apply(root, [FileRow(FileStat("a.py", 1, 1, 1), b"no such key")])
    assert store.files(root) == {}
    store.close()


def test_snapshots_stay_while_another_window_writes(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "s"), Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    store.apply(root, [row("a.py", b"def f(): pass\n")])
    index = Index(store, tmp_path)
    with index.snapshot() as before:
        other.apply(root, [row("b.py", b"def f(): pass\n")], ["a.py"])
        with index.snapshot() as after:
            assert [each.path for each in before.definitions_of("f")] == ["a.py"]
            assert [each.path for each in after.definitions_of("f")] == ["b.py"]
            assert (before.n_files, after.n_files) == (1, 1)
    index.close()
    for each in (store, other):
        each.close()


def test_contents_without_a_file_are_dropped_and_not_found(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    store.apply(root, [row(f"{number}.py", b"def f%d(): pass\n" % number) for number in range(1200)])
    before = store.n_bytes()
    store.apply(root, [], [f"{number}.py" for number in range(1199)])
    store.evict()
    assert store.n_bytes() < before
    assert defining(store, tmp_path, "f1199") == ["1199.py"]
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT count(*) FROM content").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM term WHERE term MATCH 'def'").fetchone() == (1,)
        db.execute("CREATE VIRTUAL TABLE temp.kept USING fts5vocab(main, term, row)")
        assert db.execute("SELECT term, doc FROM kept").fetchall() == [
            (term, 1) for term in ("=f1199", "def", "f1199", "pass")
        ]
        db.execute("INSERT INTO term(term) VALUES('integrity-check')")
    db.close()
    store.close()


def test_what_another_window_came_to_use_is_not_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = Store(tmp_path / "s"), Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    rows = [row(f"{name}.py", f"def {name}(): pass\n".encode()) for name in "ab"]
    store.apply(root, rows)
    store.apply(root, [], ["a.py", "b.py"])
    terms_of = store._terms_of

    def meanwhile(contents: Sequence[int]) -> Mapping[int, Sequence[str]]:
        found = terms_of(contents)
        other.apply(root, [FileRow(rows[0].stat, rows[0].key)])
        return found

    monkeypatch.setattr(store, "_terms_of", meanwhile)
    store.evict()
    assert (defining(store, tmp_path, "a"), defining(store, tmp_path, "b")) == (["a.py"], [])
    assert rows[1].key is not None and not store.has(rows[1].key)
    for each in (store, other):
        each.close()


def test_after_a_scan_a_look_up_asks_one_part(tmp_path: Path) -> None:
    """Each batch adds one to the full-text table; those of a scan are merged at its end, those of saves by and by."""
    store = Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    store.put_off_merging()
    for number in range(2 * MOST_PARTS):
        store.apply(root, [row(f"{number}.py", f"def f{number}(): pass\n".encode())])
    assert parts(store) == 2 * MOST_PARTS
    store.tidy()
    assert parts(store) == 1
    for number in range(2 * MOST_PARTS):
        store.apply(root, [row("g.py", f"def g{number}(): pass\n".encode())])
    assert parts(store) <= MOST_PARTS
    assert [defining(store, tmp_path, f"f{number}") for number in (0, 7)] == [["0.py"], ["7.py"]]
    store.close()


def test_after_a_scan_that_was_killed_the_next_look_merges(tmp_path: Path) -> None:
    """Few parts alone are no reason, but no save would ever merge any."""
    store = Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    store.put_off_merging()
    for number in range(3):
        store.apply(root, [row(f"{number}.py", f"def f{number}(): pass\n".encode())])
    store.close()
    after = Store(tmp_path / "s")
    assert parts(after) == 3
    after.tidy()
    assert parts(after) == 1
    for number in range(2 * MOST_PARTS):
        after.apply(root, [row("g.py", f"def g{number}(): pass\n".encode())])
    assert parts(after) <= MOST_PARTS
    after.close()


def parts(store: Store) -> int:
    (count,) = store._db.execute("SELECT count(DISTINCT segid) FROM term_idx").fetchone()
    return int(count)


@given(st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_contents_that_a_root_does_not_have_are_never_counted_too_low(rng: random.Random) -> None:
    """A word in more of all contents than that and enough is in enough of the root's."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("qwen_lsp.index.store.MOST_OTHERS", 3)
        trees = [Path(folder, name) for name in "ab"]
        store = Store(Path(folder, "s"))
        for tree in trees[: rng.randrange(3)]:
            tree.mkdir()
        for _ in range(12):
            root = store.root_id(rng.choice(trees))
            names = rng.sample("uvwxyz", rng.randrange(5))
            files = [row(f"{name}.py", f"{name} = {rng.randrange(4)}\n".encode()) for name in names]
            store.apply(root, files, rng.sample(["u.py", "v.py", "never.py"], rng.randrange(3)))
            if is_counted := rng.random() < 0.3:
                store.tidy()
            with closing(sqlite3.connect(store.path)) as db:
                for number, others in db.execute("SELECT id, others FROM root").fetchall():
                    sql = "SELECT (SELECT count(*) FROM content) - count(DISTINCT content) FROM file WHERE root = ?"
                    (truth,) = db.execute(sql, (number,)).fetchone()
                    assert others >= truth
                    assert not is_counted or others <= max(truth, 3)
        store.close()


def test_no_more_room_than_allowed(tmp_path: Path) -> None:
    store = Store(tmp_path / "s", max_bytes=500_000)
    root = store.root_id(tmp_path)
    rows = [row("a.py", b"".join(b"def f%d_%d(): pass\n" % (turn, at) for at in range(1500))) for turn in range(24)]
    for each in rows:
        store.apply(root, [each])  # each in place of the one before: there is room for that
    assert store.n_bytes() <= 500_000
    with pytest.raises(StoreFull):
        for turn, each in enumerate(rows):
            store.apply(root, [FileRow(FileStat(f"{turn}.py", 1, 1, 1), each.key, each.packed)])
    store.close()


def test_other_extraction_makes_all_files_look_changed(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    root = store.root_id(tmp_path)
    store.apply(root, [row("a.py", b"def f(): pass\n")])
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE root SET extractor = extractor - 1")
    db.close()
    assert store.root_id(tmp_path) == root
    assert [each.mtime_ns for each in store.files(root).values()] == [-1]
    assert defining(store, tmp_path, "f") == ["a.py"]  # better than nothing until it is read again
    store.close()


def test_an_older_version_goes_and_a_newer_one_stays(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o700)
    others = [f"{SCHEMA - 1}-7.sqlite", f"{SCHEMA + 1}-1.sqlite", "notes.sqlite"]
    for name in others:
        (tmp_path / "s" / name).write_text("not read")
    store = Store(tmp_path / "s")
    assert set((tmp_path / "s").glob("*.sqlite")) == {store.path, tmp_path / "s" / others[1]}
    store.close()


@pytest.mark.parametrize("damage", ["not a database", "cut", "zeros", "other version"])
def test_a_damaged_database_is_made_anew_with_a_word(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "s")
    store.apply(store.root_id(tmp_path), [row(f"{n}.py", b"def f%d(): pass\n" % n) for n in range(200)])
    path = store.path
    store.close()
    whole = path.read_bytes()
    damaged = {"not a database": b"hello" * 5000, "cut": whole[:8192], "zeros": whole[:4096] + bytes(len(whole) - 4096)}
    if damage in damaged:
        path.write_bytes(damaged[damage])
    else:
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
        db.close()
    with caplog.at_level(logging.WARNING):
        store = Store(tmp_path / "s")
    assert "damaged" in caplog.text
    assert store.path != path
    assert not path.exists()
    assert store.files(store.root_id(tmp_path)) == {}
    store.close()


def test_damage_found_while_reading_is_no_exception(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The first snapshot that meets it answers less, the next one has a new database."""
    store = Store(tmp_path / "s")
    source = b"".join(b"def f%d(): pass\n" % n for n in range(5000))
    store.apply(store.root_id(tmp_path), [row("a.py", source)])
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    index, before = Index(store, tmp_path), store.path
    pages = store.path.stat().st_size // 4096
    with store.path.open("r+b") as file:
        for page in range(1, pages):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    with caplog.at_level(logging.WARNING), index.snapshot() as found:
        assert found.definitions_of("f1") == ()
        assert found.file("a.py") is None
    assert "damaged" in caplog.text
    with index.snapshot() as found:
        assert found.n_files == 0
    assert store.path != before
    index.close()
    store.close()


def test_a_window_with_a_removed_database_follows_to_the_new_one(tmp_path: Path) -> None:
    store, other = Store(tmp_path / "s"), Store(tmp_path / "s")
    index = Index(other, tmp_path)
    with index.snapshot():
        store.renew()
        store.apply(store.root_id(tmp_path), [row("a.py", b"def f(): pass\n")])
    with index.snapshot() as found:
        assert [each.path for each in found.definitions_of("f")] == ["a.py"]
    index.close()
    for each in (store, other):
        each.close()


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir(mode=0o755)
    Store(tmp_path / "s").close()
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "s")
    with pytest.raises(PermissionError):
        Store(tmp_path / "link")


def test_texts_are_not_kept(tmp_path: Path) -> None:
    source = b'def f():\n    password = "hunter" + "two-and-a-half"  # correct horse battery staple\n'
    store = Store(tmp_path / "s")
    store.apply(store.root_id(tmp_path), [row("a.py", source * 20)])
    store.close()
    octets = b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir())
    assert b"correct horse" not in octets
    assert b"two-and" not in octets


def test_one_database_per_repository(tmp_path: Path, nobody: Path) -> None:
    base = index_folder()
    assert base == nobody / "qwen" / "cache" / "index"
    root = write(repository(tmp_path / "w"), {"a.py": "", "sub/b.py": ""})
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message=a")
    git(root, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    ours = store_folder(root, base)
    assert store_folder(root / "sub", base) == store_folder(tmp_path / "tree", base) == ours
    assert store_folder(tmp_path, base) != ours
    assert ours.parent == base


def test_a_repository_that_nobody_opens_any_more_is_forgotten(tmp_path: Path) -> None:
    for name in ("old", "new", "ours"):
        Store(tmp_path / name).close()
    os.utime(tmp_path / "old" / "open.lock", (0, time.time() - 91 * 24 * 3600))
    store = Store(tmp_path / "ours")
    store.tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "ours"]
    store.close()


DIES_WRITING = """
import os, sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from qwen_lsp.index.store import Store
from tests.qwen_lsp.index.test_store import row

store = Store(Path(sys.argv[1]))
root = store.root_id(Path(sys.argv[1]))
store.apply(root, [row(f"{n}.py", b"def first%d(): pass\\n" % n) for n in range(50)])
content = store._content
def held(key, packed):
    number = content(key, packed)
    if packed is not None and "last" in packed.terms:
        print("in the middle", flush=True)
        sys.stdin.read()
    return number
store._content = held
store.apply(root, [row(f"{n}.py", b"def second%d(): pass\\n" % n) for n in range(900)] + [row("z.py", b"last = 1\\n")])
"""


def test_a_kill_in_the_middle_of_a_batch_loses_the_batch(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    command = [sys.executable, "-c", DIES_WRITING, str(folder)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"in the middle\n"
        child.kill()
    (path,) = folder.glob("*.sqlite")
    store = Store(folder)
    assert store.path == path  # not a new one
    assert sorted(store.files(store.root_id(folder))) == sorted(f"{n}.py" for n in range(50))
    assert defining(store, folder, "first7") == ["7.py"]
    assert defining(store, folder, "second7") == []
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.execute("INSERT INTO term(term) VALUES('integrity-check')")
    db.close()
    store.apply(store.root_id(folder), [row("z.py", b"def second7(): pass\n")])
    assert defining(store, folder, "second7") == ["z.py"]
    store.close()
