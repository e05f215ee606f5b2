"""Texts come from the buffer or from the disk below the root, and from nowhere else."""

from pathlib import Path

from qwen_lsp.context.texts import reader


def test_buffers_first_then_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("disk é\n", "utf-8")
    (tmp_path / "b.py").write_text("b\n")
    text_of = reader(tmp_path, {"a.py": "buffer\n"})
    assert (text_of("a.py"), text_of("b.py"), text_of("none.py")) == ("buffer\n", "b\n", None)
    (tmp_path / "b.py").write_text("changed\n")
    assert text_of("b.py") == "b\n" and reader(tmp_path, {})("b.py") == "changed\n"


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
