"""Who may be shown to the model, in which order, and how much of it."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.context.pack import (
    BYTES_PER_TOKEN,
    WINDOW_STEPS,
    ContextFile,
    estimate,
    pack,
    window_after,
    window_before,
)
from qwen_lsp.context.rank import Candidate, excluded, rank, shown_path
from qwen_lsp.index.rules import HUGE_BYTES
from qwen_lsp.settings import Settings
from qwen_lsp.text.document import Document, opened
from qwen_lsp.text.snapshot import Snapshot


def _snapshot(texts: dict[str, str], recent: tuple[str, ...]) -> Snapshot:
    documents: dict[str, Document] = {uri: opened(uri, "python", 1, text) for uri, text in texts.items()}
    return Snapshot(documents, recent, (Path("/work/shop"),), Settings())


def test_recently_edited_first_without_the_file_itself() -> None:
    uris = [f"file:///work/shop/{name}.py" for name in "abcd"]
    snapshot = _snapshot(dict.fromkeys(uris, "x = 1\n"), (uris[2], uris[0], uris[3]))
    assert [found.path for found in rank(snapshot, uris[0])] == ["c.py", "d.py", "b.py"]


def test_secret_empty_and_huge_files_are_left_out() -> None:
    texts = {
        "file:///work/shop/.env": "KEY=1\n",
        "file:///work/shop/empty.py": " \n",
        "file:///work/shop/data.json": "1" * (HUGE_BYTES + 1),
        "file:///work/shop/good.py": "x = 1\r\ny = 2\r\n",
    }
    assert list(rank(_snapshot(texts, ()), "file:///other.py")) == [Candidate("good.py", "x = 1\ny = 2\n", 3)]


SECRETS = """
    .env .env.local prod.env server.PEM id_rsa id_ed25519.pub .npmrc credentials.json aws_credentials
    app-secrets.yaml terraform.tfstate my%2Eenv
"""


@pytest.mark.parametrize("name", SECRETS.split())
def test_secret_names(name: str) -> None:
    assert excluded(opened(f"file:///a/{name}", "plaintext", 1, "x")) is not None


@pytest.mark.parametrize("name", ["secrets.py", "environment.ts", "keys.go", "credentials_test.go", "a.py", "env"])
def test_code_about_secrets_is_no_secret(name: str) -> None:
    assert excluded(opened(f"file:///a/{name}", "plaintext", 1, "x")) is None


def test_binary_is_excluded_with_a_reason() -> None:
    assert excluded(opened("file:///a/x.py", "python", 1, "a\0b")) == "x.py is binary"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///work/shop/lib/a%20b.py", "lib/a b.py"),
        ("file:///elsewhere/a.py", "a.py"),
        ("untitled:Untitled-1", "Untitled-1"),
        ("file:///work/shop/sub/x/a.py", "x/a.py"),
    ],
)
def test_path_as_shown(uri: str, path: str) -> None:
    assert shown_path(uri, (Path("/work/shop"), Path("/work/shop/sub"))) == path


def test_packing_keeps_the_opening_order_whoever_was_edited_last() -> None:
    a, b = Candidate("a.py", "a = 1\n", 0), Candidate("b.py", "b = 1\n", 1)
    assert pack([a, b], 100) == pack([b, a], 100) == (ContextFile("a.py", "a = 1\n"), ContextFile("b.py", "b = 1\n"))


TEXTS = st.text(st.sampled_from(["a", "é", "\n", "\U0001f600"]), max_size=120)
CANDIDATES = st.lists(TEXTS, max_size=4).map(lambda texts: [Candidate(f"{n}", t, n) for n, t in enumerate(texts)])


@settings(deadline=None)
@given(CANDIDATES, st.integers(0, 120))
def test_packed_files_are_whole_lines_within_the_budget(candidates: list[Candidate], budget: int) -> None:
    packed = pack(candidates, budget)
    assert sum(estimate(file.path) + estimate(file.text) for file in packed) <= budget
    for file in packed:
        whole = candidates[int(file.path)].text
        assert whole.startswith(file.text) and (file.text == whole or file.text.endswith("\n"))


@settings(deadline=None)
@given(TEXTS, st.integers(2, 40))
def test_windows_are_ends_of_the_text_within_the_budget(text: str, budget: int) -> None:
    before, after = window_before(text, budget), window_after(text, budget)
    assert text.endswith(before) and text.startswith(after)
    assert len(before.encode()) <= budget * BYTES_PER_TOKEN and len(after.encode()) <= budget * BYTES_PER_TOKEN


def test_the_window_moves_rarely() -> None:
    """Typing 600 lines moves the start of the window once in a quarter of its budget."""
    budget = 400
    lines = [f"line_{n:05} = {n:05}\n" for n in range(600)]
    starts = {len(text) - len(window_before(text, budget)) for text in ("".join(lines[:n]) for n in range(600))}
    assert 1 < len(starts) <= 1 + len("".join(lines)) * WINDOW_STEPS // (budget * BYTES_PER_TOKEN)
