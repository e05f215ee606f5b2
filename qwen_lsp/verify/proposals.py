"""Which commands a project would run itself, read off its manifests. Pure: texts in, checks out; nothing is run here.

What is cheap and tells most stands first: types, lint, build, tests. Strange manifests propose less, never an error.
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from qwen_lsp.verify.verdict import Check

# What `proposed` wants to read, where it is there.
MANIFESTS = (
    "pyproject.toml",
    "setup.cfg",
    "tox.ini",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "Makefile",
    "makefile",
    "GNUmakefile",
)
MANIFEST_BYTES = 256 * 1024

# Scripts and targets that check and end; not those that build for release, deploy, watch or mend.
_SCRIPTS = ("typecheck", "type-check", "types", "tsc", "check-types", "lint", "test")
_TARGETS = ("check", "typecheck", "lint", "test")
_TARGET = re.compile(r"^([A-Za-z][\w-]*)\s*:(?!=)", re.MULTILINE)
_NO_TESTS = "no test specified"  # what `npm init` writes
_WATCHES = re.compile(r"--watch\b(?!=false)|\bwatch\b|--fix\b|\bnodemon\b")


def proposed(texts: Mapping[str, str], names: Collection[str] = ()) -> tuple[Check, ...]:
    """The checks for a project with these manifests. `names` are what else lies at its top."""
    present = frozenset((*texts, *names))
    found = [
        *_python(texts, present),
        *_node(texts.get("package.json"), present),
        *_rust(texts.get("Cargo.toml")),
        *_go(texts.get("go.mod")),
    ]
    return tuple(found or _make(texts))


def _python(texts: Mapping[str, str], present: frozenset[str]) -> Iterator[Check]:
    tools = _table(_toml(texts.get("pyproject.toml")).get("tool"))
    ini = {name: texts.get(name, "") for name in ("setup.cfg", "tox.ini")}
    python = next((f"{name}/bin/python" for name in (".venv", "venv") if name in present), "python3")
    if "ruff" in tools or present & {"ruff.toml", ".ruff.toml"}:
        yield Check(
            f"{python} -m ruff check --output-format=concise .", "ruff", why=_where("tool.ruff", tools, "ruff.toml")
        )
    if "mypy" in tools or "mypy.ini" in present or "[mypy]" in ini["setup.cfg"]:
        # Without a list of files of its own mypy must be told.
        files = "" if _table(tools.get("mypy")).get("files") or "mypy.ini" in present else " ."
        yield Check(f"{python} -m mypy{files}", "mypy", why=_where("tool.mypy", tools, "mypy.ini"))
    has_tests = bool(present & {"tests", "test", "conftest.py", "pytest.ini"})
    told = "pytest" in tools or "pytest.ini" in present or any("pytest]" in text for text in ini.values())
    if told or (has_tests and "pyproject.toml" in present):
        yield Check(f"{python} -m pytest -q", "pytest", why=_where("tool.pytest", tools, "tests"))


def _where(table: str, tools: Mapping[str, Any], other: str) -> str:
    return f"pyproject.toml: [{table}]" if table.partition(".")[2] in tools else other


def _node(text: str | None, present: Collection[str]) -> Iterator[Check]:
    package = _json(text)
    scripts = _table(package.get("scripts"))
    runner = next(
        (
            name
            for name, lock in (("pnpm", "pnpm-lock.yaml"), ("yarn", "yarn.lock"), ("bun", "bun.lock"))
            if lock in present
        ),
        "npm",
    )
    named: list[str] = []
    for name in _SCRIPTS:
        command = scripts.get(name)
        if not isinstance(command, str) or _NO_TESTS in command or _WATCHES.search(command):
            continue
        named.append(command)
        yield Check(f"{runner} run {name}", name, why=f"package.json: scripts.{name}")
    depends = {**_table(package.get("dependencies")), **_table(package.get("devDependencies"))}
    if "tsconfig.json" in present and "typescript" in depends and not any("tsc" in command for command in named):
        yield Check("node_modules/.bin/tsc --noEmit -p .", "tsc", why="tsconfig.json")


def _rust(text: str | None) -> Iterator[Check]:
    manifest = _toml(text)
    if "package" in manifest or "workspace" in manifest:
        everywhere = " --workspace" if "workspace" in manifest else ""
        yield Check(f"cargo check{everywhere} --all-targets --offline --quiet", "cargo check", why="Cargo.toml")
        yield Check(f"cargo test{everywhere} --offline --quiet", "cargo test", why="Cargo.toml")


def _go(text: str | None) -> Iterator[Check]:
    if text is not None and re.search(r"^module\s+\S", text, re.MULTILINE):
        yield Check("go vet ./...", "go vet", why="go.mod")
        yield Check("go test ./...", "go test", why="go.mod")


def _make(texts: Mapping[str, str]) -> Iterator[Check]:
    """Where nothing else tells: the one target that checks most."""
    for name in ("GNUmakefile", "makefile", "Makefile"):
        targets = set(_TARGET.findall(texts.get(name, "")))
        for target in _TARGETS:
            if target in targets:
                yield Check(f"make {target}", f"make {target}", why=f"{name}: {target}")
                return


def _toml(text: str | None) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text) if text else {}
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _json(text: str | None) -> Mapping[str, Any]:
    try:
        return _table(json.loads(text)) if text else {}
    except (ValueError, RecursionError):
        return {}


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
