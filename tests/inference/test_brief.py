"""Steps are short while somebody types, however dear a token has become."""

import pytest

from inference.brief import PIECE, STEP_S, Brief
from inference.runner import CHUNK


@pytest.mark.parametrize(
    ("token_ms", "chunk"), [(0.0, CHUNK), (0.1, CHUNK), (0.5, 192), (0.8, 64), (1.5, 64), (50.0, 64)]
)
def test_a_step_takes_a_tenth_of_a_second_or_one_piece(token_ms: float, chunk: int) -> None:
    brief = Brief()
    brief.took(CHUNK, CHUNK * token_ms / 1000)
    assert brief.chunk(CHUNK) == chunk
    assert chunk == PIECE or chunk * token_ms / 1000 <= STEP_S


def test_a_few_tokens_tell_nothing() -> None:
    """A pass has a price of its own."""
    brief = Brief()
    brief.took(3, 1.0)
    assert brief.chunk(CHUNK) == CHUNK


def test_a_small_chunk_stays() -> None:
    brief = Brief()
    brief.took(CHUNK, 10.0)
    assert brief.chunk(16) == 16
