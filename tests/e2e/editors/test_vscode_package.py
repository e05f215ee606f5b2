"""package.json and the server agree about settings; the lock file and the package hold what they should. No editor."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import qwen_lsp
from qwen_lsp.settings import KEYS, Settings, overlay
from tests.e2e.editors.places import need

CHECKOUT = Path(__file__).parents[3]
EXTENSION = CHECKOUT / "editors" / "vscode"
ABOUT = json.loads((EXTENSION / "package.json").read_text("utf-8"))
OURS = ("qwen.server.", "qwen.trace.")  # the extension's own, which the server never sees
PROPERTIES: dict[str, dict[str, Any]] = {
    name.removeprefix("qwen."): schema
    for name, schema in ABOUT["contributes"]["configuration"]["properties"].items()
    if not name.startswith(OURS)
}
VSIX_BYTES = 400_000


def camel(key: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), key)


def takes(key: str, value: object) -> bool:
    """Whether the server takes a value under VS Code's name of a key."""
    return overlay(Settings(), {camel(key): value}, "test")[1] == []


def test_package_json_has_the_servers_keys() -> None:
    assert sorted(PROPERTIES) == sorted(camel(key) for key in KEYS), "a key of qwen_lsp/settings.py needs its entry"


@pytest.mark.parametrize("key", KEYS)
def test_both_take_the_same_values(key: str) -> None:
    schema = PROPERTIES[camel(key)]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert schema["markdownDescription"]
    for value in schema.get("enum", ()):
        assert takes(key, value), value
    if "enum" in schema:
        assert f"{', '.join(schema['enum'])}" in KEYS[key].takes
        assert len(schema.get("enumDescriptions", schema["enum"])) == len(schema["enum"])
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in schema:
            assert takes(key, schema[bound]) and not takes(key, schema[bound] + step), bound
    assert ("integer" in kinds or "number" in kinds) == ("minimum" in schema)
    assert takes(key, True) == ("boolean" in kinds)
    if "string" in kinds and "enum" not in schema:
        assert takes(key, schema.get("examples", ["x"])[0])


@pytest.mark.parametrize("key", KEYS)
def test_the_defaults_shown_are_the_servers(key: str) -> None:
    default = getattr(Settings(), KEYS[key].field)
    shown = PROPERTIES[camel(key)]["default"]
    assert shown == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize("key", KEYS)
def test_a_workspace_may_set_what_a_repository_may(key: str) -> None:
    assert (PROPERTIES[camel(key)]["scope"] != "machine") == KEYS[key].repository


def test_the_extension_has_the_servers_version() -> None:
    assert ABOUT["version"] == qwen_lsp.__version__


def test_the_lock_file_names_no_address() -> None:
    lock = json.loads((EXTENSION / "package-lock.json").read_text("utf-8"))
    assert "omit-lockfile-registry-resolved=true" in (EXTENSION / ".npmrc").read_text("utf-8").splitlines()
    others = {name: each for name, each in lock["packages"].items() if name}
    assert [name for name, each in others.items() if "resolved" in each or "integrity" not in each] == []


@pytest.mark.editors
def test_the_parts_without_vscode(vsix: Path) -> None:
    node = need("vscode") / "bin" / "node"
    done = subprocess.run(
        [node, "--test", "test/*.test.ts"], cwd=EXTENSION, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "# pass 0" not in done.stdout, done.stdout + done.stderr


@pytest.mark.editors
def test_the_package_holds_the_extension_and_nothing_else(vsix: Path) -> None:
    with zipfile.ZipFile(vsix) as archive:
        names = set(archive.namelist())
        bundle = archive.read("extension/dist/extension.js").decode()
    ours = {"LICENSE.txt", "NOTICE.txt", "README.md", "package.json", "dist/extension.js"}
    assert names == {"[Content_Types].xml", "extension.vsixmanifest"} | {f"extension/{name}" for name in ours}
    print(f"{vsix.name}: {vsix.stat().st_size:,} bytes, of them the bundle unpacked {len(bundle):,}")
    assert vsix.stat().st_size < VSIX_BYTES
    assert str(CHECKOUT) not in bundle


@pytest.mark.editors
def test_packed_here_it_names_the_server(vsix: Path, tmp_path: Path) -> None:
    pack = [sys.executable, str(CHECKOUT / "scripts/editors/vsix.py"), str(EXTENSION), str(tmp_path), "/here/qwen-lsp"]
    subprocess.run(pack, check=True, capture_output=True, timeout=60)
    with zipfile.ZipFile(tmp_path / vsix.name) as archive:
        assert json.loads(archive.read("extension/server.json")) == {"command": ["/here/qwen-lsp"]}
