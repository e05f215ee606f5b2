"""Texts come from the buffer or from the disk below the root, and from nowhere else."""

from pathlib import Path

import pytest

from qwen_lsp.context import texts
from qwen_lsp.context.texts import reader


def test_buffers_first_then_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("disk é\n", "utf-8")
    (tmp_path / "b.py").write_text("b\n")
    text_of = reader(tmp_path, {"a.py": "buffer\n"})
    assert (text_of("a.py"), text_of("b.py"), text_of("none.py")) == ("buffer\n", "b\n", None)
    (tmp_path / "b.py").write_text("changed\n")
    assert text_of("b.py") == "b\n" and reader(tmp_path, {})("b.py") == "changed\n"


def test_a_text_that_is_the_same_is_searched_for_credentials_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[str] = []

    def masked(text: str) -> str:
        searched.append(text)
        return f"shown {text}"

    monkeypatch.setattr(texts, "masked", masked)
    monkeypatch.setattr(texts, "KEPT_CHARS", 10)
    (tmp_path / "a.py").write_text("a\n")
    known: texts.Masked = {}
    assert [reader(tmp_path, {}, known)("a.py") for _ in range(2)] == ["shown a\n"] * 2
    assert reader(tmp_path, {"a.py": "b\n"}, known)("a.py") == "shown b\n"
    assert searched == ["a\n", "b\n"]
    assert reader(tmp_path, {"c.py": "c" * 10}, known)("c.py") == f"shown {'c' * 10}" and list(known) == ["c.py"]


def test_nothing_outside_through_links_or_that_may_not_be_shown(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "out.py").write_text("x = 1\n")
    (root / "real.py").write_text("x = 1\n")
    (root / "link.py").symlink_to(tmp_path / "out.py")
    (root / "inner.py").symlink_to(root / "real.py")
    (root / "folder").symlink_to(tmp_path)
    (root / ".env").write_text("KEY=1\n")
    (root / "binary.py").write_bytes(b"a\0b")
    (root / "latin.py").write_bytes(b"# \xe9\n")
    text_of = reader(root, {})
    assert text_of("real.py") == "x = 1\n"
    for path in ("link.py", "inner.py", "folder/out.py", "../out.py", str(tmp_path / "out.py"), ".env", "sub"):
        assert text_of(path) is None, path
    assert text_of("binary.py") is None and text_of("latin.py") is None
