"""From a text with a cursor and a model's words to what is inserted."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.engine.client import Piece, Request, Usage
from qwen_lsp.engine.grammars import StartsWith
from qwen_lsp.features.complete import Completion, Manner, Nothing, complete
from qwen_lsp.features.fill import SENT_S
from qwen_lsp.features.ledger import turned
from qwen_lsp.index import buffers
from qwen_lsp.post.region import SMALL_CHARS
from qwen_lsp.post.syntax import LastParsed, sound_part
from qwen_lsp.prompt.segments import Text
from qwen_lsp.text.document import Cursor, opened
from qwen_lsp.text.snapshot import Snapshot
from tests.qwen_lsp.features.fake_engine import FakeEngine, snapshot_of


async def ask(text: str, engine: FakeEngine, **options: object) -> Completion | Nothing:
    """Complete at `$0`."""
    offset = text.index("$0")
    snapshot = snapshot_of(text.replace("$0", ""), **options)  # type: ignore[arg-type]
    (document,) = snapshot.documents.values()
    return await complete(snapshot, Cursor(document, offset), engine)


async def check_completion(text: str, *, model_says: str | list[str], inserts: str, **options: object) -> FakeEngine:
    engine = FakeEngine(*([model_says] if isinstance(model_says, str) else model_says))
    found = await ask(text, engine, **options)
    assert isinstance(found, Completion), found
    offset = text.index("$0")
    assert (found.text, found.start, found.end) == (inserts, offset, offset)
    assert not engine.answers, "an answer was not asked for"
    return engine


async def test_stops_where_the_suffix_begins_again() -> None:
    await check_completion("total = add(1, $0)\n", model_says=" 2)", inserts="2")


async def test_typed_letters_are_left_to_the_model_and_taken_from_its_answer() -> None:
    engine = await check_completion("total = su$0\n", model_says=" sum(xs)\n", inserts="m(xs)")
    texts = [segment.text for segment in engine.asked[0].prompt.segments if isinstance(segment, Text)]
    assert texts[-1] == "total ="
    assert engine.asked[0].grammar == StartsWith(" su")


async def test_without_typed_letters_an_answer_may_begin_in_any_way() -> None:
    engine = FakeEngine("0\n")
    await ask("x = 1$0\n", engine)
    assert engine.asked[0].grammar is None


async def test_with_a_ledger_the_model_reads_base_log_and_tail() -> None:
    engine = FakeEngine("1\n", "2\n")
    before = snapshot_of("def f():\n    pass\n" * 50 + "x = ")
    (document,) = before.documents.values()
    ledger = turned(None, before, Cursor(document, len(document.text)))
    after = snapshot_of("import os\n" + document.text)
    (document,) = after.documents.values()
    cursor = Cursor(document, len(document.text))
    await complete(after, cursor, engine, turned(ledger, after, cursor))
    texts = [segment.text for segment in engine.asked[0].prompt.segments if isinstance(segment, Text)]
    base, name, entry, path, *tail = texts[1:]
    assert base.startswith("a.py\ndef f():\n") and (name, path) == ("changes.patch\n", "a.py\n")
    assert entry == "@@ a.py:1 @@\n+import os\n"
    assert "".join(tail).startswith("    pass\ndef f():\n") and len("".join(tail)) < 400


async def test_asks_once_more_where_a_server_types_other_letters() -> None:
    """One that knows no `starts_with`."""
    engine = await check_completion("total = su$0\n", model_says=[" add(xs)\n", "m(xs)\n"], inserts="m(xs)")
    texts = [segment.text for segment in engine.asked[1].prompt.segments if isinstance(segment, Text)]
    assert texts[-1] == "total = su"
    assert engine.unread[0] == "d(xs)\n", "the refused answer is not read to its end"


class Watched(FakeEngine):
    """Tells what was parsed when it was asked, and a little later: the part around the cursor, the rest, the file."""

    def __init__(self, last: LastParsed, *answers: str) -> None:
        super().__init__(*answers)
        self._last = last
        self.parsed: list[tuple[bool, bool, bool]] = []

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        for wait_s in (0, 10 * SENT_S):
            await asyncio.sleep(wait_s)
            last = self._last
            self.parsed.append((last.region is not None, last.rest is not None, last.file is not None))
        async for item in super().generate(request):
            yield item


async def parsed_with(line: str, *, elsewhere: str = "", **options: object) -> list[tuple[bool, bool, bool]]:
    """What is parsed for a key in a long file, at `$0`."""
    text = elsewhere + "def g():\n    return 1\n\n\n" * (SMALL_CHARS // 20) + f"def f():\n{line}\n"
    snapshot, offset = snapshot_of(text.replace("$0", ""), **options), text.index("$0")  # type: ignore[arg-type]
    (document,) = snapshot.documents.values()
    last = LastParsed()
    engine = Watched(last, " 2\n")
    await complete(snapshot, Cursor(document, offset), engine, last=last)
    return engine.parsed


async def test_what_the_answer_is_judged_by_is_parsed_while_the_engine_is_waited_for() -> None:
    """Where the function around the cursor is whole, that is enough; else the file without it, once."""
    assert await parsed_with("    g(1, $0)") == [(False, False, False), (True, False, False)]
    assert await parsed_with("    g(h(1, $0)") == [(False, False, False), (True, True, False)]
    assert await parsed_with("    g(h(1, $0)", elsewhere="x = (\n") == [(False, False, False), (True, True, True)]


@pytest.mark.parametrize(
    ("text", "half_typed"), [("x = 1\n" * 300 + "f(g(1, $0\n", True), ("x = 1\n" * 300 + "f(1, $0)\n", False)]
)
async def test_in_a_half_typed_text_an_answer_is_judged_while_the_model_says_that_it_is_all(
    text: str, half_typed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There that takes milliseconds; elsewhere it is done once, when all was said."""
    went: list[str] = []

    class Slow(FakeEngine):
        async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
            async for item in super().generate(request):
                went.append("said" if isinstance(item, Piece) else "all said")
                yield item
                await asyncio.sleep(10 * SENT_S)

    def judging(*args: Any) -> buffers.Parsed:
        went.append("judged")
        return buffers.replaced(*args)

    monkeypatch.setattr("qwen_lsp.post.syntax.replaced", judging)
    await ask(text, Slow(" abc, de"))
    judged = ["said", "judged"] if half_typed else ["said"]
    assert went == [*judged * 3, "all said", *([] if half_typed else ["judged"])]


