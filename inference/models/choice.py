"""(machine, catalogue, wishes) -> which model in which quantisation, with the arithmetic; or a reasoned no. Pure.

The catalogue's order is the order of preference. What does not fit is said with its sum, so that a person sees by how
much. A GPU of its own that is too small for the weights falls back to the processors: `offload` says what keeping
experts beside it would take, which this daemon does not do.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inference import memory
from inference.backends.base import EngineSettings
from inference.memory import MemoryPlan, ModelSizes, Refusal, size
from inference.models.entries import Catalogue, Model, Variant
from inference.models.offload import Offload, offload
from inference.models.sizes import of_entry
from inference.report import Report
from inference.runner import CHUNK

MAX_SEQUENCES = 8
_PACKAGES = {"llama": "cyllama", "mlx": "mlx-lm"}
_DISK_SPARE_BYTES = 2 << 30  # a disk that a download fills to the brim is no use to anybody


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked for; None: what suits the machine. `model`: MODEL or MODEL/VARIANT of the catalogue."""

    model: str | None = None
    engine: str | None = None
    n_ctx: int | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A variant and what came of it."""

    model: str
    variant: str
    reason: str  # "" where it fits


@dataclass(frozen=True, slots=True)
class Choice:
    """What to run. `plan` None: nothing of the catalogue fits, the embedded model remains. `notes`: for people."""

    model: str | None
    variant: str | None
    engine: str
    n_bytes: int
    trust: str
    plan: MemoryPlan | None
    tried: tuple[Tried, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> tuple[str, ...]:
        """For a person."""
        head = (
            f"{self.model}/{self.variant} on {self.engine}, context {self.plan.n_ctx:,} tokens; {self.plan.line}"
            if self.plan is not None
            else f"no model of the catalogue fits; the embedded one runs on {self.engine}"
        )
        missed = [f"not {each.model}/{each.variant}: {each.reason}" for each in self.tried if each.reason]
        about = [f"{self.n_bytes / 1e9:.1f} GB to fetch; {self.trust}"] if self.plan is not None else []
        return (head, *about, *missed, *self.notes)


def choose(report: Report, catalogue: Catalogue, wishes: Wishes | None = None) -> Choice:
    """The first that fits. Raises ValueError for a name that the catalogue does not have."""
    wishes = wishes or Wishes()
    tried: list[Tried] = []
    for model, variant in _wanted(catalogue, wishes, report):
        found = fits(report, model, variant, wishes.n_ctx)
        if isinstance(found, MemoryPlan):
            tried.append(Tried(model.name, variant.name, ""))
            beside = offload(report.machine, model, sizes_of(model, variant), wishes.n_ctx, MAX_SEQUENCES)
            notes = _notes(report, variant.engine, found, beside)
            return Choice(
                model.name, variant.name, variant.engine, variant.n_bytes, variant.trust, found, tuple(tried), notes
            )
        tried.append(Tried(model.name, variant.name, found))
    return Choice(None, None, wishes.engine or report.default_engine, 0, "", None, tuple(tried), report.notes)


def _wanted(catalogue: Catalogue, wishes: Wishes, report: Report) -> Sequence[tuple[Model, Variant]]:
    """Those of the platform's engine first. llama.cpp runs everywhere, and the smaller models are there for it only."""
    first = wishes.engine or report.default_engine
    engines = (first,) if wishes.engine is not None or first == "llama" else (first, "llama")
    models: Sequence[Model] = catalogue.models
    if wishes.model is not None:
        found = catalogue.find(wishes.model)
        if found is None:
            raise ValueError(
                f"the catalogue has no {wishes.model!r}; it has: {', '.join(m.name for m in catalogue.models)}"
            )
        model, variant = found
        if variant is not None:
            return [(model, variant)]
        models = (model,)
    return [(m, v) for engine in engines for m in models for v in m.variants if v.engine == engine]


def fits(report: Report, model: Model, variant: Variant, n_ctx: int | None) -> MemoryPlan | str:
    """The plan, or why there is none."""
    if report.free_disk_bytes < variant.n_bytes + _DISK_SPARE_BYTES:
        return f"{variant.n_bytes / 1e9:.1f} GB do not fit on the disk: {report.free_disk_bytes / 1e9:.1f} GB are free"
    found = memory.plan(report.machine, sizes_of(model, variant), n_ctx, MAX_SEQUENCES)
    return found.reason if isinstance(found, Refusal) else found


def sizes_of(model: Model, variant: Variant) -> ModelSizes:
    """From the published shape, before anything is fetched; the files' headers are asked again when it is loaded."""
    settings = EngineSettings(chunk=CHUNK)
    return of_entry(model.shape, model.context, variant.n_bytes, variant.engine, settings)


def _notes(report: Report, engine: str, plan: MemoryPlan, beside: Offload | None) -> tuple[str, ...]:
    found = list(report.notes)
    if engine != report.default_engine:
        found.append(f"{report.default_engine} has nothing that fits: this one runs on {engine}")
    if report.engines and engine not in report.engines:
        found.append(f"the package of the {engine} engine is not installed: pip install {_PACKAGES[engine]}")
    if report.gpu is not None and not plan.on_gpu:
        found.append(f"{report.gpu.name} is too small for it: the processors run it")
        if beside is not None:
            found.append(
                f"with the experts of {beside.n_layers} of {beside.of_layers} layers, {size(beside.moved_bytes)}, in "
                f"the machine's memory the GPU would hold the rest ({beside.plan.line}): not supported by this daemon, "
                f"a llama-server of yours can: --n-cpu-moe {beside.n_layers}"
            )
    if report.power.source == "battery":
        found.append("on battery")
    return tuple(found)
