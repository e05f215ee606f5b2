"""The plan over typical machines, and its laws: never beyond the machine, never less for more, a no that helps."""

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inference.memory import (
    DEFAULT_CTX,
    GIB,
    MIB,
    MIN_SNAPSHOTS,
    UNIT,
    USUAL_CTX,
    Gpu,
    Machine,
    MemoryPlan,
    ModelSizes,
    Refusal,
    plan,
    size,
)

N_SEQUENCES = 8

# Qwen3.6-35B-A3B as FACTS.md has it, weights of each quantisation; the rest is what `models.sizes` says of it.
Q2, Q3, Q4, Q8 = 13.0e9, 16.9e9, 21.3e9, 37.0e9
REAL = ModelSizes(262_144, 0, 20_480, 65_863_680, 256 * 4 * (248_320 + 8 * 2048), 1060, 492 * MIB)
MLX_4BIT = replace(REAL, weight_bytes=int(18.2 * GIB), snapshot_bytes=64_389_120, work_ctx_bytes=16_640)
EMBEDDED = ModelSizes(32_768, 7_905_728, 1048, 112_128, 5_767_168, 2084, 134 * MIB)

# What Metal recommends of a Mac's memory: two thirds up to 32 GB, three quarters above (llama.cpp's logs of such Macs).
WORKING_SET_MIB = {8: 5461, 16: 10_922, 24: 16_384, 32: 21_845, 48: 36_864, 64: 49_152, 128: 98_304}


def real(weight_bytes: float) -> ModelSizes:
    return replace(REAL, weight_bytes=int(weight_bytes))


def mac(gb: int) -> Machine:
    return Machine(gb * GIB, None, Gpu("Apple M4", WORKING_SET_MIB[gb] * MIB, is_shared=True))


def box(gb: int, gpu_gb: int = 0, free: float = 0.9) -> Machine:
    """A desktop machine: memory, a GPU of its own (its driver and the screen take 3 %), how much is free."""
    gpu = Gpu("RTX", int(gpu_gb * GIB * 0.97), is_shared=False) if gpu_gb else None
    return Machine(gb * GIB, int(gb * GIB * free), gpu)


def planned(machine: Machine, sizes: ModelSizes, asked: int | None = None) -> MemoryPlan:
    found = plan(machine, sizes, asked, N_SEQUENCES)
    assert isinstance(found, MemoryPlan), found
    return found


def refused(machine: Machine, sizes: ModelSizes, asked: int | None = None) -> Refusal:
    found = plan(machine, sizes, asked, N_SEQUENCES)
    assert isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize(
    ("machine", "sizes", "n_ctx"),
    [
        (mac(8), real(Q2), 0),
        (mac(16), real(Q2), 0),
        (mac(16), MLX_4BIT, 0),
        (mac(24), real(Q2), 32_768),
        (mac(24), MLX_4BIT, 0),
        (mac(32), real(Q3), 47_104),
        (mac(32), MLX_4BIT, 24_576),
        (mac(32), real(Q4), 0),
        (mac(48), MLX_4BIT, 131_072),
        (mac(48), real(Q8), 0),
        (mac(64), real(Q8), 131_072),
        (mac(128), real(Q8), 131_072),
        (box(16), real(Q2), 0),
        (box(16, 8), real(Q2), 0),
        (box(16, 12), real(Q2), 0),
        (box(16, 24), real(Q4), 53_248),
        (box(32), real(Q4), 73_728),
        (box(32, 8), real(Q4), 73_728),
        (box(32, 12), real(Q2), 131_072),
        (box(32, 24), real(Q4), 53_248),
        (box(32), real(Q8), 0),
        (box(64), real(Q8), 131_072),
        (box(64, 24), real(Q4), 53_248),
        (box(64, 24), real(Q8), 131_072),
        (box(64, 24), real(Q2), 131_072),
    ],
)
def test_the_real_model_on_typical_machines(machine: Machine, sizes: ModelSizes, n_ctx: int) -> None:
    found = plan(machine, sizes, None, N_SEQUENCES)
    assert (found.n_ctx if isinstance(found, MemoryPlan) else 0) == n_ctx, found


