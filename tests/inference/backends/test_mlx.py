"""What is MLX's own: the drawn distribution, broken numbers, process limits, references instead of copies."""

import os
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.backends.base import Backend, EngineSettings, Step
from inference.backends.mlx import MlxBackend
from inference.errors import ModelBroken
from inference.generation import GREEDY, Sampling
from inference.tokenizer import from_folder
from tests.inference.backends.distribution import N_DRAWS, SAMPLINGS, distance, expected
from tests.inference.weights import EMBEDDED, Tensors, write_folder

ROWS, CHUNK = 384, 64
SMALL = EngineSettings(n_ctx=256, n_cells=256, max_sequences=2, chunk=32)


def load(folder: Path) -> MlxBackend:
    return MlxBackend("test", folder, from_folder(EMBEDDED), SMALL)


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_draws_follow_the_distribution(mlx: Backend, sampling: Sampling) -> None:
    assert isinstance(mlx, MlxBackend)
    seq = mlx.open()
    mlx.evaluate(seq, mlx.tokenizer.encode("import ", parse_special=False))
    wanted = expected(mlx._logits[-1].tolist(), sampling)
    sampler = mlx.sampler(sampling)
    draws = [mlx.sample(seq, sampler) for _ in range(N_DRAWS)]
    mlx.close(seq)
    assert distance(draws, wanted) < 0.07


def test_weights_that_are_not_numbers_are_found_at_load(tmp_path: Path) -> None:
    def poison(_config: dict[str, Any], tensors: Tensors) -> None:
        tensors["model.norm.weight"][3] = np.nan

    with pytest.raises(ModelBroken, match="not numbers"):
        load(write_folder(tmp_path / "nan", poison))


def test_on_processors_what_a_pass_costs_is_the_cpu_time_of_all_threads(mlx: Backend) -> None:
    import mlx.core as mx

    is_on_processor = mx.default_device().type == mx.DeviceType.cpu
    assert mlx.info.clock is (time.process_time if is_on_processor else time.perf_counter)


@pytest.mark.skipif(sys.platform != "linux", reason="the policy is Linux's")
def test_threads_of_the_engine_do_not_displace_those_that_wake_them() -> None:
    def policies() -> dict[int, int]:
        return {int(task.name): os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}

    def loaded() -> tuple[dict[int, int], dict[int, int], int]:
        before = policies()
        load(EMBEDDED)
        return before, policies(), threading.get_native_id()

    with ThreadPoolExecutor(1) as own:  # a stream, and the engine's thread for it, belong to who loads
        before, after, owner = own.submit(loaded).result()
    usual = os.sched_getscheduler(0)
    made = {after[thread] for thread in after.keys() - before.keys()}
    assert made == {os.SCHED_BATCH if usual == os.SCHED_OTHER else usual}
    assert after[owner] == usual


def test_logits_that_are_not_numbers_are_found_when_sampled(tmp_path: Path) -> None:
    def poison(config: dict[str, Any], tensors: Tensors) -> None:
        config["tie_word_embeddings"] = False
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
        tensors["model.embed_tokens.weight"][77] = np.nan

    backend = load(write_folder(tmp_path / "nan", poison))
    for sampling in (GREEDY, Sampling(temperature=1.0, top_k=5)):
        seq = backend.open()
        backend.evaluate(seq, [76])
        assert 0 <= backend.sample(seq, backend.sampler(sampling)) < backend.info.n_vocab
        backend.evaluate(seq, [77])
        with pytest.raises(ModelBroken, match="not numbers"):
            backend.sample(seq, backend.sampler(sampling))
        backend.close(seq)
    sampler, good, bad = backend.sampler(GREEDY), backend.open(), backend.open()
    empty = backend.snapshot(good)
    said = backend.step(good, 76, (), sampler)
    backend.restore(good, empty)
    failed, drawn = backend.step_together([Step(bad, 77, sampler), Step(good, 76, sampler)])
    assert isinstance(failed, ModelBroken) and (drawn,) == said
    backend.shutdown()


def test_the_limit_of_open_files_stays(mlx: Backend) -> None:
    """mlx-lm sets 2048 of 4096 on import."""
    assert mlx.info.engine == "mlx"
    assert resource.getrlimit(resource.RLIMIT_NOFILE) != (2048, 4096)
    assert resource.setrlimit.__module__ == "resource"


def test_no_compiler_off_metal(mlx: Backend) -> None:
    assert isinstance(mlx, MlxBackend)
    assert mlx._mx.metal.is_available() or os.environ["MLX_DISABLE_COMPILE"] == "1"


def test_a_snapshot_is_references(mlx: Backend) -> None:
    assert isinstance(mlx, MlxBackend)
    seq = mlx.open()
    mlx.evaluate(seq, [65, 66])
    first, second = mlx.snapshot(seq), mlx.snapshot(seq)
    assert all(a is b for x, y in zip(first.state, second.state, strict=True) for a, b in zip(x, y, strict=True))
    mlx.close(seq)


def test_weights_that_do_not_fit_the_configuration(tmp_path: Path) -> None:
    def shrink(config: dict[str, Any], _tensors: Tensors) -> None:
        config["num_experts"] = 4

    with pytest.raises(ModelBroken, match="does not load"):
        load(write_folder(tmp_path / "wrong", shrink))


def test_the_last_layer_works_for_what_is_drawn_only(mlx: Backend) -> None:
    """A chunk that nobody draws from needs only attention rows of it: its scores come with the drawing, if at all."""
    mx = import_module("mlx.core")
    seq = mlx.open()
    mlx.evaluate(seq, [1] * ROWS)
    mlx.evaluate(seq, [2] * CHUNK)
    begun = mx.get_active_memory()
    mx.reset_peak_memory()
    mlx.sample(seq, mlx.sampler(GREEDY))
    needed = mx.get_peak_memory() - begun
    mlx.close(seq)
    assert needed > CHUNK * ROWS * 4  # bytes of one head's scores
