"""Download what the lists name, with pip and npm, into one folder: at the manifest's versions where it has them.

Nothing is built or run: wheels and npm archives only. `--newest` ignores the manifest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from corpus import HERE, parse_list

COMMANDS = {
    "python": [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", "."],
    "npm": ["npm", "pack", "--silent", "--ignore-scripts"],
}


def normal(name: str) -> str:
    """The form in which package names are compared."""
    return name.lower().replace("_", "-").replace(".", "-")


def versions(registry: str) -> dict[str, str]:
    """Pinned versions of the manifest, by name."""
    path = HERE / "manifest.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    return {normal(row["name"]): row["version"] for row in rows if row["registry"] == registry}


def main() -> None:
    """One pip or npm call per package; what fails is named at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--newest", action="store_true")
    arguments = parser.parse_args()
    failed = []
    for registry, separator in (("python", "=="), ("npm", "@")):
        folder = arguments.out / registry
        folder.mkdir(parents=True, exist_ok=True)
        pins = {} if arguments.newest else versions(registry)
        for name in parse_list((HERE / f"packages_{registry}.txt").read_text()):
            pin = pins.get(normal(name))
            wanted = f"{name}{separator}{pin}" if pin else name
            command = [*COMMANDS[registry], wanted]
            if subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode:
                failed.append(wanted)
    print("not fetched:", " ".join(failed) or "none")


if __name__ == "__main__":
    main()
