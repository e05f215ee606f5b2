"""What is offered at a place, and the edit that carrying it out makes."""

from dataclasses import replace

import pytest
from tree_sitter import Tree

from qwen_lsp.features.actions import MAX_SELECTED_CHARS, Action, Done, Nothing, carry_out, offer
from qwen_lsp.features.wishes import Problem
from qwen_lsp.index.grammars import parse
from qwen_lsp.text.snapshot import Snapshot
from tests.qwen_lsp.features.fake_engine import FakeEngine, snapshot_of


def offered(text: str, **options: str) -> tuple[Snapshot, tuple[Action, ...]]:
    """The offers at `$0`, or for the selection between `$0` and `$1`."""
    start = text.index("$0")
    end = text.replace("$0", "").find("$1")
    snapshot = snapshot_of(text.replace("$0", "").replace("$1", ""), **options)
    (uri,) = snapshot.documents
    found = offer(snapshot, uri, start, end if end >= 0 else start)
    return snapshot, tuple(
        action for action in found if not action.instruction and not action.explains
    )  # the others: test_wishes.py


async def check_action(text: str, *, model_says: str, becomes: str, **options: str) -> FakeEngine:
    """The first action that is offered turns the text into `becomes`."""
    snapshot, actions = offered(text, **options)
    engine = FakeEngine(model_says)
    done = await carry_out(snapshot, actions[0], engine)
    assert isinstance(done, Done), done
    edits = done.edits
    (document,) = snapshot.documents.values()
    assert edits.apply(document.uri, document.text) == becomes
    assert edits.versions == {document.uri: 1}
    return engine


@pytest.mark.parametrize(
    ("language", "text", "name"),
    [
        ("python", "def add(a, b):\n    pa$0ss\n", "add"),
        ("python", "def add(a, b):\n    pass$0\n", "add"),
        ("python", "def add(a, b):\n    pass$0", "add"),
        ("python", "def add(a, b):\n    pass$0\n$1", "add"),
        ("python", 'def add(a, b):\n    """Sum."""\n    ..$0.\n', "add"),
        ("python", "class A:\n    def f(self):$0\n        raise NotImplementedError('later')\n", "f"),
        ("python", "class A:\n$0    def f(self):\n        pass\n", "f"),
        ("python", "class A:\n  $0  def f(self):\n        pass\n", "f"),
        ("python", "class A:\r\n    def f(self):\r\n$0        pass", "f"),
        ("javascript", "function f() {$0}\n", "f"),
        ("typescript", 'class A { f(): number { throw new Error("$0later"); } }\n', "f"),
        ("rust", "fn f() -> i32 {\n    tod$0o!()\n}\n", "f"),
        ("go", 'package a\n\nfunc F() int {\n\tpanic("not $0implemented")\n}\n', "F"),
        ("java", "class A {\n  int f() {\n    // TODO$0\n  }\n}\n", "f"),
        ("c", "int *f(void) {$0}\n", "f"),
        ("cpp", "int A::f() {$0}\n", "f"),
    ],
)
def test_a_stub_offers_to_be_filled_in(language: str, text: str, name: str) -> None:
    _, actions = offered(text, language=language)
    if language == "cpp":
        name = "A::f" if actions and "::" in actions[0].title else name
    assert [action.title for action in actions] == [f"Qwen: fill in {name}"]
    assert actions[0].kind == "refactor.rewrite" and actions[0].disabled is None


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", "def add(a, b):\n    return a + $0b\n"),
        ("python", "x = 1$0\n"),
        ("python", "class A:\n    pass$0\n"),
        ("python", "def f():\n    pass\n    g$0()\n"),
        ("python", "class A:\n$0    \n    def f(self):\n        pass\n"),
        ("rust", "fn f() -> i32 {\n    $01\n}\n"),
        ("markdown", "def f():\n    pa$0ss\n"),
        ("python", "$0"),
    ],
)
def test_nothing_is_offered_where_nothing_is_a_stub(language: str, text: str) -> None:
    assert offered(text, language=language)[1] == ()


async def test_fills_in_an_indented_body() -> None:
    engine = await check_action(
        'def add(a, b):\n    """Sum."""\n    pa$0ss\n\n\nx = 1\n',
        model_says="    c = a + b\n    return c\n\n\ndef g():\n",
        becomes='def add(a, b):\n    """Sum."""\n    c = a + b\n    return c\n\n\nx = 1\n',
    )
    assert engine.asked[0].priority == "action"


