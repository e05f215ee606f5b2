"""A setup in this process, against a hub of our own, with the embedded model's files as what is published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inference.models.choice import Wishes
from inference.models.entries import Catalogue, load
from inference.models.fetch.hub import Hub, endpoint
from inference.models.survey import free_disk
from inference.report import Report
from inference.setup.aim import target
from inference.setup.bring import Fetching, fetch
from inference.setup.ready import Ready
from tests.hub import FakeHub
from tests.inference.models.machines import pc
from tests.inference.weights import EMBEDDED

NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "model.safetensors")
REPOSITORY = "some/embedded"


def published(*more: str) -> dict[str, bytes]:
    """A repository as publishers have them, with things that must not be fetched."""
    files = {name: (EMBEDDED / name).read_bytes() for name in (*NAMES, "model.gguf", *more)}
    return {**files, "modeling.py": b"import os; os.system('true')", "README.md": b"# A model"}


SHAPE = {
    "vocab_size": 4096, "hidden_size": 192, "num_hidden_layers": 4, "full_attention_interval": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
    "linear": {"num_value_heads": 2, "num_key_heads": 2, "head_dim": 64, "conv_kernel": 4},
    "experts": {"num": 8, "per_token": 2, "intermediate": 128},
}  # fmt: skip


def variant(name: str, engine: str, *files: str, repository: str = REPOSITORY) -> dict[str, Any]:
    rows = [{"name": each, "n_bytes": None, "sha256": None} for each in files]
    about: dict[str, Any] = {"name": name, "engine": engine, "bits": 16.0, "repository": repository, "revision": None}
    return {**about, "files": rows, "n_bytes": 1, "n_bytes_from": "estimated", "verified": None}


@dataclass
class Run:
    """What was said and asked meanwhile."""

    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def __call__(
        self,
        hub: FakeHub,
        models: Path,
        wishes: Wishes,
        *,
        report: Report | None = None,
        catalogue: Catalogue | None = None,
        answer: bool = True,
        progress: Callable[[str, int], None] = lambda name, n: None,
    ) -> Ready | None:
        report = report or replace(pc(64), free_disk_bytes=free_disk(models), engines=("llama", "mlx"))

        def ask(question: str) -> bool:
            self.asked.append(question)
            return answer

        def connect() -> Hub:
            return Hub(endpoint(hub.url), self.allowed.append, 5.0)

        run = Fetching(
            models, report, hub.url, connect, self.said.append, ask, lambda total: progress, lambda seconds: None
        )
        return fetch(run, target(report, catalogue or load(), wishes, self.said.append))


def catalogue_of(hub: FakeHub, known: Mapping[str, str | None] | None = None, **changes: object) -> Catalogue:
    """The package's catalogue with one variant that lies on our hub."""
    whole = load()
    model = whole.models[-1]
    variant = replace(model.variants[0], repository=REPOSITORY, **changes)  # type: ignore[arg-type]
    return replace(whole, models=(replace(model, variants=(variant,)),))
