"""Manifests in, commands out."""

import json
from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.verify.proposals import MANIFESTS, proposed


def check_proposed(texts: Mapping[str, str], names: Collection[str], *commands: str) -> None:
    assert [check.command for check in proposed(texts, names)] == list(commands)


PYPROJECT = "[tool.ruff]\n[tool.mypy]\nfiles = ['src']\n[tool.pytest.ini_options]\n"


def test_python_tools_of_pyproject() -> None:
    check_proposed(
        {"pyproject.toml": PYPROJECT},
        [".venv"],
        ".venv/bin/python -m ruff check --output-format=concise .",
        ".venv/bin/python -m mypy",
        ".venv/bin/python -m pytest -q",
    )


def test_mypy_without_files_is_given_some() -> None:
    check_proposed({"pyproject.toml": "[tool.mypy]\n"}, [], "python3 -m mypy .")
    check_proposed({}, ["mypy.ini"], "python3 -m mypy")


def test_tests_beside_a_pyproject_are_pytest() -> None:
    check_proposed({"pyproject.toml": "[project]\nname = 'x'\n"}, ["tests"], "python3 -m pytest -q")
    check_proposed({}, ["tests"])
    check_proposed({"setup.cfg": "[tool:pytest]\n"}, [], "python3 -m pytest -q")


def test_scripts_of_package_json() -> None:
    scripts = {"test": "jest", "lint": "eslint .", "build": "rm -rf dist", "deploy": "./deploy"}
    check_proposed({"package.json": json.dumps({"scripts": scripts})}, [], "npm run lint", "npm run test")
    check_proposed({"package.json": json.dumps({"scripts": scripts})}, ["yarn.lock"], "yarn run lint", "yarn run test")


@pytest.mark.parametrize("script", ["vitest --watch", "eslint --fix .", 'echo "Error: no test specified" && exit 1'])
def test_scripts_that_watch_or_mend_or_do_nothing_are_not_proposed(script: str) -> None:
    check_proposed({"package.json": json.dumps({"scripts": {"test": script}})}, [])


def test_typescript_without_a_script_is_checked() -> None:
    package = json.dumps({"devDependencies": {"typescript": "^5"}})
    check_proposed({"package.json": package}, ["tsconfig.json"], "node_modules/.bin/tsc --noEmit -p .")
    check_proposed({"package.json": package}, [])


def test_rust_and_go() -> None:
    check_proposed(
        {"Cargo.toml": "[workspace]\nmembers = ['a']\n"},
        [],
        "cargo check --workspace --all-targets --offline --quiet",
        "cargo test --workspace --offline --quiet",
    )
    check_proposed({"go.mod": "module example.org/x\n"}, [], "go vet ./...", "go test ./...")


def test_a_makefile_speaks_where_nothing_else_does() -> None:
    make = "VAR := 1\nall: x\n\ntest: all\n\t./run\nlint:\n"
    check_proposed({"Makefile": make}, [], "make lint")
    check_proposed({"Makefile": make, "go.mod": "module x\n"}, [], "go vet ./...", "go test ./...")
    check_proposed({"Makefile": "deploy:\n"}, [])


def test_each_says_where_it_comes_from() -> None:
    checks = proposed({"pyproject.toml": PYPROJECT, "package.json": '{"scripts": {"test": "jest"}}'}, [])
    assert [check.why for check in checks] == [
        "pyproject.toml: [tool.ruff]",
        "pyproject.toml: [tool.mypy]",
        "pyproject.toml: [tool.pytest]",
        "package.json: scripts.test",
    ]


STRANGE = (
    "[tool]\nruff = 3",
    "[tool.mypy]\nfiles = 1",
    '{"scripts": []}',
    '{"scripts": {"test": 1}}',
    '{"dependencies": 3}',
    "[]",
    "null",
    "[" * 5_000,
    "tool = 1",
    "package = []",
)


@given(st.dictionaries(st.sampled_from(MANIFESTS), st.sampled_from(STRANGE) | st.text('[]{}="\n ot.:', max_size=20)))
def test_strange_manifests_propose_less_and_never_fail(texts: dict[str, str]) -> None:
    for check in proposed(texts, ["tsconfig.json"]):
        assert check.command
        assert check.why
