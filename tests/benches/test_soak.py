"""What the soak makes of a memory curve and of answers; the soak itself runs in tests/e2e/test_soak.py."""

import pytest

from scripts.benches.soak import MAX_GROWTH, MIB, MIN_FITTED_S, Memory, growth


def curve(resident_mib: list[float], seconds: float) -> list[Memory]:
    step = seconds / (len(resident_mib) - 1)
    return [Memory(i * step, int(mib * MIB), 0, 0, 0) for i, mib in enumerate(resident_mib)]


def test_a_start_that_fills_the_cache_is_no_growth() -> None:
    found = growth(curve([100, 200, 300, *[300] * 8], 600))
    assert found is not None and abs(found) < 1e-9


def test_a_leak_is_growth() -> None:
    found = growth(curve([300 + i for i in range(61)], 600))
    assert found is not None and found > MAX_GROWTH
    assert found == pytest.approx(40 / 340, rel=1e-2)


def test_a_short_run_says_nothing() -> None:
    assert growth(curve([100, 200, 300], MIN_FITTED_S)) is None
    assert growth([]) is None