def test_what_a_plan_says() -> None:
    found = planned(mac(48), MLX_4BIT)
    assert found.line == (
        "weights 18.2 GiB + rows for 256k 5.0 GiB + 64 snapshots 3.8 GiB + headroom 5.9 GiB = 32.9 GiB of 36.0 GiB "
        "(what Apple M4 may use)"
    )
    assert (found.n_ctx, found.n_cells, found.n_snapshots, found.limited_by) == (131_072, 262_144, 64, "default")
    assert found.cache_bytes == 262_144 * 20_480 + 64 * 64_389_120
    with_gpu = planned(box(32, 24), real(Q4))
    assert with_gpu.line == (
        "weights 19.8 GiB + rows for 104k 2.0 GiB + headroom 878 MiB = 22.7 GiB of 22.8 GiB (what is free on RTX); "
        "26 snapshots 1.6 GiB + headroom 1.6 GiB = 3.2 GiB of 27.8 GiB (beside the GPU)"
    )
    assert with_gpu.on_gpu
    assert with_gpu.away_bytes == with_gpu.rows_bytes + 9 * 65_863_680  # all of them: beside the GPU is room
    assert not planned(box(32, 12), real(Q4)).on_gpu


def test_the_embedded_model_runs_on_a_small_container() -> None:
    found = planned(Machine(1 * GIB, 900 * MIB), EMBEDDED)
    assert (found.n_ctx, found.n_cells, found.limited_by) == (32_768, 65_536, "model")
    assert found.line == (
        "weights 8 MiB + rows for 64k 66 MiB + 128 snapshots 14 MiB + headroom 238 MiB = 325 MiB of 768 MiB "
        "(1.0 GiB less what the system needs)"
    )
    assert found.away_bytes > found.rows_bytes


def test_a_model_without_recurrent_state_has_no_snapshots() -> None:
    dense = ModelSizes(32_768, 2 * GIB, 57_344, 0, 100 * MIB, 1060, 300 * MIB)
    found = planned(box(16), dense)
    assert found.snapshots_bytes == 0
    assert "snapshots" not in found.line


def test_what_was_asked_for_is_given_or_refused() -> None:
    assert planned(mac(48), MLX_4BIT, 40_000).n_ctx == 40_000
    assert planned(mac(64), MLX_4BIT, 250_000).limited_by == "asked"
    assert planned(mac(48), EMBEDDED, 1_000_000).n_ctx == EMBEDDED.n_ctx
    no = refused(mac(32), MLX_4BIT, 131_072)
    assert no.n_ctx == 24_576
    assert no.reason == (
        "the model does not fit in memory: weights 18.2 GiB + rows for 128k 2.5 GiB + 32 snapshots 1.9 GiB + headroom "
        "5.9 GiB = 28.5 GiB of 21.3 GiB (what Apple M4 may use); a context of 24576 tokens fits: --ctx 24576"
    )


def test_a_no_says_what_to_do() -> None:
    assert refused(mac(16), MLX_4BIT).reason.endswith(
        "of 10.7 GiB (what Apple M4 may use); weights of up to 8.9 GiB fit: take a smaller model or quantisation"
    )
    busy = refused(box(32, free=0.5), real(Q4))
    assert "(what other programs leave of 32.0 GiB now)" in busy.reason
    assert busy.reason.endswith("take a smaller model or quantisation, or close other programs")
    assert refused(Machine(192 * MIB, 150 * MIB), EMBEDDED).reason.endswith("; no model fits")


@pytest.mark.parametrize(
    ("n_bytes", "said"), [(0, "0 MiB"), (GIB - 1, "1024 MiB"), (GIB, "1.0 GiB"), (int(18.24 * GIB), "18.2 GiB")]
)
def test_sizes_for_people(n_bytes: int, said: str) -> None:
    assert size(n_bytes) == said