async def test_where_comments_are_not_wanted_it_is_looked_before_the_engine_is_asked() -> None:
    looked = await parsed_with("    g(1, $0)", completion_comments=False)
    assert looked == [(True, False, False), (True, False, False)]


@pytest.mark.parametrize(
    ("language", "text", "model_says", "inserts"),
    [
        ("python", 'def f():\n    """So.\n\n    $0\n    """\n', "    It goes on\n    and on.\n", "It goes on"),
        ("javascript", "function f() {\n  // ({ $0\n}\n", " a: 1 })\n  // And on.\n", "a: 1 })"),
    ],
)
async def test_in_comments_and_strings_one_line_is_enough(
    language: str, text: str, model_says: str, inserts: str
) -> None:
    """Whatever seems to open a block there."""
    engine = await check_completion(text, model_says=model_says, inserts=inserts, language=language)
    assert engine.asked[0].prompt.stop == () and engine.unread[0].endswith("on.\n")


async def test_reading_stops_when_the_block_is_complete() -> None:
    says = "    return 1\n\n\ndef g():\n    return 2\n\n\ndef h():\n    return 3\n"
    engine = await check_completion("def f():\n    $0\n", model_says=says, inserts="return 1")
    assert engine.unread[0].endswith("return 2\n\n\ndef h():\n    return 3\n")


async def test_one_line_is_stopped_by_the_engine_itself() -> None:
    engine = await check_completion("x = $0 + 1\n", model_says=" y", inserts="y")
    assert engine.asked[0].prompt.stop == ("\n",)
    assert engine.asked[0].priority == "typing"


async def test_the_files_own_line_ends_are_kept() -> None:
    await check_completion(
        "def f(x):\r\n    $0\r\n", model_says="    y = x\n    return y\n", inserts="y = x\r\n    return y"
    )


async def test_tabs_are_kept() -> None:
    says = "\ty := 1\n\treturn y\n"
    await check_completion(
        "package a\n\nfunc f() int {\n\t$0\n}\n", model_says=says, inserts="y := 1\n\treturn y", language="go"
    )


async def test_counts_of_both_questions_are_added() -> None:
    found = await ask("total = su$0\n", FakeEngine(" sum(xs)"))
    assert isinstance(found, Completion) and found.usage == Usage(100, 90, 8, 18, 2.0)
    found = await ask("total = su$0\n", FakeEngine(" add", "m(xs)"))
    assert isinstance(found, Completion)
    assert found.usage.evaluated_tokens is None, "the first stream was closed before its counts came"


@pytest.mark.parametrize(
    ("text", "model_says", "options", "reason"),
    [
        ("x = 1$0\n", ")", {}, "the suggestion would add a syntax error"),
        ("x =$0\n", " =", {"completion_enabled": False}, "completion is switched off in the settings"),
        ("KEY=$0\n", "1", {"path": "/work/shop/.env"}, ".env looks like a file with secrets"),
        ("x = 1\nx$0\n", "x = 1\n", {}, "the suggestion repeats the line above"),
        (
            "x = 1  # so$0\n",
            " far",
            {"completion_comments": False},
            "suggestions in comments are switched off (completion.comments)",
        ),
        (
            "x = 'so$0'\n",
            " far",
            {"completion_strings": False},
            "suggestions in strings are switched off (completion.strings)",
        ),
    ],
)
async def test_nothing_with_a_reason(text: str, model_says: str, options: dict[str, object], reason: str) -> None:
    found = await ask(text, FakeEngine(model_says, model_says), **options)
    assert isinstance(found, Nothing) and found.reason == reason


