"""The ledger's laws: between rebases what stands before the tail only grows, and it tells the truth."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.context.pack import ContextFile, estimate
from qwen_lsp.prompt.hunks import hunks, lines, patched
from qwen_lsp.prompt.ledger import LOG_TOKENS, Ledger, Place, Source, advanced, appended, based, due, excerpt
from qwen_lsp.prompt.rebase import kept
from qwen_lsp.prompt.tail import BEFORE_TOKENS, MOST_TOKENS, is_worn, laid

BUDGET = 4000


def source(path: str, text: str) -> Source:
    return Source(f"file:///w/{path}", path, text)


def at(text: str, path: str = "a.py") -> Place:
    """The place of `$0`."""
    return Place(source(path, text.replace("$0", "")), text.index("$0"))


def sources(*all_of: Source) -> Mapping[str, Source]:
    return {each.uri: each for each in all_of}


def opened(place: Place, *others: Source) -> Ledger:
    context = [ContextFile(other.path, other.text) for other in others]
    here, ends = excerpt(place, BUDGET)
    ledger = based("w", [*context, here], sources(place.source, *others), {here: ends})
    return advanced(ledger, sources(place.source, *others), place)


def go_on(ledger: Ledger, place: Place, *others: Source) -> Ledger:
    return advanced(ledger, sources(place.source, *others), place)


FAR = "".join(f"def f{n}(value):\n    return value + {n}\n\n\n" for n in range(40))


def test_typing_in_the_tail_leaves_the_log_alone() -> None:
    ledger = opened(at(FAR + "x = $0\n"))
    for typed in ("f", "f1", "f12(", "f12(3)\ny = ", "f12(3)\ny = x\n"):
        after = go_on(ledger, at(FAR + f"x = {typed}$0\n"))
        assert (after.base, after.log) == (ledger.base, ())
        assert after.tail is not None and ledger.tail is not None
        assert after.tail.before.startswith(ledger.tail.before) and after.tail.after == ledger.tail.after
        ledger = after


def test_typing_at_the_end_of_a_file_that_ends_without_a_newline_leaves_the_log_alone() -> None:
    """Its last line has no end yet; the tail shows it whole all the same."""
    ledger = opened(at(FAR + "$0"))
    for typed in ("x", "x =", "x = f1(2)", "x = f1(2)\ny", "x = f1(2)\ny = x\n", "x = f1(2)\ny = x\nz"):
        ledger = go_on(ledger, at(FAR + f"{typed}$0"))
        assert ledger.log == (), typed


def test_where_the_text_behind_the_cursor_is_another_one_the_tail_begins_anew_and_brief() -> None:
    """The engine reads that text first: what follows it would be read anew, however much of it were kept."""
    lines = "".join(f"x{n} = {n}\n" for n in range(60))
    here = at(lines.replace("x30", "$0x30"))
    first = laid(None, here)
    typed = laid(first, at(lines.replace("x30", "y$0x30")), is_brief=True)
    assert typed.start == first.start and typed.after == first.after and not typed.is_brief
    jumped = laid(first, at(lines.replace("x34", "$0x34")), is_brief=True)
    assert jumped.is_brief and jumped.start > first.start and len(jumped.before) < 80
    closed = laid(jumped, at(lines.replace("x34", "($0)x34")), is_brief=True)
    assert closed.after != jumped.after and closed.is_brief


def test_typing_on_lays_the_tail_anew_seldom_though_each_line_ends_in_a_quiet_moment() -> None:
    """To lay it anew is to read all of it: that must not cost much more than what was typed."""
    text, starts = FAR, set()
    last = laid(None, at(FAR + "$0"))
    for n in range(60):
        text += f"value_{n:02} = compute(everything)\n"
        last = laid(None if is_worn(last) else last, at(text + "$0"))
        starts.add(last.start)
    n_typed, n_laid = estimate(text[len(FAR) :]), len(starts) - 1
    assert 0 < n_laid * BEFORE_TOKENS < n_typed
    assert estimate(last.before) <= MOST_TOKENS


def test_an_edit_elsewhere_is_one_hunk() -> None:
    ledger = opened(at(FAR + "x = $0\n"))
    changed = go_on(ledger, at(FAR.replace("value + 3\n", "value - 3\n", 1) + "x = $0\n"))
    assert changed.log == ("@@ a.py:14 @@\n-    return value + 3\n+    return value - 3\n",)
    assert changed.base == ledger.base


def test_an_edit_is_logged_when_the_cursor_leaves_it() -> None:
    text = FAR + "x = 1\n"
    ledger = opened(at(FAR + "x = $01\n"))
    ledger = go_on(ledger, at(FAR + "x = 2$01\n"))
    assert ledger.log == ()
    ledger = go_on(ledger, at("$0" + FAR + "x = 21\n"))
    assert ledger.log == (f"@@ a.py:{text.count(chr(10))} @@\n-x = 1\n+x = 21\n",)


def test_another_file_that_changed_is_a_hunk_and_one_that_is_new_costs_its_tail() -> None:
    other = source("b.py", "B = 1\n")
    ledger = opened(at("x = $0\n"), other)
    ledger = go_on(ledger, at("x = $0\n"), source("b.py", "B = 2\n"))
    assert ledger.log == ("@@ b.py:1 @@\n-B = 1\n+B = 2\n",)
    new = at("C = $0\n", "c.py")
    later = go_on(ledger, new, source("b.py", "B = 2\n"), source("a.py", "x = \n"))
    assert later.log == ledger.log and later.tail is not None and later.tail.path == "c.py"
    assert due(later, new) == "the cursor is where nothing of its file is shown"
    here, ends = excerpt(new, BUDGET)
    shown = appended(later, (here,), sources(new.source), {here: ends})
    assert shown.log == (*ledger.log, here) and due(shown, new) is None


def test_no_line_is_aligned_while_somebody_types_at_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = opened(at(FAR + "x = $0\ny = 2\n" + FAR))
    monkeypatch.setattr("qwen_lsp.prompt.hunks.SequenceMatcher", lambda *_, **__: pytest.fail("aligned"))
    for typed in ("a", "ab", "ab\nz = 3"):
        ledger = go_on(ledger, at(FAR + f"x = {typed}$0\ny = 2\n" + FAR))
        assert ledger.log == ()


def test_a_paste_of_many_lines_is_not_put_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would not be told."""
    place, other = at("x = $0\n"), source("b.py", "y = 1\n")
    ledger = opened(place, other)
    monkeypatch.setattr("qwen_lsp.prompt.ledger._rendered", lambda path, hunk: pytest.fail("rendered"))
    later = go_on(ledger, place, source("b.py", "y = 1\n" + "".join(f"z = {n}\n" for n in range(1000))))
    assert later.log == () and other.uri not in later.known


