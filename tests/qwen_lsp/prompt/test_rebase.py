"""What a new base keeps of the old one: the longest run at its front that may stay, byte for byte."""

from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.context.pack import ContextFile
from qwen_lsp.prompt.hunks import hunks
from qwen_lsp.prompt.ledger import Ledger, Source, appended, based, cost, settled
from qwen_lsp.prompt.rebase import FOLD_TOKENS, as_shown, behind, front, kept

LINES = st.lists(st.sampled_from(["x = 1\n", "def f():\n", "    return 2\n", "\n"]), min_size=1, max_size=40)
NAMES = ["a.py", "b.py", "c.py", "d.py"]


def source(path: str, text: str) -> Source:
    return Source(f"file:///w/{path}", path, text)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[Ledger, dict[str, Source]]:
    """A ledger of some files, one more shown later perhaps, and their texts of today; some are closed."""
    old = {path: source(path, "".join(draw(LINES))) for path in NAMES}
    sources = {each.uri: each for each in old.values()}
    files = [ContextFile(path, old[path].text) for path in NAMES]
    n_based = draw(st.integers(0, len(files)))
    ledger = based("w", files[:n_based], sources)
    if draw(st.booleans()):
        ledger = appended(ledger, files[n_based:], sources)
    now = dict(sources)
    for path in draw(st.sets(st.sampled_from(NAMES))):
        text = draw(st.one_of(LINES.map("".join), st.just(old[path].text + "y = 2\n"), st.none()))
        if text is None:
            del now[old[path].uri]
        else:
            now[old[path].uri] = source(path, text)
    return ledger, now


@given(sessions(), st.integers(0, 400), st.sets(st.sampled_from(NAMES)))
@settings(max_examples=200, deadline=None)
def test_the_longest_front_that_may_stay_is_kept(
    session: tuple[Ledger, dict[str, Source]], room: int, gone: set[str]
) -> None:
    ledger, now = session

    def stays(file: ContextFile) -> bool:
        return file.path not in gone

    files = kept(ledger, now, room, stays)
    whole = front(ledger)
    assert whole[: len(files)] == files and kept(ledger, now, room, stays) == files
    assert sum(map(cost, files)) <= room and all(map(stays, files))
    fresh = settled(based("w", files, as_shown(ledger, files, now)), now)
    assert fresh.n_hunks <= FOLD_TOKENS
    if len(files) < len(whole):  # one more would break one of the rules
        more = whole[: len(files) + 1]
        uri = source(more[-1].path, "").uri
        rewritten = ledger.first[uri].text != now.get(uri, ledger.first[uri]).text
        assert sum(map(cost, more)) > room or not stays(more[-1]) or rewritten


@given(sessions())
@settings(max_examples=100, deadline=None)
def test_a_new_base_and_its_log_say_what_the_texts_are(session: tuple[Ledger, dict[str, Source]]) -> None:
    """Also of the files that it keeps as they were; and excerpts are texts that existed."""
    ledger, now = session
    files = kept(ledger, now, 10_000, lambda file: True)
    rest = [ContextFile(each.path, each.text) for each in now.values() if each.path not in {f.path for f in files}]
    shown = (*files, *behind(ledger, rest, now))
    fresh = settled(based("w", shown, as_shown(ledger, files, now)), now)
    texts = {each.path: {each.text} for each in now.values()}
    for each in ledger.first.values():
        texts.setdefault(each.path, set()).add(each.text)
    assert all(file.text in texts[file.path] for file in fresh.base)
    for uri, known in fresh.known.items():
        assert uri not in now or hunks(known.text, now[uri].text) == ()


def test_behind_what_is_kept_stand_unchanged_files_as_before_then_new_ones_then_changed_ones() -> None:
    texts = {path: source(path, f"# {path}\n") for path in ("a.py", "b.py", "c.py")}
    sources = {each.uri: each for each in texts.values()}
    ledger = based("w", [ContextFile(path, texts[path].text) for path in texts], sources)
    now = {**sources, texts["a.py"].uri: source("a.py", "# new\n")}
    rest = [ContextFile(path, "") for path in ("new.py", "a.py", "c.py", "b.py")]
    assert [file.path for file in behind(ledger, rest, now)] == ["b.py", "c.py", "new.py", "a.py"]
