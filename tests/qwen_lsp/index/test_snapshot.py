"""What a snapshot answers, held against a plain search through all files."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_lsp.index.languages import language_of
from qwen_lsp.index.reading import FileStat
from qwen_lsp.index.rows import content_key, pack
from qwen_lsp.index.snapshot import RARE_FILES, Index
from qwen_lsp.index.store import FileRow, Store
from qwen_lsp.index.symbols import BufferSymbols, FileSymbols, Import, extract, of_buffer
from qwen_lsp.index.words import words_of


def symbols(path: str, text: str) -> FileSymbols:
    return extract(text.encode(), language_of(path))


def buffer(path: str, text: str) -> BufferSymbols:
    return of_buffer(text.encode(), language_of(path))


def rows(files: Mapping[str, str]) -> list[FileRow]:
    found = []
    for path, text in files.items():
        packed = pack(symbols(path, text), text.encode())
        found.append(FileRow(FileStat(path, len(text), 1, 1), content_key(text.encode(), packed.language), packed))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def index(store: Store, tmp_path: Path) -> Iterator[Index]:
    """Three files: one defines, one imports and calls, one has nothing to do with them."""
    files = {
        "shop/cart.py": "class Cart:\n    def total(self): return self.total_of(1)\n",
        "app.py": "from shop.cart import Cart\nimport os\n\nprint(Cart().total(), Cart)\n",
        "README": "A cart is no Cart.\n",
    }
    store.apply(store.root_id(tmp_path), rows(files))
    index = Index(store, tmp_path)
    yield index
    index.close()


def test_definitions(index: Index) -> None:
    with index.snapshot() as found:
        (cart,) = found.definitions_of("Cart")
        (total,) = found.definitions_of("total")
        assert found.definitions_of("cart") == found.definitions_of("nothing") == ()
    assert (cart.path, cart.number, cart.definition.kind) == ("shop/cart.py", 0, "class")
    assert (total.number, total.definition.kind, total.definition.parent) == (1, "method", 0)


def test_words_are_whole_and_told_from_other_cases(index: Index) -> None:
    with index.snapshot() as found:
        assert found.files_with("Cart") == ("README", "app.py", "shop/cart.py")
        assert found.files_with("cart") == ("README", "app.py")
        assert found.files_with("tot") == ()


def test_imports_both_ways(index: Index) -> None:
    with index.snapshot() as found:
        assert found.imports_of("app.py") == (Import("shop.cart", ("Cart",), 0), Import("os", (), 27))
        assert found.imports_of("README") == found.imports_of("nothing") == ()
        assert found.importers_of("shop.cart") == ("app.py",)
        assert found.importers_of("shop") == ()


def test_a_file_and_how_many(index: Index) -> None:
    with index.snapshot() as found:
        assert found.file("shop/cart.py") == symbols(
            "shop/cart.py", "class Cart:\n    def total(self): return self.total_of(1)\n"
        )
        assert found.file("nothing.py") is None
        assert found.n_files == 3


def test_open_buffers_stand_for_their_files(index: Index) -> None:
    index.show("app.py", buffer("app.py", "import shop\n\nclass Basket: pass\n"))
    index.show("new.py", buffer("new.py", "from shop.cart import Cart\n\ndef total(): return Cart\n"))
    with index.snapshot() as found:
        index.hide("app.py")  # a snapshot does not notice
        assert found.n_files == 4
        assert [each.path for each in found.definitions_of("total")] == ["new.py", "shop/cart.py"]
        assert [each.path for each in found.definitions_of("Basket")] == ["app.py"]
        assert found.importers_of("shop.cart") == ("new.py",)
        assert found.importers_of("shop") == ("app.py",)
        assert found.files_with("Cart") == ("README", "new.py", "shop/cart.py")
        assert [each.path for each in found.rare_terms(["Basket"])] == ["app.py"]
    with index.snapshot() as found:
        assert found.definitions_of("Basket") == ()
        assert found.importers_of("shop.cart") == ("app.py", "new.py")


def test_rare_terms_rank_files(index: Index) -> None:
    with index.snapshot() as found:
        ranked = found.rare_terms(["Cart", "total", "no_such_name", "Cart"])
        assert [each.path for each in ranked] == ["app.py", "shop/cart.py", "README"]  # a tie goes by the path
        assert ranked[0].terms == ("total", "Cart")
        assert ranked[0].score == ranked[1].score > ranked[2].score
        assert [each.path for each in found.rare_terms(["Cart", "total"], limit=1)] == ["app.py"]


def test_a_term_that_is_everywhere_is_not_rare(store: Store, tmp_path: Path) -> None:
    files = {f"{number}.py": f"common, only_{number} = 1, 2\n" for number in range(RARE_FILES + 1)}
    store.apply(store.root_id(tmp_path), rows(files))
    index = Index(store, tmp_path)
    with index.snapshot() as found:
        assert [each.path for each in found.rare_terms(["common", "only_7"])] == ["7.py"]
    index.close()


def test_of_a_term_in_most_contents_the_files_are_not_looked_at(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number}.py": f"common = {number}\n" for number in range(RARE_FILES + 1)}
    store.apply(store.root_id(tmp_path), rows(files))
    monkeypatch.setattr("qwen_lsp.index.snapshot._COUNT", "SELECT 1 WHERE ? + length(?) + ?")
    with closing(Index(store, tmp_path)) as index:
        with index.snapshot() as found:
            assert found.rare_terms(["common"])  # those contents might be other trees'
        monkeypatch.setattr("qwen_lsp.index.store.MOST_OTHERS", 0)
        store.tidy()
        with index.snapshot() as found:
            assert not found.rare_terms(["common"])


def test_files_that_define_a_name(store: Store, index: Index, tmp_path: Path) -> None:
    files = {f"{number}.py": f"def common(): return {number}\n" for number in range(RARE_FILES + 1)}
    store.apply(store.root_id(tmp_path), rows(files))
    index.show("app.py", buffer("app.py", "class Cart: pass\n"))
    with index.snapshot() as found:
        assert found.files_defining("Cart") == ("shop/cart.py",)  # of open files their reader knows more
        assert found.files_defining("total_of") == found.files_defining("common") == ()


def test_which_of_some_paths_are_known(store: Store, index: Index, tmp_path: Path) -> None:
    store.apply(store.root_id(tmp_path), [FileRow(FileStat("b.bin", 3, 1, 2), reason="binary")])
    index.show("new.py", buffer("new.py", ""))
    with index.snapshot() as found:
        assert found.known(["app.py", "new.py", "app", "b.bin", "", "\udc80"]) == {"app.py", "new.py"}
        assert found.known([]) == frozenset()


def test_answers_are_kept_until_the_store_changes(store: Store, index: Index, tmp_path: Path) -> None:
    root = store.root_id(tmp_path)
    for path in ("a.py", "b.py"):
        with index.snapshot() as before:
            known = [each.path for each in before.rare_terms(["late"])]
            store.apply(root, rows({path: f"late = {path!r}\n"}))
            assert [each.path for each in before.rare_terms(["late"])] == known
        with index.snapshot() as after, index.snapshot() as beside:
            assert path in [each.path for each in after.rare_terms(["late"])]
            assert after.rare_terms(["late"]) == beside.rare_terms(["late"])
    store.apply(root, (), ["a.py"])
    with index.snapshot() as found:
        assert [each.path for each in found.rare_terms(["late"])] == ["b.py"]


WORDS = ["a", "A", "ab", "self", "total", "Cart", "é", "naïve"]
LINES = [f"def {word}(): pass" for word in WORDS] + [f"{a} = {b}({a})" for a in WORDS[:4] for b in WORDS[4:]]
texts = st.lists(st.sampled_from([*LINES, "import a.b", "from total import Cart"]), max_size=6).map("\n".join)
trees = st.dictionaries(st.sampled_from([f"{name}.py" for name in "abcdef"]), texts, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(disk=trees, later=trees, live=trees)
def test_answers_as_a_search_through_all_files_would(
    store: Store, tmp_path: Path, disk: dict[str, str], later: dict[str, str], live: dict[str, str]
) -> None:
    """Law: after any changes, with any buffers open, the answers are those of the files as they are now."""
    number = store.root_id(tmp_path)
    store.apply(number, rows(disk), list(store.files(number)))
    store.apply(number, rows(later))
    index = Index(store, tmp_path)
    for path, text in live.items():
        index.show(path, buffer(path, text))
    now = {path: symbols(path, text) for path, text in (disk | later | live).items()}
    with index.snapshot() as found:
        assert found.n_files == len(now)
        for path, expected in now.items():
            assert found.file(path) == expected
        for word in WORDS:
            assert [(each.path, each.number) for each in found.definitions_of(word)] == [
                (path, number)
                for path in sorted(now)
                for number, each in enumerate(now[path].definitions)
                if each.name == word
            ]
            texts_now = (disk | later | live).items()
            assert list(found.files_with(word)) == sorted(p for p, text in texts_now if word in words_of(text.encode()))
        for module in ("a.b", "total"):
            expected_paths = [path for path in sorted(now) if module in {each.module for each in now[path].imports}]
            assert list(found.importers_of(module)) == expected_paths
    index.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    earlier=st.lists(trees, max_size=3),
    now=trees,
    beside=trees,
    order=st.permutations("abcdef"),
    live=st.dictionaries(st.sampled_from(["a.py", "g.py"]), texts, max_size=2),
)
def test_a_tree_says_the_same_however_one_came_there(
    tmp_path: Path,
    earlier: list[dict[str, str]],
    now: dict[str, str],
    beside: dict[str, str],
    order: list[str],
    live: dict[str, str],
) -> None:
    """Law: earlier trees, other work trees in the same store and the order of reading leave no trace in a ranking."""
    with TemporaryDirectory(dir=tmp_path) as folder:
        new, old = Store(Path(folder, "a/b/new")), Store(Path(folder, "a/b/old"))
        new.apply(new.root_id(tmp_path), rows(now))
        old.apply(old.root_id(Path(folder)), rows(beside))
        number = old.root_id(tmp_path)
        for tree in earlier:
            old.apply(number, rows(tree), list(old.files(number)))
        by_turns = {path: now[path] for name in order if (path := f"{name}.py") in now}
        old.apply(number, rows(by_turns), list(old.files(number)))
        assert said(new, tmp_path, live) == said(old, tmp_path, live)


def said(store: Store, root: Path, live: Mapping[str, str]) -> list[object]:
    """All that a ranking asks."""
    with closing(store), closing(Index(store, root)) as index:
        for path, text in live.items():
            index.show(path, buffer(path, text))
        with index.snapshot() as found:
            return [found.rare_terms(WORDS), *map(found.files_defining, WORDS), *map(found.files_with, WORDS)]


def test_what_other_trees_hold_makes_no_word_frequent(store: Store, tmp_path: Path) -> None:
    """Earlier versions of a file are other contents with the same words."""
    number = store.root_id(tmp_path)
    for version in range(RARE_FILES + 1):
        store.apply(number, rows({"a.py": f"def rare(): return {version}\n"}))
    with closing(Index(store, tmp_path)) as index, index.snapshot() as found:
        assert [each.path for each in found.rare_terms(["rare"])] == ["a.py"]
        assert found.files_defining("rare") == ("a.py",)


def test_of_a_word_that_is_everywhere_the_first_files_are_looked_into(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_lsp.index.snapshot.MAX_HITS", 2)
    store.apply(store.root_id(tmp_path), rows({f"{name}.py": f"common = {name!r}\n" for name in "cadb"}))
    with closing(Index(store, tmp_path)) as index, index.snapshot() as found:
        assert found.files_with("common") == ("a.py", "b.py")


def test_the_stamp_changes_with_what_others_write_and_with_what_is_open(store: Store, tmp_path: Path) -> None:
    index, other = Index(store, tmp_path), Store(tmp_path / "store")

    def stamp() -> object:
        with index.snapshot() as found:
            return found.stamp()

    first = stamp()
    assert stamp() == first
    other.apply(other.root_id(tmp_path), rows({"a.py": "def f(): pass\n"}))
    second = stamp()
    assert second != first and stamp() == second
    index.show("b.py", buffer("b.py", "x = 1\n"))
    third = stamp()
    assert third != second
    index.show("b.py", buffer("b.py", "x = 2\n"))  # what is open is looked at anew anyway
    assert stamp() == third
    index.close()
    other.close()
