"""The catalogue: which models there are, what they are made of and where they lie. Data in `catalogue.json`.

An entry that is not understood to its last field is an error: a misspelt checksum must not mean "no checksum".
Knows no network and no machine. What nobody has compared with the hub says so (`Variant.verified` is None).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

CATALOGUE = Path(__file__).parent / "catalogue.json"
SizeFrom = Literal["published", "computed", "reported", "estimated", "hub"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_FILE = re.compile(r"[\w][\w.-]*\.(gguf|safetensors|json|jinja)")


class BadCatalogue(ValueError):
    """The data is not what this module understands; the message says where."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a variant. Size and checksum as the hub has them; None: not verified."""

    name: str
    n_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Variant:
    """One quantisation. `files` empty: all safetensors of the repository. `bits` per weight, all told."""

    name: str
    engine: Literal["mlx", "llama"]
    bits: float
    repository: str
    revision: str | None
    files: tuple[File, ...]
    n_bytes: int
    n_bytes_from: SizeFrom
    verified: str | None

    @property
    def trust(self) -> str:
        """For people: how much of this is known."""
        if self.verified is None:
            return f"not verified against the hub; its size is {self.n_bytes_from}"
        return f"verified {self.verified}, revision {self.revision}"


@dataclass(frozen=True, slots=True)
class Linear:
    """The layers with a recurrent state."""

    num_value_heads: int
    num_key_heads: int
    head_dim: int
    conv_kernel: int


@dataclass(frozen=True, slots=True)
class Experts:
    """Routed experts of each layer."""

    num: int
    per_token: int
    intermediate: int


@dataclass(frozen=True, slots=True)
class Shape:
    """What the arithmetic of memory needs of `config.json`; its names. An interval of 1: every layer attends."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    full_attention_interval: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    linear: Linear | None
    experts: Experts | None

    @property
    def expert_parameters(self) -> int:
        """Of one layer: gate, up and down projection of each expert."""
        experts = self.experts
        return 3 * experts.num * experts.intermediate * self.hidden_size if experts else 0


@dataclass(frozen=True, slots=True)
class Sampler:
    """How tokens are drawn, unless a request says otherwise."""

    temperature: float
    top_p: float
    top_k: int


@dataclass(frozen=True, slots=True)
class Samplers:
    """`chat` None: as the publisher's generation_config.json has it, which nobody has read yet."""

    completion: Sampler
    chat: Sampler | None


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `layout` is the prompt's default; `tokens` are the control tokens that it needs, each a single id.

    released: the day when its weights came out, as 2026-04-16; None: not known.
    """

    name: str
    title: str
    publisher: str
    released: str | None
    licence: str
    architecture: str
    context: int
    parameters: int
    active_parameters: int
    note: str
    layout: Literal["joint", "suffix-first", "prefix-first"]
    tokens: Mapping[str, int]
    sampler: Samplers
    shape: Shape
    variants: tuple[Variant, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Models in the order of preference, and each model's variants in theirs."""

    about: str
    models: tuple[Model, ...]

    def find(self, name: str) -> tuple[Model, Variant | None] | None:
        """`MODEL` or `MODEL/VARIANT`."""
        model_name, _, variant_name = name.lower().partition("/")
        for model in self.models:
            if model.name == model_name:
                variant = next((each for each in model.variants if each.name == variant_name), None)
                return None if variant_name and variant is None else (model, variant)
        return None


def load(path: Path = CATALOGUE) -> Catalogue:
    """Raises BadCatalogue."""
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:
        raise BadCatalogue(f"{path.name} is not JSON: {error}") from error
    return parse(values)


def parse(values: object) -> Catalogue:
    """Raises BadCatalogue with the path of the field at fault."""
    found: Catalogue = _read(Catalogue, values, "catalogue")
    _check_names([model.name for model in found.models], "models")
    for model in found.models:
        if model.released is not None and not _DAY.fullmatch(model.released):
            raise BadCatalogue(f"{model.name}.released is no day such as 2026-04-16")
        _check_names([variant.name for variant in model.variants], model.name)
        for variant in model.variants:
            _check(variant, f"{model.name}/{variant.name}")
    return found


def _check_names(names: list[str], where: str) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if not names or twice:
        raise BadCatalogue(f"{where}: " + (f"{twice[0]} stands twice" if twice else "nothing in it"))


def _check(variant: Variant, where: str) -> None:
    """What a type can not say. Names come from a hub and become paths."""
    if not _REPOSITORY.fullmatch(variant.repository):
        raise BadCatalogue(f"{where}.repository is no owner/name")
    if variant.revision is not None and not _COMMIT.fullmatch(variant.revision):
        raise BadCatalogue(f"{where}.revision is no commit: a branch can change under us")
    for file in variant.files:
        if not _FILE.fullmatch(file.name):
            raise BadCatalogue(f"{where}.files: {file.name!r} is not a name of a model file")
        if file.sha256 is not None and not _SHA256.fullmatch(file.sha256):
            raise BadCatalogue(f"{where}.files: the sha256 of {file.name} is none")
    if variant.engine == "llama" and not variant.files:
        raise BadCatalogue(f"{where}.files must name the .gguf")


def _read(kind: Any, value: object, where: str) -> Any:
    """`value` as `kind`: a dataclass, a tuple, a mapping, a union with None, a literal, or a plain type."""
    if isinstance(kind, UnionType):
        inner = next(each for each in get_args(kind) if each is not NoneType)
        return None if value is None else _read(inner, value, where)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise BadCatalogue(f"{where} must be one of {', '.join(get_args(kind))}")
        return value
    if get_origin(kind) is tuple and isinstance(value, list):
        inner = get_args(kind)[0]
        return tuple(_read(inner, each, f"{where}[{i}]") for i, each in enumerate(value))
    if get_origin(kind) is Mapping and isinstance(value, dict):
        inner = get_args(kind)[1]
        return {key: _read(inner, each, f"{where}.{key}") for key, each in value.items()}
    if hasattr(kind, "__dataclass_fields__") and isinstance(value, dict):
        return _read_fields(kind, value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(kind, type) or type(value) is not kind or (kind in (int, float) and value < 0):  # type: ignore[operator]
        raise BadCatalogue(f"{where} must be {getattr(kind, '__name__', kind)}")
    return value


def _read_fields(kind: Any, value: dict[str, object], where: str) -> Any:
    names, hints = [each.name for each in fields(kind)], get_type_hints(kind)
    unknown = sorted(set(value) - set(names))
    missing = [name for name in names if name not in value]
    if unknown or missing:
        raise BadCatalogue(f"{where}: " + (f"unknown field {unknown[0]}" if unknown else f"{missing[0]} is missing"))
    return kind(**{name: _read(hints[name], value[name], f"{where}.{name}") for name in names})