def bytes_up_to(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


def machines(least: int, most: int) -> st.SearchStrategy[Machine]:
    """Of so many GiB, each of its memories."""
    n_bytes = st.integers(least * GIB, most * GIB)
    return st.builds(
        Machine, n_bytes, st.none() | n_bytes, st.none() | st.builds(Gpu, st.just("GPU"), n_bytes, st.booleans())
    )


def models(most: int) -> st.SearchStrategy[ModelSizes]:
    """With weights of up to so many GiB."""
    return st.builds(
        ModelSizes,
        n_ctx=st.integers(1, 300_000),
        weight_bytes=bytes_up_to(most * GIB),
        row_bytes=st.integers(1, 200_000),
        snapshot_bytes=bytes_up_to(200 * MIB),
        work_bytes=bytes_up_to(GIB),
        work_ctx_bytes=bytes_up_to(20_000),
        process_bytes=bytes_up_to(GIB),
    )


wishes = st.none() | st.integers(1, 300_000)


@settings(deadline=None)
@given(machines(8, 256), models(16), wishes)
def test_parts_never_exceed_the_machine(machine: Machine, sizes: ModelSizes, asked: int | None) -> None:
    found = plan(machine, sizes, asked, N_SEQUENCES)
    assume(isinstance(found, MemoryPlan))
    assert isinstance(found, MemoryPlan)
    on_own_gpu = found.on_gpu and machine.gpu is not None and not machine.gpu.is_shared
    assert found.total_bytes <= found.room_bytes
    assert found.away_bytes <= found.room_bytes - found.total_bytes + found.headroom_bytes
    there_is = machine.total_bytes + (machine.gpu.free_bytes if on_own_gpu and machine.gpu else 0)
    assert found.room_bytes <= there_is
    if not on_own_gpu and machine.available_bytes is not None:
        assert found.total_bytes <= machine.available_bytes
    if found.on_gpu:
        assert machine.gpu is not None
        assert found.weight_bytes + found.rows_bytes <= machine.gpu.free_bytes
    assert 1 <= found.n_ctx <= min(sizes.n_ctx, asked or DEFAULT_CTX)
    assert found.n_ctx <= found.n_cells
    assert found.n_snapshots >= MIN_SNAPSHOTS
    # What the runner asks for: one sequence that fills the context, and its snapshot.
    assert found.cache_bytes >= found.n_ctx * sizes.row_bytes + sizes.snapshot_bytes
    if asked is not None:
        assert found.n_ctx == min(asked, sizes.n_ctx)


@settings(deadline=None)
@given(machines(8, 256), models(16), wishes, bytes_up_to(64 * GIB), bytes_up_to(64 * GIB), bytes_up_to(64 * GIB))
def test_more_memory_never_gives_less(
    machine: Machine, sizes: ModelSizes, asked: int | None, total: int, available: int, free: int
) -> None:
    """As long as the model lies in the same memory: a GPU of its own is worth a shorter context."""
    larger = replace(
        machine,
        total_bytes=machine.total_bytes + total,
        available_bytes=None if machine.available_bytes is None else machine.available_bytes + available,
        gpu=machine.gpu and replace(machine.gpu, free_bytes=machine.gpu.free_bytes + free),
    )
    before = plan(machine, sizes, asked, N_SEQUENCES)
    assume(isinstance(before, MemoryPlan))
    assert isinstance(before, MemoryPlan)
    after = plan(larger, sizes, asked, N_SEQUENCES)
    assert isinstance(after, MemoryPlan)
    if after.on_gpu == before.on_gpu:
        assert (after.n_ctx >= before.n_ctx, after.cache_bytes >= before.cache_bytes) == (True, True)
    else:
        assert after.n_ctx >= min(before.n_ctx, USUAL_CTX)


@settings(deadline=None)
@given(machines(0, 48), models(100), wishes)
def test_a_refusal_says_what_would_fit(machine: Machine, sizes: ModelSizes, asked: int | None) -> None:
    found = plan(machine, sizes, asked, N_SEQUENCES)
    assume(isinstance(found, Refusal))
    assert isinstance(found, Refusal)
    if found.n_ctx:
        assert asked is not None
        assert found.n_ctx < asked
        planned(machine, sizes, found.n_ctx)
        assert f"--ctx {found.n_ctx}" in found.reason
        if found.n_ctx + UNIT <= min(asked, sizes.n_ctx):
            refused(machine, sizes, found.n_ctx + UNIT)
    if found.weight_bytes:
        planned(machine, replace(sizes, weight_bytes=found.weight_bytes), UNIT)
        if not found.n_ctx:
            assert size(found.weight_bytes) in found.reason


def test_absurd_sizes_are_refused_at_once() -> None:
    absurd = ModelSizes(2**62, 2**62, 2**62, 2**62, 2**62, 2**62, 2**62)
    assert refused(mac(128), absurd, 2**62).reason.startswith(
        "the model does not fit in memory: weights 4294967296.0 GiB"
    )
    assert refused(mac(128), replace(MLX_4BIT, n_ctx=2**62), 2**62).n_ctx > DEFAULT_CTX
