"""A model that is there: its headers are read, every key that its engine needs is looked at, and whether it fits."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from inference.backends.base import EngineName, EngineSettings
from inference.errors import EngineError
from inference.hardware import machine
from inference.memory import MemoryPlan
from inference.models import catalogue as local
from inference.models import gguf
from inference.models.choice import Wishes
from inference.models.entries import Catalogue
from inference.models.fetch import place
from inference.models.fetch.download import sha256_of
from inference.models.fetch.listing import FetchFailed, Wanted
from inference.report import Report
from inference.runner import CHUNK
from inference.setup.aim import Target
from inference.tokenizer import from_folder, from_gguf

USUAL_TOKENS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Ready:
    """A model in its place. `path` is what the settings name; `layout` what the catalogue expects of it; `notes`: what
    is other than the catalogue says."""

    engine: str
    path: str
    n_ctx: int | None
    layout: str | None
    tokens: dict[str, int]  # control tokens that are one id
    notes: tuple[str, ...]
    origin: str
    plan: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ready(aim: Target, folder: Path) -> Ready:
    """Raises FetchFailed where it can not be used here."""
    found, path = plan(aim, folder)
    model = aim.model
    found_ids = control_ids(path, aim.wanted.engine, model.tokens if model is not None else USUAL_TOKENS)
    return Ready(
        engine=aim.wanted.engine,
        path=str(path),
        n_ctx=aim.n_ctx,
        layout=model.layout if model is not None else None,
        tokens=found_ids,
        notes=tuple(_odd(model.tokens if model is not None else {}, found_ids)),
        origin=_origin(folder),
        plan=f"context {found.n_ctx:,} tokens; {found.line}",
    )


def control_ids(path: Path, engine: str, names: Iterable[str]) -> dict[str, int]:
    """Which of these control tokens are one token in this model, and its id. Raises FetchFailed."""
    try:
        tokenizer = from_folder(path) if engine == "mlx" else from_gguf(gguf.read_header(path).metadata)
    except EngineError as error:
        raise FetchFailed(error.message, "this model can not be used here: name another") from error
    ids = {name: tokenizer.encode(name, parse_special=True) for name in names}
    return {name: found[0] for name, found in ids.items() if len(found) == 1}


def _odd(known: Mapping[str, int], found: Mapping[str, int]) -> Iterator[str]:
    for name, token in known.items():
        if name not in found:
            yield f"{name} is not one token in this model"
        elif found[name] != token:
            yield f"{name} is token {found[name]}, and {token} in the catalogue"


def plan(aim: Target, folder: Path) -> tuple[MemoryPlan, Path]:
    """By the files' own headers, and the path that settings name. Raises FetchFailed."""
    engine: EngineName = "mlx" if aim.wanted.engine == "mlx" else "llama"
    path = folder
    if engine == "llama" and folder.is_dir():
        parts = sorted(folder.glob("*-00001-of-*.gguf")) or sorted(folder.glob("*.gguf"))
        if len(parts) != 1:
            raise FetchFailed(f"{folder} has {len(parts)} .gguf files", "name the file")
        path = parts[0]
    try:
        found = local.plan_of(local.resolve(str(path), engine), aim.n_ctx, EngineSettings(chunk=CHUNK), machine())
    except EngineError as error:
        raise FetchFailed(error.message, "this model can not be used here: name another") from error
    return found, path


def _origin(folder: Path) -> str:
    at = folder.name.rpartition("@")
    return f"revision {at[2]}" if at[0] else "files of your own"


def offline(path: Path, wishes: Wishes, catalogue: Catalogue, report: Report) -> Ready:
    """A model that is there: checked as one that was fetched. Nothing is copied."""
    if not path.exists():
        raise FetchFailed(f"{path} is not there", "name a folder of safetensors or a .gguf file")
    path = path.absolute()
    is_folder = (path / "config.json").is_file()
    prefers_mlx = report.default_engine == "mlx" or not any(path.glob("*.gguf"))
    engine = wishes.engine or ("mlx" if is_folder and prefers_mlx else "llama")
    found = catalogue.find(wishes.model) if wishes.model is not None else None
    if wishes.model is not None and (found is None or found[1] is None):
        raise FetchFailed(f"the catalogue has no {wishes.model!r}", "with --offline, MODEL/VARIANT says what it is")
    model, variant = found if found is not None else (None, None)
    for known in variant.files if variant is not None else ():
        _check_sum(path if path.is_file() else path / known.name, known.name, known.sha256)
    for problem in place.problems(path if path.is_dir() else path.parent, sums=True):
        raise FetchFailed(problem, "fetch it again: qwen-lsp setup")
    wanted = Wanted("", None, engine, None, path.name, variant)
    return ready(Target(wanted, model, wishes.n_ctx), path)


def _check_sum(path: Path, name: str, sha256: str | None) -> None:
    if path.name != name or not path.is_file():
        raise FetchFailed(f"{path} is not {name}, which the catalogue names", "leave --model out to take it as it is")
    if sha256 is not None and sha256_of(path) != sha256:
        raise FetchFailed(f"{path} has not the checksum that the catalogue knows", "it is cut off or another file")
