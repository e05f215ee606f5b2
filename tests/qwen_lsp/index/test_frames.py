"""Values through a pipe come out whole or not at all."""

from io import BytesIO

import pytest

from qwen_lsp.index import frames


def test_values_come_out_in_their_order() -> None:
    pipe = BytesIO()
    for value in (("a", 1), None, "x" * 100_000):
        frames.write(pipe, value)
    pipe.seek(0)
    assert [frames.read(pipe) for _ in range(3)] == [("a", 1), None, "x" * 100_000]


@pytest.mark.parametrize("n_bytes", [0, 2, 4, 9])
def test_an_end_in_the_middle_is_an_end(n_bytes: int) -> None:
    with pytest.raises(EOFError):
        frames.read(BytesIO(frames.packed("some text")[:n_bytes]))