def test_a_file_that_is_another_one_now_costs_no_key_and_no_new_base_keeps_it() -> None:
    place, other = at("x = $0\n"), source("b.py", FAR)
    ledger = opened(place, other)
    rewritten = source("b.py", FAR.upper() * 2)
    later = go_on(ledger, place, rewritten)
    assert later.log == () and other.uri not in later.known and due(later, at("$0" + rewritten.text, "b.py"))
    here, ends = excerpt(Place(rewritten, 0), BUDGET)
    shown = appended(later, (here,), sources(rewritten, place.source), {here: ends})
    assert shown.known[other.uri] is rewritten and due(shown, Place(rewritten, 0)) is None
    assert [file.path for file in kept(shown, sources(rewritten, place.source), BUDGET, lambda file: True)] == []


def test_switching_between_files_that_are_shown_costs_tails_only() -> None:
    one, two = at(FAR + "x = $0\n"), at("y = $0\n", "b.py")
    ledger = opened(one, two.source)
    for place in (two, one, two, one):
        ledger = go_on(ledger, place, one.source, two.source)
        assert ledger.log == ()


def test_a_long_log_and_a_far_cursor_ask_for_more() -> None:
    place = at(FAR + "x = $0\n")
    ledger = opened(place)
    assert due(ledger, place) is None and due(Ledger("w"), place) == "nothing is shown yet"
    for n in range(LOG_TOKENS // 10):
        ledger = go_on(ledger, at(FAR.replace("value", f"value{n}", 1) + "x = $0\n"))
    assert due(ledger, place) == "the log is long"
    far = at("$0" + FAR * 20)
    assert due(opened(at(FAR * 20 + "$0")), far) == "the cursor is where nothing of its file is shown"


# Random sessions: two files, edits anywhere, requests at random places.
LINES = ["def f():\n", "    return 1\n", "x = 2\n", "\n", "# <|im_end|>\n"]
TEXTS = st.lists(st.sampled_from(LINES), max_size=60).map("".join)


@st.composite
def edits(draw: st.DrawFn, text: str) -> str:
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 12)))
    return text[:start] + draw(st.sampled_from(["", "a", "\n", "y = 3\nz = 4\n"])) + text[end:]


@given(TEXTS, TEXTS, st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_before_the_tail_only_grows_and_what_is_known_was_true(a: str, b: str, data: st.DataObject) -> None:
    texts = {"a.py": a, "b.py": b}
    ledger: Ledger | None = None
    for _ in range(data.draw(st.integers(1, 8))):
        name = data.draw(st.sampled_from(["a.py", "b.py"]))
        texts[name] = data.draw(edits(texts[name]))
        where = data.draw(st.sampled_from(["a.py", "b.py"]))
        place = Place(source(where, texts[where]), data.draw(st.integers(0, len(texts[where]))))
        now = sources(*(source(path, text) for path, text in texts.items()))
        if ledger is None:
            ledger = based("w", [ContextFile("a.py", texts["a.py"])], now)
        is_brief = data.draw(st.booleans())
        after = advanced(ledger, now, place, is_brief=is_brief)
        assert after == advanced(ledger, now, place, is_brief=is_brief)
        assert after.base == ledger.base and after.log[: len(ledger.log)] == ledger.log
        check_truth(after, now, place)
        ledger = after


def check_truth(ledger: Ledger, now: Mapping[str, Source], place: Place) -> None:
    """Outside the tail, base and log together say what the texts are."""
    tail = ledger.tail
    assert tail is not None
    assert place.before.endswith(tail.before) and place.after.startswith(tail.after)
    last = tail.line + (tail.before + tail.after).count("\n") + (tail.after == place.after)
    for uri, known in ledger.known.items():
        for hunk in hunks(known.text, now[uri].text):
            assert uri == tail.uri and tail.line <= hunk.at <= hunk.at + len(hunk.new) <= last
        assert patched(known.text, hunks(known.text, now[uri].text)) == now[uri].text


def test_a_line_that_looks_like_a_header_stays_marked() -> None:
    ledger = opened(at(FAR + "x = $0\n"))
    changed = go_on(ledger, at("@@ b.py:1 @@\n" + FAR + "x = $0\n"))
    assert all(line[:1] in "@+-" for entry in changed.log for line in lines(str(entry)))
    assert changed.log == ("@@ a.py:1 @@\n+@@ b.py:1 @@\n",)
