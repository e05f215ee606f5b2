"""The window's ledger over a session: requests append, a worn one is replaced only once its successor is warm."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from qwen_lsp.engine.client import Piece, Request, Usage
from qwen_lsp.errors import EngineLost
from qwen_lsp.features.complete import Nothing
from qwen_lsp.lsp import prompts
from qwen_lsp.prompt.ledger import LOG_TOKENS, Ledger
from qwen_lsp.prompt.segments import Text
from tests.fake_editor import FakeEditor
from tests.qwen_lsp.lsp.test_indexing import until
from tests.qwen_lsp.lsp.wire import Wire, inline_at

INLINE = "textDocument/inlineCompletion"
URI, OTHER, SECRET = "file:///w/a.py", "file:///w/b.py", "file:///w/.env"
TEXT = "".join(f"def f{n}(value):\n    return value + {n}\n\n\n" for n in range(40))


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody rests unless a test says so, however slow the machine is."""
    monkeypatch.setattr(prompts, "IDLE_S", 600.0)
    monkeypatch.setattr(prompts, "SETTLES_KEYS", 1)
    monkeypatch.setattr(prompts, "STAYS_KEYS", 1)


class Engine:
    """What warms bases here: each waits at the gate, and may fail."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.asked: list[Request] = []
        self.error: Exception | None = None

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        self.asked.append(request)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        yield Usage(10, 0, 0, 10, 1.0)


class Window:
    """One server with documents open, and what its completions were given."""

    def __init__(self) -> None:
        self.wire, self.editor, self.engine = Wire(), FakeEditor("utf-16"), Engine()
        self.wire.script.says = Nothing("a suggestion would be remembered, and the next request not ask")

    async def begin(self, *uris: str, **options: Any) -> None:
        await self.wire.begin(**options)
        for uri in uris:
            self.wire.notify("textDocument/didOpen", self.editor.open(uri, TEXT + "x = \n"))
        self.wire.engines[0].generate = self.engine.generate  # type: ignore[method-assign]

    async def ledger(
        self, uri: str = URI, line: int = 160, character: int = 0, *, invoked: bool = False
    ) -> Ledger | None:
        """The ledger that a request is given."""
        await self.wire.ask(INLINE, inline_at(uri, line, character, invoked))
        return self.wire.script.ledgers[-1]

    def type(self, offset: int, text: str, uri: str = URI) -> None:
        self.wire.notify("textDocument/didChange", self.editor.type(uri, offset, text, 0))

    async def based(self, uri: str = URI) -> Ledger:
        """The ledger of a request once there is a base, which is warm; nothing else is warmed after it."""
        self.engine.gate.set()
        async with asyncio.timeout(10):
            while (ledger := await self.ledger(uri)) is None or not ledger.base:
                pass
        await until(lambda: not self.wire.server.session.prompts._growing)
        self.wire.server.session.prompts.rest()
        self.engine.asked.clear()
        if self.engine.error is None:
            self.engine.gate.clear()
        return ledger

    async def wear(self) -> Ledger:
        """Edit at the top until a new base is asked for; the ledger of that request."""
        for n in range(LOG_TOKENS // 5):
            self.type(0, f"a{n} = 1\n")
            ledger = await self.ledger(line=161 + n)
            assert ledger is not None
            await asyncio.sleep(0)
            if self.engine.asked:
                return ledger
        raise AssertionError("no new base was asked for")


async def based() -> Window:
    """A window with one open file and a base of it; the engine reads no more until its gate is set."""
    window = Window()
    await window.begin(URI)
    await window.based()
    return window


async def test_an_edit_elsewhere_appends_and_nothing_else_changes() -> None:
    window = Window()
    await window.begin(URI)
    first = await window.based()
    window.type(0, "import os\n")
    second = await window.ledger(line=161)
    assert second is not None
    assert second.base == first.base and second.log == ("@@ a.py:1 @@\n+import os\n",)


async def test_what_was_typed_is_told_when_typing_rests_and_not_by_the_next_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = Window()
    await window.begin(URI, OTHER)
    await window.based()
    window.type(0, "import os, sys, pathlib, typing\n", OTHER)  # a paste, at which no request is made
    window.engine.gate.set()
    monkeypatch.setattr(prompts, "IDLE_S", 0.0)
    window.type(len(TEXT) + 4, "compute(everything)")
    of = window.wire.server.session.prompts
    await until(lambda: of._ledger is not None and len(of._ledger.log) == 2)
    told = of._ledger
    assert told is not None
    monkeypatch.setattr(prompts, "IDLE_S", 600.0)
    assert {entry for entry in told.log if isinstance(entry, str)} == {
        "@@ a.py:161 @@\n-x = \n+x = compute(everything)\n",
        "@@ b.py:1 @@\n+import os, sys, pathlib, typing\n",
    }
    elsewhere = await window.ledger(line=10)
    assert elsewhere is not None and elsewhere.log == told.log, "the first key at another place tells nothing"


async def test_what_was_typed_here_is_read_without_the_tail_and_told_when_the_cursor_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    window = await based()
    window.engine.gate.set()
    of = window.wire.server.session.prompts

    async def rest(until_: Callable[[], bool]) -> None:
        monkeypatch.setattr(prompts, "IDLE_S", 0.0)
        of.changed()
        await until(lambda: until_() and not of._growing)
        monkeypatch.setattr(prompts, "IDLE_S", 600.0)
        of.rest()

    await window.ledger(character=4)
    await rest(lambda: of._ledger is not None and of._ledger.tail is not None and not of._ledger.tail.is_brief)
    window.engine.asked.clear()
    hunks: list[str] = []
    for line, text in ((160, "compute(everything, that, was)"), (161, "y = nothing(at, all, if, anything, was)")):
        hunks.append(f"@@ a.py:{line + 1} @@\n" + ("-x = \n+x = " if line == 160 else "+") + f"{text}\n")
        window.type(len(window.editor.text(URI)) - 1, ("\n" if line > 160 else "") + text)
        here = await window.ledger(line=line, character=len(text) + 4 * (line == 160))
        assert here is not None and here.log == () and here.tail is not None and not here.tail.is_brief
        await rest(lambda: of._told is not None and of._told.log == tuple(hunks))
        (asked,) = window.engine.asked
        window.engine.asked.clear()
        texts = [each.text for each in asked.prompt.segments if isinstance(each, Text)]
        assert texts[-len(hunks) :] == hunks, "no line around the cursor, nor what it would stand in"
        assert asked.prompt.segments[-1] == Text(hunks[-1])
    elsewhere = await window.ledger(line=10)
    assert elsewhere is not None and elsewhere.log == tuple(hunks) and of._told is None


async def test_a_place_that_is_only_passed_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "STAYS_KEYS", 3)
    window = await based()
    window.engine.gate.set()
    window.wire.notify("textDocument/didOpen", window.editor.open(OTHER, TEXT))
    for uri, n in ((OTHER, 2), (URI, 1), (OTHER, 2)):
        for _ in range(n):
            await window.ledger(uri)
    of = window.wire.server.session.prompts
    assert not of._growing and window.engine.asked == []
    await window.ledger(OTHER)
    await until(lambda: "b.py" in of.paths())


async def test_a_rest_where_hardly_anything_was_typed_reads_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the third key on it reads the lines around it."""
    monkeypatch.setattr(prompts, "SETTLES_KEYS", 3)
    window = await based()
    window.engine.gate.set()
    of = window.wire.server.session.prompts
    text = "import os, sys, pathlib, typing\n"
    read: list[int] = []
    for n_keys in (1, 2, 3):
        window.type(0, text)
        tail = await window.ledger(line=n_keys)
        assert tail is not None and tail.tail is not None and tail.tail.is_brief
        monkeypatch.setattr(prompts, "IDLE_S", 0.0)
        of.changed()
        await until(lambda n_keys=n_keys: len(window.engine.asked) == n_keys and not of._growing)  # type: ignore[misc]
        monkeypatch.setattr(prompts, "IDLE_S", 600.0)
        of.rest()
        assert of._ledger is not None and of._ledger.tail is not None
        assert of._ledger.tail.is_brief == (n_keys < 3)
        read.append(sum(len(each.text) for each in window.engine.asked[-1].prompt.segments if isinstance(each, Text)))
    assert read[1] - read[0] < 2 * len(text) < read[2] - read[1]