async def test_fills_in_braces_on_lines_of_their_own() -> None:
    await check_action(
        "fn f() -> i32 {\n    todo!()$0\n}\n",
        model_says=" {\n    let a = 1;\n    a\n}\n\nfn g() {}\n",
        becomes="fn f() -> i32 {\n    let a = 1;\n    a\n}\n",
        language="rust",
    )


async def test_fills_in_braces_on_one_line() -> None:
    await check_action(
        "  function f() {$0}\n",
        model_says=" {\n    return 1;\n  }\n",
        becomes="  function f() {\n    return 1;\n  }\n",
        language="javascript",
    )


async def test_rewrites_whole_lines_of_a_selection() -> None:
    await check_action(
        "def f(x):\n    y = x$0 + 1\n    return$1 y\n",
        model_says="    return x + 1\n",
        becomes="def f(x):\n    return x + 1\n",
    )


async def test_a_selection_up_to_the_next_line_leaves_that_line() -> None:
    await check_action("$0x = 1\n$1y = 2\n", model_says="x = 3\n", becomes="x = 3\ny = 2\n")


async def test_an_edit_that_breaks_the_file_is_not_made() -> None:
    snapshot, actions = offered("$0x = 1$1\n")
    found = await carry_out(snapshot, actions[0], FakeEngine("x = (\n"))
    assert isinstance(found, Nothing) and found.reason == "the suggestion would add a syntax error"


async def test_a_changed_file_is_left_alone() -> None:
    snapshot, actions = offered("$0x = 1$1\n")
    engine = FakeEngine()
    found = await carry_out(snapshot, replace(actions[0], version=0), engine)
    assert isinstance(found, Nothing) and found.reason == "the file changed since the action was offered"
    assert engine.asked == []


async def test_disabled_with_a_reason() -> None:
    snapshot, actions = offered("$0KEY=1$1\n", path="/work/shop/.env")
    assert [action.disabled for action in actions] == [".env looks like a file with secrets"]
    assert isinstance(await carry_out(snapshot, actions[0], FakeEngine()), Nothing)
    _, actions = offered("$0" + "x = 1\n" * MAX_SELECTED_CHARS + "$1")
    assert actions[0].disabled is not None and "too long" in actions[0].disabled


def test_all_that_a_place_offers_is_disabled_in_a_file_that_the_model_may_not_see() -> None:
    snapshot = snapshot_of("def f(a):\n    return a\n", path="/work/shop/.env")
    (uri,) = snapshot.documents
    found = offer(snapshot, uri, 14, 20, [Problem(14, 20, "wrong")])
    assert {action.kind for action in found} == {"quickfix", "refactor.rewrite", "refactor.extract", "source"}
    assert {action.disabled for action in found} == {".env looks like a file with secrets"}


def test_offering_parses_what_stands_around_the_place_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it takes a fraction of a millisecond in a file of 8,000 lines."""
    parsed: list[int] = []

    def watched(name: str, data: bytes) -> Tree | None:
        parsed.append(len(data))
        return parse(name, data)

    monkeypatch.setattr("qwen_lsp.features.stubs.parse", watched)
    text = "".join(f"def f{n}(a):\n    return a + {n}\n\n\n" for n in range(2_000))
    snapshot = snapshot_of(text)
    (uri,) = snapshot.documents
    at = text.index("a + 1500")
    assert "Qwen: document f1500" in [action.title for action in offer(snapshot, uri, at, at)]
    assert parsed and max(parsed) < 100


def test_an_unknown_file_offers_nothing() -> None:
    assert offer(snapshot_of("x"), "file:///other.py", 0, 1) == ()


def test_positions_outside_the_text_are_brought_back() -> None:
    snapshot = snapshot_of("def f():\n    pass\n")
    (uri,) = snapshot.documents
    titles = [action.title for action in offer(snapshot, uri, 10_000, -5)][:1]
    assert titles == ["Qwen: rewrite the selected lines"]


def test_moving_the_cursor_parses_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = snapshot_of("def moved(a):\n    return a\n")
    (uri,) = snapshot.documents
    first = offer(snapshot, uri, 18, 18)
    monkeypatch.setattr("qwen_lsp.features.stubs.parse", lambda *_: pytest.fail("parsed again"))
    assert offer(snapshot, uri, 19, 19) == first
