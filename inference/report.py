"""What a machine is, in one frozen report: memory, GPUs, cores, power, disk. A plan is made from it and nothing else.

The types, and their JSON. Asks no system: `models.survey` does. Bytes are bytes, not the units of an advertisement.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from inference.memory import Gpu, Machine
from inference.power import Power


@dataclass(frozen=True, slots=True)
class Report:
    """`wired_limit_bytes`: what macOS was told that GPUs may wire, 0: its own default, None: not asked.
    `engines`: the packages that are installed here. `notes`: what could not be found out, for people."""

    system: str  # as sys.platform has it
    arch: str
    total_bytes: int
    available_bytes: int | None  # without pushing others out; None: unknown
    is_unified: bool  # the GPU uses the machine's memory
    wired_limit_bytes: int | None
    gpu: Gpu | None  # all together, as the engine would use them
    n_cores: int
    power: Power
    free_disk_bytes: int  # where models are put
    engines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def machine(self) -> Machine:
        """What the memory plan wants to know."""
        return Machine(self.total_bytes, self.available_bytes, self.gpu)

    @property
    def default_engine(self) -> str:
        """MLX where it has Metal, llama.cpp everywhere else."""
        return "mlx" if self.system == "darwin" and self.arch == "arm64" else "llama"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def from_json(values: Mapping[str, Any]) -> Report:
    """A recorded report. Raises TypeError where a field is missing or unknown."""
    gpu, power = values["gpu"], values["power"]
    rest: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    rest |= {"gpu": Gpu(**gpu) if gpu else None, "power": Power(**power)}
    return Report(**rest)
