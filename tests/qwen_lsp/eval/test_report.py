"""The page: needs nothing from elsewhere, shows text of the repository as text, is the same for the same answers."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from qwen_lsp.eval import plots
from qwen_lsp.eval.earlier import Compared, Difference
from qwen_lsp.eval.replay import Typing, spread
from qwen_lsp.eval.report import MOST_CASES, Found, cases, page, reasons
from qwen_lsp.eval.results import Variant
from qwen_lsp.eval.summary import against, summary
from tests.qwen_lsp.eval.answers import answer

VARIANTS = (Variant("ours"), Variant("8k <tokens>"))
ABOUT = {
    "repository": "<w> & co",
    "newest": "abc:a.py:1:1:line",
    "holes": 40,
    "commits": 40,
    "from": "2023-11-14",
    "to": "2023-11-15",
    "engine": "llama",
    "model": "embedded",
    "released": "2023-11-14",
    "released_by": "the catalogue",
    "seed": 1,
    "keys": 0,
    "version": "0.1",
    "variants": ["ours", "8k <tokens>"],
}
ANSWERS = [
    *(answer(n, "ours", n % 2 == 0) for n in range(40)),
    *(answer(n, "8k <tokens>", n % 3 == 0, kind="line") for n in range(40)),
]
ANSWERS[1] = answer(1, "ours", False, said="<script>alert(1)</script>", similarity=0.0)
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --enable-logging=stderr --window-size=1100,1400"
CHROMIUM_S = 60.0
RELEASED = 1_700_000_010


def found(released: int | None = RELEASED) -> Found:
    times = spread([10.0, 20.0, 300.0])
    typed = Typing(3, 9.5, 1 / 3, 2 / 3, times, times, times, times, times, 0.9, None)
    ours = [answer for answer in ANSWERS if answer.variant == "ours"]
    held = Compared("embedded on mlx", (Difference("ours", 40, 1.0, against(ours, ours, 1, 1)),))
    return Found(ABOUT, VARIANTS, summary(ANSWERS, VARIANTS, released, 1), typed, held, (), ("a <note>",))


def test_the_page_stands_alone_and_text_stays_text() -> None:
    html = page(found(), ANSWERS)
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html
    assert "&lt;w&gt; &amp; co" in html and "8k &lt;tokens&gt;" in html and "A &lt;note&gt;." in html
    assert not re.search(r"(?:src|href)=\"(?!#)", html), "nothing is fetched"
    assert html.count("<svg") == 4 and "Newer than the model" in html and "Older" in html
    assert "Against embedded on mlx" in html and "Typing, replayed" in html
    assert "no Python file has a place for one" in html
    assert html == page(found(), ANSWERS)


def test_a_browser_shows_it_and_refuses_nothing(tmp_path: Path) -> None:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("NO CHROMIUM HERE: nobody has looked at the page (apt install chromium)")
    source, picture = tmp_path / "report.html", tmp_path / "page.png"
    source.write_text(page(found(), ANSWERS), "utf-8")
    command = [program, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", f"--screenshot={picture}"]
    done = subprocess.run([*command, source.as_uri()], capture_output=True, text=True, timeout=CHROMIUM_S, check=False)
    assert picture.stat().st_size > 40_000, done.stderr  # a blank page of this size is a tenth
    assert "Content Security Policy" not in done.stderr and "Refused" not in done.stderr


def test_pictures_take_the_colours_of_the_page() -> None:
    html = page(found(), ANSWERS)
    assert "prefers-color-scheme: dark" in html and "currentColor" in html and "var(--mark)" in html
    assert "#0102" not in html, "no stand-in is left"


def test_without_matplotlib_there_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "is_available", lambda: False)
    html = page(found(None), ANSWERS)
    assert "<svg" not in html and "qwen-lsp[eval]" in html and "Not known" in html


def test_credentials_are_stars() -> None:
    token = "ghp_" + "a1B2c3D4e5" * 4
    secret = answer(3, "ours", False, line="password = ", wanted=f'"{token}"', said=f'"{token[:-1]}z"', similarity=0.0)
    html = page(found(), [*ANSWERS[:3], secret, *ANSWERS[4:]])
    assert token[:20] not in html and "password = " in html and "*****" in html


def test_cases_are_the_longest_right_and_the_farthest_wrong() -> None:
    shown = cases(ANSWERS, "ours")
    assert len(shown.best) == len(shown.worst) == MOST_CASES
    assert all(a.exact for a in shown.best) and shown.worst[0].hole == "hole 001"
    assert max(len(a.wanted) for a in ANSWERS) == len(shown.best[0].wanted)


def test_where_little_is_right_the_nearest_are_the_best_and_none_is_both() -> None:
    near = answer(1, exact=False, said="value_2", similarity=0.86)
    shown = cases([answer(0), near, answer(2, exact=False, similarity=0.4)], "ours")
    assert [a.hole for a in shown.best] == ["hole 000", "hole 001"]
    assert [a.hole for a in shown.worst] == ["hole 002"]


def test_a_recommendation_says_what_to_write_where() -> None:
    variants = (Variant("no context", "joint", 0), Variant("2,048 tokens of context", "joint", 2048))
    answers = [answer(n, each.name, each.context_tokens > n) for n in range(60) for each in variants]
    html = page(replace(found(), variants=variants, summary=summary(answers, variants, None, 1)), answers)
    assert "Recommended: 2,048 tokens of context" in html and "--write-settings" in html
    assert '[completion]\ncontext_tokens = 2048\nlayout = "joint"</pre>' in html
    assert "--write-settings" not in page(found(), ANSWERS), "nothing is recommended there"


def test_kinds_come_from_the_shortest_on() -> None:
    answers = [answer(n, kind=kind) for n, kind in enumerate(("hunk", "block", "line", "lines"))]
    assert list(summary(answers, (Variant("ours"),), None, 1).by_kind) == ["line", "lines", "block", "hunk"]


def test_slow_answers_are_drawn_in_seconds() -> None:
    assert "milliseconds from" in plots.times([("ours", [10.0, 2_900.0])])
    assert "seconds from" in (slow := plots.times([("ours", [10.0, 21_000.0])])) and "milliseconds" not in slow


def test_reasons_are_counted() -> None:
    silent = [answer(n, said="", exact=False, reason="gate" if n else "loading") for n in range(4)]
    assert reasons(silent, "ours") == [("gate", 3), ("loading", 1)]


def test_where_layouts_are_compared_the_page_warns_of_their_times() -> None:
    warning = "to be compared in runs of their own"
    layouts = (replace(VARIANTS[0], layout="joint"), replace(VARIANTS[1], layout="chat"))
    assert warning not in page(found(), ANSWERS) and warning in page(replace(found(), variants=layouts), ANSWERS)


def test_how_many_answers_the_tests_judged_is_shown() -> None:
    tested = [replace(each, tests=True) if number < 3 else each for number, each in enumerate(ANSWERS)]
    told = replace(found(), summary=summary(tested, VARIANTS, RELEASED, 1))
    assert "100.0 % <small>of 3</small>" in page(told, tested) and "<small>of 3</small>" not in page(found(), ANSWERS)
