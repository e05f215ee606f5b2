"""Which model which machine gets: a golden table over typical machines, and the published arithmetic."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.memory import MIB
from inference.models.choice import MAX_SEQUENCES, Wishes, choose, sizes_of
from inference.models.entries import BadCatalogue, load, parse
from inference.models.offload import offload
from inference.power import Power, of_pmset, power
from inference.report import from_json
from tests.golden import check_golden
from tests.inference.models.machines import MACHINES, mac, pc

CATALOGUE = load()


def test_plans_for_all_machines() -> None:
    """UPDATE_GOLDEN=1 writes it; read it when it changes: it is what users get."""
    lines = []
    for name, report in MACHINES.items():
        choice = choose(report, CATALOGUE)
        what = f"{choice.model}/{choice.variant}" if choice.plan else "embedded"
        context = f", context {choice.plan.n_ctx:,}\n    {choice.plan.line}" if choice.plan else ""
        lines.append(f"{name}: {what}{context}")
        lines += [f"    {note}" for note in choice.notes]
    check_golden("plans.txt", "\n".join(lines) + "\n")


def test_the_published_figures_of_the_real_model() -> None:
    found = CATALOGUE.find("qwen3.6-35b-a3b/mlx-4bit")
    assert found is not None
    model, variant = found
    assert variant is not None and round(variant.n_bytes / 2**30, 1) == 18.2
    sizes = sizes_of(model, variant)
    assert (sizes.row_bytes, round(sizes.snapshot_bytes / MIB, 1)) == (20_480, 61.4)
    experts = model.shape.expert_parameters * model.shape.num_hidden_layers
    assert experts == 40 * 256 * 3 * 512 * 2048


def test_what_was_asked_for_is_planned_or_refused_with_its_sum() -> None:
    choice = choose(mac(64), CATALOGUE, Wishes("qwen3.6-35b-a3b/mlx-8bit"))
    assert (choice.variant, choice.engine) == ("mlx-8bit", "mlx")
    small = choose(mac(16), CATALOGUE, Wishes("qwen3.6-35b-a3b"))
    assert small.plan is None and "weights 18.2 GiB" in small.tried[0].reason
    assert choose(pc(64), CATALOGUE, Wishes(n_ctx=131_072)).plan is not None
    with pytest.raises(ValueError, match="the catalogue has no 'gpt'"):
        choose(mac(16), CATALOGUE, Wishes("gpt"))


def test_a_full_disk_is_a_reason() -> None:
    choice = choose(MACHINES["PC 64 GB, disk full"], CATALOGUE)
    assert "do not fit on the disk: 3.0 GB are free" in choice.tried[0].reason


def test_a_report_survives_its_json() -> None:
    for report in MACHINES.values():
        assert from_json(json.loads(json.dumps(report.as_json()))) == report
    with pytest.raises(TypeError):
        from_json({**MACHINES["PC 8 GB"].as_json(), "colour": "red"})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda m: m.update(colour="red"), "unknown field colour"),
        (lambda m: m.pop("licence"), "licence is missing"),
        (lambda m: m.update(context="long"), "context must be int"),
        (lambda m: m["variants"][0].update(revision="main"), "revision is no commit"),
        (lambda m: m["variants"][0].update(repository="../x/y"), "repository is no owner/name"),
        (lambda m: m["variants"].append(m["variants"][0]), "stands twice"),
    ],
)
def test_an_entry_that_is_not_understood_is_an_error(change: object, where: str) -> None:
    from inference.models.entries import CATALOGUE as FILE

    values = json.loads(FILE.read_bytes())
    change(values["models"][0])  # type: ignore[operator]
    with pytest.raises(BadCatalogue, match=where):
        parse(values)


def test_nothing_is_called_verified_that_nobody_compared() -> None:
    for model in CATALOGUE.models:
        for variant in model.variants:
            known = variant.revision is not None and all(file.sha256 for file in variant.files)
            assert (variant.verified is None) or known
            assert variant.verified or variant.trust.startswith("not verified against the hub")


def test_power_is_read_where_the_system_says_it(tmp_path: Path) -> None:
    supply = tmp_path / "sys/class/power_supply"
    for name, files in {
        "BAT0": {"type": "Battery", "status": "Discharging", "capacity": "42"},
        "AC": {"type": "Mains", "online": "0"},
        "mouse": {"type": "Battery", "scope": "Device", "status": "Discharging", "capacity": "5"},
    }.items():
        (supply / name).mkdir(parents=True)
        for file, text in files.items():
            (supply / name / file).write_text(text + "\n")
    assert power(tmp_path, "linux") == Power("battery", 42)
    (supply / "AC" / "online").write_text("1\n")
    assert power(tmp_path, "linux") == Power("mains", 42)
    assert power(tmp_path / "nothing", "linux") == Power("unknown")
    said = "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=1)\t81%; discharging; 5:10 remaining\n"
    assert of_pmset(said) == Power("battery", 81)


def test_a_gpu_that_is_too_small_is_said() -> None:
    notes = choose(MACHINES["PC 32 GB, 8 GB CUDA"], CATALOGUE).notes
    assert any("too small" in note for note in notes)
    assert any("--n-cpu-moe" in note and "not supported by this daemon" in note for note in notes)
    on_battery = replace(mac(64), power=Power("battery", 50))
    assert "on battery" in choose(on_battery, CATALOGUE).notes


@pytest.mark.parametrize(("vram", "n_layers"), [(8, 32), (12, 23), (16, 14)])
def test_experts_beside_a_small_gpu(vram: int, n_layers: int) -> None:
    """As few as the GPU needs: the sum is in the golden file."""
    found = CATALOGUE.find("qwen3.6-35b-a3b/gguf-q4_k_m")
    assert found is not None
    model, variant = found
    assert variant is not None
    beside = offload(pc(64, vram).machine, model, sizes_of(model, variant), None, MAX_SEQUENCES)
    assert beside is not None and beside.plan.on_gpu
    assert beside.n_layers == n_layers
    assert beside.moved_bytes + beside.plan.weight_bytes == variant.n_bytes


def test_nothing_is_moved_where_nothing_can_be() -> None:
    dense, moe = CATALOGUE.find("qwen2.5-coder-7b"), CATALOGUE.find("qwen3.6-35b-a3b")
    assert dense is not None and moe is not None
    for report, model in ((pc(64, 8), dense[0]), (pc(64), moe[0]), (mac(64), moe[0]), (pc(16, 8), moe[0])):
        sizes = sizes_of(model, model.variants[-1])
        assert offload(report.machine, model, sizes, None, MAX_SEQUENCES) is None