async def test_a_rest_where_somebody_asked_for_a_suggestion_reads_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "SETTLES_KEYS", 3)
    window = await based()
    window.engine.gate.set()
    of = window.wire.server.session.prompts
    for invoked in (False, True):
        await window.ledger(line=1, invoked=invoked)
        of._look()
        await until(lambda: not of._growing)
        assert len(window.engine.asked) == invoked


async def test_a_rest_looks_around_where_the_cursor_came_along_a_suggestion() -> None:
    """No model was asked on the way; the tail of where it was asked last would be read for nothing."""
    window = await based()
    window.engine.gate.set()
    window.wire.script.says = "compute(everything)"
    await window.ledger(character=4)
    n_begun = len(window.wire.script.begun)
    for n, key in enumerate("compute("):
        window.type(len(TEXT) + 4 + n, key)
        await window.ledger(character=5 + n)
    assert len(window.wire.script.begun) == n_begun, "all of it was known"
    of = window.wire.server.session.prompts
    of._look()
    await until(lambda: not of._growing)
    assert of._ledger is not None and of._ledger.tail is not None
    assert of._ledger.tail.before.endswith("x = compute(") and of._ledger.tail.after == "\n"


async def test_a_file_that_is_opened_is_no_reason_to_look_at_the_last_place_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What an index finds there is something else with each open file, and would be read."""
    window = await based()
    of = window.wire.server.session.prompts
    looks: list[None] = []
    monkeypatch.setattr(of, "_look", lambda: looks.append(None))
    monkeypatch.setattr(prompts, "IDLE_S", 0.0)
    window.wire.notify("textDocument/didOpen", window.editor.open(OTHER, TEXT))
    window.type(0, "", OTHER)  # what comes up may be sent as it was
    await asyncio.sleep(0.0)
    await asyncio.sleep(0.0)
    assert looks == []
    window.type(0, "x", OTHER)
    await until(lambda: looks == [None])


async def test_a_few_letters_wait_for_the_cursor_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    window = await based()
    monkeypatch.setattr(prompts, "IDLE_S", 0.0)
    window.engine.gate.set()
    looks: list[bool] = []
    of = window.wire.server.session.prompts
    grow = of._grow

    def look(*, rests: bool = False) -> None:
        looks.append(rests)
        grow(rests=rests)

    monkeypatch.setattr(of, "_grow", look)
    window.type(len(TEXT) + 4, "y")
    await until(lambda: True in looks and not of._growing)
    assert of._ledger is not None and of._ledger.log == ()


async def test_the_old_base_serves_until_the_new_one_is_warm() -> None:
    window = await based()
    old = await window.wear()
    meanwhile = await window.ledger()
    assert meanwhile is not None and meanwhile.base == old.base
    (request,) = window.engine.asked
    assert (request.max_tokens, request.priority) == (0, "warm-up")
    shown = "".join(segment.text for segment in request.prompt.segments if isinstance(segment, Text))
    assert "a0 = 1\n" in shown and "@@" not in shown
    window.engine.gate.set()
    window.type(0, "last = 1\n")
    fresh = await window.ledger()
    for _ in range(100):
        assert fresh is not None
        if fresh.base != old.base:
            break
        fresh = await window.ledger()
    assert fresh is not None and fresh.log == ("@@ a.py:1 @@\n+last = 1\n",)
    assert len(window.engine.asked) == 1


async def test_a_base_that_can_not_be_warmed_changes_nothing() -> None:
    window = await based()
    window.engine.error = EngineLost("the engine went away")
    window.engine.gate.set()
    old = await window.wear()
    after = await window.ledger()
    assert after is not None and after.base == old.base


async def test_a_first_key_waits_for_no_base_and_one_in_a_new_file_for_no_excerpt() -> None:
    window = Window()
    await window.begin(URI)
    first = await window.ledger()
    assert first is not None and first.is_empty and first.tail is not None and first.tail.is_brief
    based = await window.based()
    window.wire.notify("textDocument/didOpen", window.editor.open(OTHER, TEXT))
    other = await window.ledger(OTHER, 0)
    assert other is not None and other.base == based.base and other.log == ()
    window.engine.gate.set()
    async with asyncio.timeout(10):
        while (shown := await window.ledger(OTHER, 0)) is not None and not shown.log:
            pass
    assert shown is not None and [getattr(entry, "path", "") for entry in shown.log] == ["b.py"]


async def test_switching_to_another_open_file_shows_it_once() -> None:
    window = Window()
    await window.begin(URI, OTHER)
    await window.based()
    first, second, third = [await window.ledger(uri) for uri in (URI, OTHER, URI)]
    assert first is not None and second is not None and third is not None
    assert first.base == second.base == third.base
    assert second.log == third.log


async def test_a_secret_file_has_no_ledger_and_leaves_the_others() -> None:
    window = Window()
    await window.begin(URI, SECRET)
    first = await window.based()
    assert await window.ledger(SECRET) is None
    last = await window.ledger()
    assert last is not None and last.base == first.base and last.log == ()
    assert SECRET not in last.known


async def test_a_short_context_has_no_ledger() -> None:
    window = Window()
    await window.begin(URI, initializationOptions={"qwen": {"ctx": 2048}})
    assert await window.ledger() is None
