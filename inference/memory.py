"""How a machine's memory is divided before a model is loaded, or why it does not do: numbers in, a plan out.

The parts are the weights, the attention rows, the recurrent snapshots and a headroom: the state of each open sequence,
the working memory of a pass, a copy of one sequence, the process itself. They share the machine's memory, or what of
it a GPU may use. A GPU with memory of its own holds the weights, the rows, the states and the working memory, or
nothing: half a model is not planned for.

Knows no engine, no file and no system: `hardware` and the engines say what there is, `models.sizes` what is needed.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

GIB = 1 << 30
MIB = 1 << 20

DEFAULT_CTX = 131_072  # tokens; the real model takes twice as many, at twice the memory
USUAL_CTX = 32_768  # tokens; what prompts are made for: a second such prompt comes before a longer one
UNIT = 4096  # rows; memory is handed out in units of rows with the snapshots that belong to them
MIN_SNAPSHOTS = 4  # the repository's context, the file, the log of edits, the prompt's end
UNIT_SNAPSHOTS = 8  # at most, per unit: of a small model they cost nothing, and more are never kept
SYSTEM_BYTES = 4 * GIB  # for the system and the editor; of a small machine a quarter
GPU_CONTEXT_BYTES = 512 * MIB  # what a driver takes of a GPU's own memory for a process

LimitedBy = Literal["model", "asked", "default", "memory"]
_WHY: dict[LimitedBy, str] = {
    "model": "the model's own limit",
    "asked": "as asked with --ctx",
    "default": "the default: --ctx asks for more",
    "memory": "what the memory holds",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """What the engine may use of a GPU. `is_shared`: the machine's own memory, as on Apple Silicon.
    `kind`: metal, cuda, rocm, vulkan, sycl; empty where the engine does not say."""

    name: str
    free_bytes: int
    is_shared: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """`total_bytes` of the machine or its container; `available_bytes` without pushing others out, None: unknown."""

    total_bytes: int
    available_bytes: int | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What a model takes in one engine. Known from its files' headers."""

    n_ctx: int  # the longest context it was made for, in tokens
    weight_bytes: int
    row_bytes: int  # attention rows, per token
    snapshot_bytes: int  # one recurrent state
    work_bytes: int  # working memory of a pass, whatever the context
    work_ctx_bytes: int  # and per token of context
    process_bytes: int  # Python, the tokenizer, tables for grammars


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Lengths in tokens. `line` is the arithmetic for people."""

    n_ctx: int
    n_cells: int
    n_snapshots: int
    weight_bytes: int
    rows_bytes: int
    snapshots_bytes: int
    work_bytes: int  # a part of the headroom: what one pass takes at this context
    headroom_bytes: int
    away_bytes: int  # what idle sequences may take outside the engine's rows: of the headroom, and what is left
    room_bytes: int  # what there is for all parts, in both memories where there are two
    on_gpu: bool
    limited_by: LimitedBy
    line: str

    @property
    def why(self) -> str:
        """Why the context is no longer."""
        return _WHY[self.limited_by]

    @property
    def cache_bytes(self) -> int:
        return self.rows_bytes + self.snapshots_bytes

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + self.cache_bytes + self.headroom_bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no plan, and what there is room for: the longest context; with the shortest, the largest model."""

    reason: str
    n_ctx: int
    weight_bytes: int


def plan(machine: Machine, sizes: ModelSizes, asked: int | None, max_sequences: int) -> MemoryPlan | Refusal:
    """The longest context up to `asked`, which must fit, or up to the default, which may shrink; then the cache."""
    want = _Want(sizes, asked, max_sequences)
    rooms = list(_rooms(machine))
    # A GPU's own memory is worth a shorter context than the default, but not one too short to be of use.
    tries = [(room, 1 if room.beside is None else USUAL_CTX) for room in rooms] + [(rooms[0], 1)]
    plans = (_fill(room, want, least) for room, least in tries)
    return next((found for found in plans if found is not None), None) or _refusal(machine, rooms, want)


