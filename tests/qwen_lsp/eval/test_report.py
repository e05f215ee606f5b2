"""The page: needs nothing from elsewhere, shows text of the repository as text, is the same for the same answers."""

import re

import pytest

from qwen_lsp.eval import plots
from qwen_lsp.eval.report import MOST_CASES, cases, page, reasons
from qwen_lsp.eval.results import Variant
from qwen_lsp.eval.summary import summary
from tests.qwen_lsp.eval.answers import answer

VARIANTS = (Variant("ours"), Variant("8k <tokens>"))
ABOUT = {"repository": "<w> & co", "model": "embedded", "seed": 1}
ANSWERS = [
    *(answer(n, "ours", n % 2 == 0) for n in range(40)),
    *(answer(n, "8k <tokens>", n % 3 == 0, kind="line") for n in range(40)),
]
ANSWERS[1] = answer(1, "ours", False, said="<script>alert(1)</script>", similarity=0.0)


def test_the_page_stands_alone_and_text_stays_text() -> None:
    html = page(ABOUT, summary(ANSWERS, VARIANTS, 1_700_000_010, 1), ANSWERS, VARIANTS)
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html
    assert "&lt;w&gt; &amp; co" in html and "8k &lt;tokens&gt;" in html
    assert not re.search(r"(?:src|href)=\"(?!#)", html), "nothing is fetched"
    assert html.count("<svg") == 4 and "newer than the model" in html
    assert html == page(ABOUT, summary(ANSWERS, VARIANTS, 1_700_000_010, 1), ANSWERS, VARIANTS)


def test_without_matplotlib_there_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "is_available", lambda: False)
    html = page(ABOUT, summary(ANSWERS, VARIANTS, None, 1), ANSWERS, VARIANTS)
    assert "<svg" not in html and "qwen-lsp[eval]" in html and "not known" in html


def test_cases_are_the_longest_right_and_the_farthest_wrong() -> None:
    found = cases(ANSWERS, "ours")
    assert len(found.best) == len(found.worst) == MOST_CASES
    assert all(a.exact for a in found.best) and found.worst[0].hole == "hole 001"
    assert max(len(a.wanted) for a in ANSWERS) == len(found.best[0].wanted)


def test_reasons_are_counted() -> None:
    silent = [answer(n, said="", exact=False, reason="gate" if n else "loading") for n in range(4)]
    assert reasons(silent, "ours") == [("gate", 3), ("loading", 1)]
