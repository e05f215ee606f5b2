"""The import table of ARCHITECTURE.md: an import may point up a list, never down, and foreign types stop at a door."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Read downwards: a module may import what stands above it, and its own folder.
LAYERS = {
    "qwen_lsp": [
        "errors",
        "private",
        "settings",
        "settings_file",
        "text",
        "index",
        "context",
        "prompt",
        "engine",
        "post",
        "verify",
        "features",
        "stats",
        "windows",
        "lsp",
        "doctor",
        "setup",
        "eval",
        "demo",
        "shell",
        "lookup",
        "disk",
        "rework",
        "cli",
        "__main__",
    ],
    "inference": [
        "errors",
        "generation",
        "memory",
        "hardware",
        "power",
        "thrift",
        "report",
        "backends.base",
        "line_runs",
        "edit_blocks",
        "vocabulary",
        "grammar",
        "tokenizer",
        "kept",
        "earlier",
        "branches",
        "saved",
        "prefix_cache",
        "draft_gate",
        "brief",
        "speculate",
        "stream",
        "runner",
        "turns",
        "recent",
        "stats",
        "scheduler",
        "models.checks",
        "backends",
        "models",
        "text_stream",
        "chat",
        "wire",
        "metrics",
        "server",
        "lifecycle",
        "setup",
        "model_commands",
        "__main__",
    ],
}

# What only these modules may import.
MLX = tuple(
    f"inference.backends.{name}"
    for name in ("mlx", "mlx_attention", "mlx_draw", "mlx_load", "mlx_rows", "mlx_scan", "mlx_together")
)
DOORS = {
    "lsprotocol": ("qwen_lsp.lsp", "qwen_lsp.demo"),
    "pygls": ("qwen_lsp.lsp", "qwen_lsp.demo"),
    "aiohttp": ("qwen_lsp.engine.unix",),
    "httpx": ("qwen_lsp.engine", "qwen_lsp.doctor"),
    "watchdog": ("qwen_lsp.index.watch",),
    "tree_sitter": (
        "qwen_lsp.index.grammars",
        "qwen_lsp.index.matches",
        "qwen_lsp.index.buffers",
        "qwen_lsp.post.syntax",
        "qwen_lsp.features.stubs",
    ),
    "matplotlib": ("qwen_lsp.eval.plots",),
    "xllamacpp": ("qwen_lsp.eval.llama_server",),
    "mlx": MLX,
    "mlx_lm": MLX,
    "cyllama": ("inference.backends.llama", "inference.backends.llama_load"),
    "llguidance": ("inference.grammar",),
    "huggingface_hub": ("inference.models.fetch.hub",),
    "httpx2": ("inference.models.fetch.hub",),
    "tomlkit": ("qwen_lsp.settings_file",),
    "starlette": ("inference.server",),
    "uvicorn": ("inference.server", "inference.lifecycle", "inference.__main__"),
    "qwen_lsp": ("qwen_lsp",),
    "inference": ("inference",),
}


def modules() -> Iterator[tuple[str, Path]]:
    for package in LAYERS:
        for path in sorted((ROOT / package).rglob("*.py")):
            relative = path.relative_to(ROOT)
            if "sample" not in relative.parts:
                name = ".".join(relative.with_suffix("").parts)
                yield name.removesuffix(".__init__"), path


def imports(name: str, path: Path) -> Iterator[str]:
    """Full names of what a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            assert node.module is not None
            for alias in node.names:
                child = ROOT / Path(*node.module.split(".")) / alias.name
                is_module = child.is_dir() or child.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if is_module else node.module


def starts(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def layer(name: str) -> tuple[int, str] | None:
    """Rank and name of the longest entry that fits; None for the package itself."""
    package, _, rest = name.partition(".")
    fitting = [entry for entry in LAYERS[package] if starts(rest, entry)]
    if not rest:
        return None
    assert fitting, f"{name} stands in no layer: add it to LAYERS and ARCHITECTURE.md"
    entry = max(fitting, key=len)
    return LAYERS[package].index(entry), entry


def test_imports_point_up() -> None:
    wrong = []
    for name, path in modules():
        own = layer(name)
        for imported in imports(name, path):
            package = imported.partition(".")[0]
            if package not in LAYERS or not starts(name, package) or own is None:
                continue
            other = layer(imported)
            if other is not None and other[0] > own[0]:
                wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_foreign_types_stop_at_their_door() -> None:
    wrong = []
    for name, path in modules():
        for imported in imports(name, path):
            for foreign, doors in DOORS.items():
                if starts(imported, foreign) and not any(starts(name, door) for door in doors):
                    wrong.append(f"{name} imports {imported}")
    assert wrong == []


def test_the_tables_name_modules_that_exist() -> None:
    names = {name for name, _ in modules()}
    missing = [
        f"{package}.{entry}"
        for package, entries in LAYERS.items()
        for entry in entries
        if not any(starts(name, f"{package}.{entry}") for name in names)
    ]
    assert missing == []
