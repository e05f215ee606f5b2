"""What is to be fetched: what suits this machine, a name of the catalogue, or a repository of a hub. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from inference.models.choice import Wishes, choose
from inference.models.entries import Catalogue, Model
from inference.models.fetch.listing import FetchFailed, Wanted
from inference.report import Report

Say = Callable[[str], None]

INSTALL = {"llama": "pip install cyllama", "mlx": "pip install mlx-lm"}
_FORMATS = {"llama": "gguf", "mlx": "mlx"}


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be there in the end. `model` None: a repository that the catalogue does not know."""

    wanted: Wanted
    model: Model | None
    n_ctx: int | None


def target(report: Report, catalogue: Catalogue, wishes: Wishes, say: Say) -> Target:
    """What suits this machine, or what was wished for if it fits. Raises FetchFailed where nothing does."""
    if wishes.model is not None and catalogue.find(wishes.model) is None and wishes.model.count("/") in (1, 2):
        wanted = _repository(wishes.model, wishes.engine or report.default_engine)
        _check_installed(wanted.engine, report)
        return Target(wanted, None, wishes.n_ctx)
    try:
        choice = choose(report, catalogue, wishes)
    except ValueError as error:
        raise FetchFailed(str(error), "or name OWNER/NAME of the hub, or --offline PATH") from error
    for line in choice.lines():
        say(line)
    found = catalogue.find(f"{choice.model}/{choice.variant}") if choice.plan is not None else None
    if found is None or found[1] is None:
        raise FetchFailed("no model of the catalogue fits this machine", "a model elsewhere can serve it: remote.url")
    model, variant = found[0], found[1]
    _check_installed(variant.engine, report)
    wanted = Wanted(variant.repository, variant.revision, variant.engine, None, f"{model.name}-{variant.name}", variant)
    return Target(wanted, model, wishes.n_ctx)


def _check_installed(engine: str, report: Report) -> None:
    """Said before gigabytes are fetched that nothing here can load."""
    if engine not in report.engines:
        raise FetchFailed(f"the package of the {engine} engine is not installed", f"run `{INSTALL[engine]}`")


def _repository(name: str, engine: str) -> Wanted:
    """`OWNER/NAME`, or `OWNER/NAME/FILE.gguf`."""
    owner, repository, *file = name.split("/")
    gguf = file[0] if file else None
    if gguf is not None and not gguf.endswith(".gguf"):
        raise FetchFailed(f"{name} names no .gguf file", "OWNER/NAME/FILE.gguf")
    engine = "llama" if gguf is not None else engine
    folder = f"{owner}--{repository}-" + (gguf.removesuffix(".gguf") if gguf is not None else _FORMATS[engine])
    if not all(part.replace("-", "").replace("_", "").replace(".", "").isalnum() for part in (owner, repository)):
        raise FetchFailed(f"{name} is no name of a repository", "OWNER/NAME")
    return Wanted(f"{owner}/{repository}", None, engine, gguf, folder)