async def test_an_excluded_file_is_never_sent() -> None:
    engine = FakeEngine("never said")
    await ask("KEY=$0\n", engine, path="/work/shop/id_rsa")
    assert engine.asked == []


async def test_other_open_files_stand_before_the_file_and_secrets_do_not() -> None:
    one = opened("file:///work/shop/a.py", "python", 1, "import b\n\n")
    other = opened("file:///work/shop/b.py", "python", 1, "def helper() -> int: ...\n")
    secret = opened("file:///work/shop/.env", "plaintext", 1, "PASSWORD=hunter2\n")
    documents = {document.uri: document for document in (one, other, secret)}
    base = snapshot_of("")
    snapshot = Snapshot(documents, tuple(documents), base.roots, base.settings)
    engine = FakeEngine("b.helper()\n")
    await complete(snapshot, Cursor(one, len(one.text)), engine)
    texts = "".join(s.text for s in engine.asked[0].prompt.segments if isinstance(s, Text))
    assert texts.startswith("shop\nb.py\ndef helper() -> int: ...\na.py\n")
    assert "hunter2" not in texts


async def test_a_small_context_shrinks_the_prompt() -> None:
    lines = "".join(f"line_{n} = {n}\n" for n in range(400))
    big, small = FakeEngine("x = 1"), FakeEngine("x = 1")
    await ask(lines + "$0\n", big)
    await ask(lines + "$0\n", small, ctx=512)
    sizes = [
        sum(len(s.text) for s in engine.asked[0].prompt.segments if isinstance(s, Text)) for engine in (big, small)
    ]
    assert sizes[1] < 512 * 3 < sizes[0]


BITS = ["x", " = ", "1", "\n", "\r\n", "    ", "\t", "(", ")", "def f():", '"', "é", "\U0001f600", "<|im_end|>"]
TEXTS = st.lists(st.sampled_from(BITS), max_size=12).map("".join)


@settings(max_examples=80, deadline=None)
@given(TEXTS, TEXTS, TEXTS, st.sampled_from(["python", "javascript", "plaintext"]))
def test_whatever_stands_there_and_is_said(before: str, after: str, answer: str, language: str) -> None:
    """No exception, no leak, no fault that was not there, and the text around the cursor stays."""
    engine = FakeEngine(answer, answer)
    found = asyncio.run(ask(before + "$0" + after, engine, language=language))
    if isinstance(found, Completion):
        assert found.text.strip() and "<|im_end|>" not in found.text
        assert sound_part(language, before + after, len(before), len(before), found.text) == found.text
    else:
        assert found.reason


async def test_a_request_says_what_a_newer_one_would_replace() -> None:
    engine = FakeEngine("1", "1")
    snapshot = snapshot_of("x = ")
    cursor = Cursor(snapshot.documents["file:///work/shop/a.py"], 4)
    await complete(snapshot, cursor, engine, manner=Manner(latest_of="inline"))
    assert {request.latest_of for request in engine.asked} == {"inline"}


async def test_where_code_goes_on_one_statement_is_read() -> None:
    engine = await check_completion(
        "def f(x):\n    $0\n    return y\n", model_says="    y = x\n    z = y\n    w = z\n", inserts="y = x"
    )
    assert engine.unread[0].endswith("    w = z\n"), "what comes after the first statement is not waited for"


async def test_an_answer_in_markdown_and_in_another_style() -> None:
    says = "```go\nif x {\n        return 1\n    }\n```\nThis returns 1."
    await check_completion(
        "package a\n\nfunc f(x bool) int {\n\t$0\n}\n",
        model_says=[says, says],
        inserts="if x {\n\t\treturn 1\n\t}",
        language="go",
    )


async def test_the_layout_is_a_setting() -> None:
    engine = await check_completion("x = $0\n", model_says=" y", inserts="y", completion_layout="chat")
    prompt = engine.asked[0].prompt
    assert prompt.turns and prompt.turns[-1].role == "assistant"
    assert prompt.stop == ("\n", "\n```")


async def test_more_suggestions_are_drawn_from_the_same_prompt_and_only_those_that_differ() -> None:
    engine, text = FakeEngine(" 1)\n", " 2)\n", " 1)\n"), "total = add(1, "
    snapshot = snapshot_of(text + "\n")
    (document,) = snapshot.documents.values()
    cursor = Cursor(document, len(text))
    found = await complete(snapshot, cursor, engine, None, Manner(n_others=2))
    assert isinstance(found, Completion)
    assert found.text == "1)"
    assert found.others == ("2)",)
    one, *more = engine.asked
    assert [each.prompt for each in more] == [one.prompt] * 2 and not any(each.latest_of for each in more)
    assert [(each.temperature > 0, each.seed) for each in engine.asked] == [(False, 0), (True, 1), (True, 2)]
    alone = await complete(snapshot, cursor, FakeEngine(" 1)\n"))
    assert isinstance(alone, Completion) and alone.others is None