def size(n_bytes: int) -> str:
    return f"{n_bytes / GIB:.1f} GiB" if n_bytes >= GIB else f"{n_bytes / MIB:.0f} MiB"


@dataclass(frozen=True, slots=True)
class _Room:
    """Memory to divide, and how to say so. `beside`: for snapshots and process, where a GPU has memory of its own."""

    near: int
    what: str
    beside: int | None = None
    on_gpu: bool = False


@dataclass(frozen=True, slots=True)
class _Want:
    """A model and how it is to be used."""

    sizes: ModelSizes
    asked: int | None
    max_sequences: int

    @property
    def limit(self) -> int:
        return min(self.sizes.n_ctx, self.asked or DEFAULT_CTX)

    def least_units(self, least: int) -> int:
        return -(-(self.limit if self.asked else min(self.limit, least)) // UNIT)

    def n_ctx(self, rows: int) -> int:
        """First one prompt of the usual length, then a second one beside it, then both grow."""
        return self.limit if self.asked else min(self.limit, max(min(rows, USUAL_CTX), rows // 2))

    def limited_by(self, n_ctx: int) -> LimitedBy:
        if n_ctx < self.limit:
            return "memory"
        if n_ctx == self.sizes.n_ctx:
            return "model"
        return "asked" if self.asked else "default"


@dataclass(frozen=True, slots=True)
class _Share:
    """Parts that lie in one memory."""

    room: int
    what: str
    parts: tuple[tuple[str, int], ...]

    @property
    def n_bytes(self) -> int:
        return sum(n for _, n in self.parts)

    @property
    def line(self) -> str:
        sum_of = " + ".join(f"{name} {size(n)}" for name, n in self.parts)
        return f"{sum_of} = {size(self.n_bytes)} of {size(max(self.room, 0))} ({self.what})"


@dataclass(frozen=True, slots=True)
class _Division:
    """A room with `rows // UNIT` units in it."""

    plan: MemoryPlan
    shares: tuple[_Share, ...]

    @property
    def fits(self) -> bool:
        return all(share.n_bytes <= share.room for share in self.shares)


def _rooms(machine: Machine) -> Iterator[_Room]:
    """Best first."""
    own, gpu = _own_room(machine), machine.gpu
    if gpu is not None and gpu.is_shared:
        what = own.what if own.near < gpu.free_bytes else f"what {gpu.name} may use"
        yield _Room(min(own.near, gpu.free_bytes), what, on_gpu=True)
        return
    if gpu is not None:
        yield _Room(gpu.free_bytes - GPU_CONTEXT_BYTES, f"what is free on {gpu.name}", own.near, on_gpu=True)
    yield own


def _own_room(machine: Machine) -> _Room:
    system = min(SYSTEM_BYTES, machine.total_bytes // 4)
    of_all, of_free = machine.total_bytes - system, None
    if machine.available_bytes is not None:
        of_free = machine.available_bytes - system // 4  # the others go on growing
    if of_free is not None and of_free < of_all:
        return _Room(of_free, f"what other programs leave of {size(machine.total_bytes)} now")
    return _Room(of_all, f"{size(machine.total_bytes)} less what the system needs")


def _fill(room: _Room, want: _Want, least: int) -> MemoryPlan | None:
    """As many units as the room holds, for at least `least` tokens of context."""
    most = -(-2 * want.limit // UNIT)
    n_units = _largest(want.least_units(least), most, lambda n: _divide(room, want, n).fits)
    return _divide(room, want, n_units).plan if n_units else None


def _divide(room: _Room, want: _Want, n_units: int) -> _Division:
    sizes, n_cells = want.sizes, n_units * UNIT
    n_ctx = want.n_ctx(n_cells)
    rows = n_cells * sizes.row_bytes
    per_unit = UNIT * sizes.row_bytes // 2 // max(1, sizes.snapshot_bytes)  # half of what the rows take
    n_snapshots = max(MIN_SNAPSHOTS, n_units * min(max(1, per_unit), UNIT_SNAPSHOTS))
    snapshots = n_snapshots * sizes.snapshot_bytes
    work = sizes.work_bytes + n_ctx * sizes.work_ctx_bytes
    states = (want.max_sequences + 1) * sizes.snapshot_bytes  # the spare one: while a draft is tried
    copy = n_ctx * sizes.row_bytes + sizes.snapshot_bytes  # one sequence, while it is written to disk or moved
    model = (("weights", sizes.weight_bytes), (f"rows for {n_cells // 1024}k", rows))
    kept = ((f"{n_snapshots} snapshots", snapshots),) if snapshots else ()
    if room.beside is None:
        headroom = ("headroom", work + states + copy + sizes.process_bytes)
        shares: tuple[_Share, ...] = (_Share(room.near, room.what, (*model, *kept, headroom)),)
    else:
        near = _Share(room.near, room.what, (*model, ("headroom", work + states)))
        shares = (near, _Share(room.beside, "beside the GPU", (*kept, ("headroom", copy + sizes.process_bytes))))
    left = max(0, shares[-1].room - shares[-1].n_bytes)
    plan = MemoryPlan(
        n_ctx=n_ctx,
        n_cells=n_cells,
        n_snapshots=n_snapshots,
        weight_bytes=sizes.weight_bytes,
        rows_bytes=rows,
        snapshots_bytes=snapshots,
        work_bytes=work,
        headroom_bytes=work + states + copy + sizes.process_bytes,
        away_bytes=min(copy + left, rows + states),
        room_bytes=sum(share.room for share in shares),
        on_gpu=room.on_gpu,
        limited_by=want.limited_by(n_ctx),
        line="; ".join(share.line for share in shares),
    )
    return _Division(plan, shares)


def _refusal(machine: Machine, rooms: list[_Room], want: _Want) -> Refusal:
    """Said of the room that comes nearest to holding it."""
    n_ctx = max(_longest(room, want) for room in rooms) if want.asked else 0
    free = replace(want, asked=None)
    spare = {room: _spare(room, _divide(room, free, free.least_units(1))) for room in rooms}
    room = max(rooms, key=lambda room: spare[room])
    weight_bytes = max(0, spare[room] + want.sizes.weight_bytes)
    line = _divide(room, want, want.least_units(1)).plan.line
    if n_ctx:
        hint = f"a context of {n_ctx} tokens fits: --ctx {n_ctx}"
    elif weight_bytes:
        hint = f"weights of up to {size(weight_bytes)} fit: take a smaller model or quantisation"
    else:
        hint = "no model fits"
    if machine.available_bytes is not None:
        emptied = plan(replace(machine, available_bytes=None), want.sizes, want.asked, want.max_sequences)
        hint += ", or close other programs" if isinstance(emptied, MemoryPlan) else ""
    return Refusal(f"the model does not fit in memory: {line}; {hint}", n_ctx, weight_bytes)


def _longest(room: _Room, want: _Want) -> int:
    """The longest context in whole units that one could have asked for; 0: none."""

    def fits(n_units: int) -> bool:
        return _divide(room, replace(want, asked=n_units * UNIT), n_units).fits

    return _largest(1, want.limit // UNIT, fits) * UNIT


def _largest(first: int, last: int, fits: Callable[[int], bool]) -> int:
    """The largest number of a range that fits, where what is smaller fits too; 0: not even the first."""
    n_fitting = bisect_left(range(first, last + 1), True, key=lambda n: not fits(n))
    return first + n_fitting - 1 if n_fitting else 0


def _spare(room: _Room, division: _Division) -> int:
    """Bytes that the weights could be larger; negative: must be smaller. Far below where the rest does not fit."""
    near, *beside = division.shares
    if any(share.n_bytes > share.room for share in beside):
        return -division.plan.total_bytes
    return near.room - near.n_bytes
