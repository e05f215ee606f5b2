"""What is known of a model beside its weights: where they lie here, and when they came out. Loads nothing."""

from dataclasses import dataclass

from inference.backends.base import EngineName
from inference.errors import EngineError
from inference.models.catalogue import EMBEDDED, resolve
from inference.models.entries import load

EMBEDDED_TRAINED = "2026-11-26"  # the day of its last leg: see embedded/README.md


@dataclass(frozen=True, slots=True)
class Facts:
    """path: of the file or folder; None: not on this machine. gguf: the same for llama.cpp, whatever the engine.

    released: a day; None: not known. source: who says so.
    """

    model: str
    engine: EngineName
    path: str | None
    gguf: str | None
    released: str | None
    source: str


def facts(model: str, engine: EngineName) -> Facts:
    """Never fails: of a model that is elsewhere, what its name tells."""
    return Facts(model, engine, _path(model, engine), _path(model, "llama"), *released_of(model))


def _path(model: str, engine: EngineName) -> str | None:
    try:
        return str(resolve(model, engine).path)
    except EngineError:
        return None


def released_of(name: str) -> tuple[str | None, str]:
    """By the name alone, of a model, a file or a server's: a catalogue model's name must be in it."""
    if name == EMBEDDED:
        return EMBEDDED_TRAINED, "the day of its training"
    plain = name.lower().replace("_", "-")
    found = [model for model in load().models if model.name in plain]
    if not found:
        return None, "the catalogue does not know it"
    best = max(found, key=lambda model: len(model.name))
    return best.released, f"the catalogue on {best.title}, as third parties report it" if best.released else (
        f"the catalogue has no day for {best.title}"
    )
