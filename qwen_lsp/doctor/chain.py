"""The whole chain, link by link, with a remedy for each that is broken: rows of a table, run in order."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qwen_lsp.doctor import links
from qwen_lsp.errors import QwenError
from qwen_lsp.index.database import index_folder
from qwen_lsp.settings import user_file


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: what was found and, where it failed, what to do."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def line(self) -> str:
        """For a person."""
        mark = "ok  " if self.ok else "FAIL"
        return f"{mark}  {self.name}: {self.detail}" + ("" if self.ok else f"\n      {self.fix}")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Check:
    """`run` says what it found or raises Failed."""

    name: str
    run: Callable[[], str]
    fix: str


def examine(file: Path | None) -> Iterator[Outcome]:
    """Run all checks; each answers, whatever happened to the one before."""
    for check in checks(file):
        try:
            yield Outcome(check.name, True, check.run())
        except (links.Failed, QwenError, OSError) as error:
            yield Outcome(check.name, False, str(error) or type(error).__name__, check.fix)


def checks(file: Path | None) -> tuple[Check, ...]:
    """The table."""
    install = "run scripts/install, or `pip install qwen-lsp` in a fresh environment"
    counts = "prompts and the index leave it out; change that rule if they should not"
    return (
        *(() if file is None else (Check("file", partial(links.counts_here, file), counts),)),
        Check("python", links.python, "install Python 3.12 or newer and run scripts/install again"),
        Check("packages", links.packages, install),
        Check("engine packages", links.engine_packages, "install `cyllama` (or `mlx-lm` on an Apple Silicon Mac)"),
        Check("settings", links.settings_file, f"edit {user_file()}"),
        Check("folder", links.folder, "make it writable and make room, or set QWEN_LSP_HOME to another"),
        Check("embedded model", links.embedded_model, install),
        Check("model", links.model_files, "`qwen-lsp setup` fetches one that fits; or name another, or remove `model`"),
        Check("machine", links.machine_here, "run `python -m inference hardware` and read what it says"),
        Check("index", links.index_databases, f"remove {index_folder()}: it is made anew"),
        Check("windows", links.open_windows, "remove that folder: it holds nothing that is needed"),
        Check("daemons", links.daemons, "run `qwen-lsp stop`: the next window starts afresh"),
        Check("engine", links.engine, links.engine_fix()),
        Check("layout", links.layout, "`qwen-lsp setup` tries all layouts; or take a model trained to fill holes"),
        Check("completion", partial(links.completion, file), "run `qwen-lsp status`; `qwen-lsp stop` starts afresh"),
    )
