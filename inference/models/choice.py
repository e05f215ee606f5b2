"""(machine, catalogue, wishes) -> which model in which quantisation, with the arithmetic; or a reasoned no. Pure.

The catalogue's order is the order of preference. What does not fit is said with its sum, so that a person sees by how
much. A GPU of its own that is too small for the weights falls back to the processors: keeping only experts beside it
is what llama.cpp could do and this daemon does not yet, which the plan says.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from inference import memory
from inference.backends.base import EngineSettings
from inference.memory import MemoryPlan, ModelSizes, Refusal
from inference.models.entries import Catalogue, Model, Shape, Variant
from inference.models.sizes import PYTHON_BYTES, VOCABULARY_BYTES, work_bytes
from inference.report import Report
from inference.runner import CHUNK

_HALF, _F32 = 2, 4  # bytes
MAX_SEQUENCES = 8
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
    engine = wishes.engine or report.default_engine
    tried: list[Tried] = []
    for model, variant in _wanted(catalogue, wishes, engine):
        found = _fits(report, model, variant, wishes.n_ctx)
        if isinstance(found, MemoryPlan):
            tried.append(Tried(model.name, variant.name, ""))
            notes = _notes(report, found)
            return Choice(model.name, variant.name, engine, variant.n_bytes, variant.trust, found, tuple(tried), notes)
        tried.append(Tried(model.name, variant.name, found))
    return Choice(None, None, engine, 0, "", None, tuple(tried), report.notes)


def _wanted(catalogue: Catalogue, wishes: Wishes, engine: str) -> Sequence[tuple[Model, Variant]]:
    if wishes.model is None:
        return [(m, v) for m in catalogue.models for v in m.variants if v.engine == engine]
    found = catalogue.find(wishes.model)
    if found is None:
        raise ValueError(
            f"the catalogue has no {wishes.model!r}; it has: {', '.join(m.name for m in catalogue.models)}"
        )
    model, variant = found
    return [(model, each) for each in ((variant,) if variant else model.variants) if variant or each.engine == engine]


def _fits(report: Report, model: Model, variant: Variant, n_ctx: int | None) -> MemoryPlan | str:
    if report.free_disk_bytes < variant.n_bytes + _DISK_SPARE_BYTES:
        return f"{variant.n_bytes / 1e9:.1f} GB do not fit on the disk: {report.free_disk_bytes / 1e9:.1f} GB are free"
    found = memory.plan(report.machine, sizes_of(model, variant), n_ctx, MAX_SEQUENCES)
    return found.reason if isinstance(found, Refusal) else found


def sizes_of(model: Model, variant: Variant) -> ModelSizes:
    """From the published shape, before anything is fetched; the files' headers are asked again when it is loaded."""
    shape, settings = model.shape, EngineSettings(chunk=CHUNK)
    # As in `sizes`: MLX has no fused kernel for prefill with heads of 256, llama.cpp needs nothing worth counting.
    per_ctx = settings.chunk * (2 * shape.num_attention_heads * _HALF + 1) if variant.engine == "mlx" else 0
    return ModelSizes(
        n_ctx=model.context,
        weight_bytes=variant.n_bytes,
        row_bytes=row_bytes(shape),
        snapshot_bytes=snapshot_bytes(shape),
        work_bytes=work_bytes(settings, shape.vocab_size, shape.hidden_size),
        work_ctx_bytes=per_ctx,
        process_bytes=PYTHON_BYTES + shape.vocab_size * VOCABULARY_BYTES,
    )


def row_bytes(shape: Shape) -> int:
    """Keys and values of one token, in half precision, in the layers that attend."""
    n_layers = shape.num_hidden_layers // shape.full_attention_interval
    return 2 * n_layers * shape.num_key_value_heads * shape.head_dim * _HALF


def snapshot_bytes(shape: Shape) -> int:
    """One recurrent state, in float32: a square per value head, and the convolution's last inputs."""
    linear = shape.linear
    if linear is None:
        return 0
    n_layers = shape.num_hidden_layers - shape.num_hidden_layers // shape.full_attention_interval
    state = linear.num_value_heads * linear.head_dim**2
    taps = (linear.num_value_heads + 2 * linear.num_key_heads) * linear.head_dim * (linear.conv_kernel - 1)
    return n_layers * (state + taps) * _F32


def _notes(report: Report, plan: MemoryPlan) -> tuple[str, ...]:
    found = list(report.notes)
    if report.gpu is not None and not plan.on_gpu:
        found.append(
            f"{report.gpu.name} is too small for it: the processors run it. llama.cpp could keep the experts beside "
            "such a GPU; this daemon does not do that yet"
        )
    if report.power.source == "battery":
        found.append("on battery")
    return tuple(found)
