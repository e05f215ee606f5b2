"""Openly licensed source code -> `files.jsonl` (one file per line) and `manifest.json`.

Reads the Python standard library of one interpreter, wheels and npm archives that `packages_*.txt` name and that
pip and npm already downloaded into a folder. It knows nothing of tokens or models. Every step is a pure function
of its input but for `read_*` and `main`.
"""

from __future__ import annotations

import argparse
import email
import hashlib
import io
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

HERE = Path(__file__).parent
MAX_FILE_CHARS = 120_000  # beyond this a source file is nearly always data or generated
MIN_FILE_CHARS = 200
MAX_LINE_CHARS = 400
PACKAGE_CAP_BYTES = 1_500_000  # no single package may set the style of the model
STDLIB_CAP_BYTES = 14_000_000
JS_CAP_BYTES = 500_000
SHINGLE_LINES = 5
NEAR_DUPLICATE_SHARE = 0.5

PERMISSIVE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|ISCL|PSF|Python Software Foundation|0BSD|HPND|MIT-CMU|Unlicense)\b", re.I
)
NOT_PERMISSIVE = re.compile(r"\b(GPL|LGPL|AGPL|MPL|EPL|CDDL|GNU|Mozilla|Proprietary|Commercial)\b", re.I)
LICENCE_TEXTS = (  # opening words of the licence files themselves, for packages whose metadata is silent
    ("MIT", re.compile(r"Permission is hereby granted, free of charge, to any person")),
    ("BSD", re.compile(r"Redistribution and use in source and binary forms")),
    ("Apache-2.0", re.compile(r"Apache License\s+Version 2\.0")),
)
SKIP_PATH = re.compile(
    r"(^|/)(_?vendor(ed|ized)?|_distutils_hook|site-packages|node_modules|locale|lib2to3/tests|idlelib|lib-dynload"
    r"|pydoc_data|encodings|test/(data|encoded_modules|test_lib2to3)|cjkencodings|localedata|locale_data|dist|umd|bundles?)(/|$)|\.min\.js$|_pb2\.py$|\.d\.ts$"
)
GENERATED = re.compile(r"@generated|do not edit|auto-?generated|automatically generated", re.I)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One text file of the corpus; `path` starts with the package's import name."""

    package: str
    path: str
    split: str  # "train" or "heldout"
    text: str


@dataclass(frozen=True, slots=True)
class Package:
    """One row of the manifest."""

    name: str
    version: str
    registry: str  # "python", "npm" or "stdlib"
    licence: str
    sha256: str
    split: str
    files: int = 0
    bytes: int = 0


def parse_list(text: str) -> dict[str, str]:
    """Package name -> split, from a list file; a line `heldout: a b` marks its names as held out."""
    names: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        split = "heldout" if line.startswith("heldout:") else "train"
        names.update((name, split) for name in line.removeprefix("heldout:").split())
    return names


def licence_of(declared: str, licence_text: str) -> str | None:
    """The licence's short name if it is permissive, else None. Metadata first, then the licence file."""
    if NOT_PERMISSIVE.search(declared):
        return None
    if PERMISSIVE.search(declared):
        return " ".join(declared.split())[:60]
    return next((name for name, opening in LICENCE_TEXTS if opening.search(licence_text)), None)


def acceptable(path: str, text: str) -> bool:
    """Whether a file is hand-written source that a small model can learn from."""
    if SKIP_PATH.search(path) or not MIN_FILE_CHARS <= len(text) <= MAX_FILE_CHARS or "\0" in text:
        return False
    lines = text.split("\n")
    if max(map(len, lines)) > MAX_LINE_CHARS or len(text) / len(lines) > 80 or GENERATED.search(text[:600]):
        return False
    letters = sum(map(str.isalpha, text[:4000]))
    return letters > 0.4 * min(len(text), 4000) and not text.startswith("<|")


def shingles(text: str) -> set[int]:
    """Hashes of every run of SHINGLE_LINES non-blank stripped lines."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    runs = ("\n".join(lines[i : i + SHINGLE_LINES]) for i in range(max(1, len(lines) - SHINGLE_LINES + 1)))
    return {int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "big") for run in runs}


def without_duplicates(files: Iterable[SourceFile]) -> Iterator[SourceFile]:
    """Drop a file when half or more of its line shingles were seen before. Held-out files must come first."""
    seen: set[int] = set()
    for file in files:
        marks = shingles(file.text)
        if len(marks & seen) < NEAR_DUPLICATE_SHARE * len(marks):
            yield file
        seen |= marks


def capped(files: list[SourceFile], cap: int) -> list[SourceFile]:
    """A seeded-by-content choice of files up to `cap` bytes, in path order."""
    chosen, total = [], 0
    for file in sorted(files, key=lambda f: hashlib.sha256(f.path.encode()).digest()):
        size = len(file.text.encode())
        if total + size <= cap:
            chosen.append(file)
            total += size
    return sorted(chosen, key=lambda f: f.path)


def source_files(
    package: str, split: str, members: Iterable[tuple[str, bytes]], endings: tuple[str, ...]
) -> list[SourceFile]:
    """Decode and filter the members of one archive; line ends become LF."""
    files = []
    for path, data in members:
        if not path.endswith(endings):
            continue
        try:
            text = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            continue
        if acceptable(path, text):
            files.append(SourceFile(package, path, split, text))
    return files


def read_wheel(path: Path, split: str) -> tuple[Package, list[SourceFile]] | None:
    """A wheel's Python files, or None when its licence is not known to be permissive."""
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        info = next(n for n in names if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        metadata = email.message_from_bytes(wheel.read(info))
        notes = [n for n in names if ".dist-info/" in n and re.search(r"licen[cs]e|copying", n.split("/")[-1], re.I)]
        classes = [c.split("::")[-1] for c in metadata.get_all("Classifier") or [] if c.startswith("License")]
        short = str(metadata["License"] or "")[:60]
        declared = str(metadata["License-Expression"] or "") or " ".join([*classes, short])
        licence = licence_of(declared, "\n".join(wheel.read(n).decode("utf-8", "replace") for n in notes))
        if licence is None:
            return None
        files = source_files(metadata["Name"], split, ((n, wheel.read(n)) for n in names), (".py",))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Package(metadata["Name"], metadata["Version"], "python", licence, digest, split), capped(
        files, PACKAGE_CAP_BYTES
    )


def read_npm(path: Path) -> tuple[Package, list[SourceFile]] | None:
    """An npm archive's JavaScript and TypeScript sources, or None as above."""
    data = path.read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {m.name: archive.extractfile(m) for m in archive.getmembers() if m.isfile()}
        texts = {name.partition("/")[2]: handle.read() for name, handle in members.items() if handle is not None}
    about = json.loads(texts["package.json"])
    licence = licence_of(str(about.get("license", "")), "")
    if licence is None:
        return None
    inside = ((f"{about['name']}/{name}", text) for name, text in texts.items())
    files = source_files(about["name"], "train", inside, (".js", ".mjs", ".ts"))
    package = Package(about["name"], about["version"], "npm", licence, hashlib.sha256(data).hexdigest(), "train")
    return package, capped(files, JS_CAP_BYTES)


def read_stdlib(root: Path) -> tuple[Package, list[SourceFile]]:
    """The standard library under `root` (lib/pythonX.Y); the hash is over the chosen files, in order."""
    members = ((p.relative_to(root).as_posix(), p.read_bytes()) for p in sorted(root.rglob("*.py")))
    files = capped(source_files("cpython", "train", members, (".py",)), STDLIB_CAP_BYTES)
    digest = hashlib.sha256("".join(f.path + "\0" + f.text for f in files).encode()).hexdigest()
    version = root.name.removeprefix("python")
    return Package("cpython", version, "stdlib", "PSF-2.0", digest, "train"), files


def gather(downloads: Path, stdlib: Path) -> tuple[list[Package], list[SourceFile]]:
    """Everything that is permitted, held-out first, near-duplicates dropped."""
    splits = {k.lower().replace("_", "-"): v for k, v in parse_list((HERE / "packages_python.txt").read_text()).items()}
    found: list[tuple[Package, list[SourceFile]]] = []
    for path in sorted(downloads.glob("python/*.whl")):
        name = path.name.split("-")[0].lower().replace("_", "-").replace(".", "-")
        row = read_wheel(path, splits.get(name, "train"))
        if row is None:
            print(f"left out, licence not known to be permissive: {path.name}", file=sys.stderr)
        else:
            found.append(row)
    found += [row for path in sorted(downloads.glob("npm/*.tgz")) if (row := read_npm(path)) is not None]
    found.append(read_stdlib(stdlib))
    found.sort(key=lambda row: (row[0].split != "heldout", row[0].registry, row[0].name.lower()))
    files = list(without_duplicates(f for _, package_files in found for f in package_files))
    sizes: dict[str, list[int]] = {}
    for file in files:
        sizes.setdefault(file.package, []).append(len(file.text.encode()))
    rows = [replace(p, files=len(sizes.get(p.name, [])), bytes=sum(sizes.get(p.name, []))) for p, _ in found]
    return [row for row in rows if row.files], files


def main() -> None:
    """Write files.jsonl under --out and manifest.json beside this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--downloads", type=Path, required=True, help="folder with python/*.whl and npm/*.tgz")
    parser.add_argument("--stdlib", type=Path, required=True, help="lib/python3.X of an interpreter")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    packages, files = gather(arguments.downloads, arguments.stdlib)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "files.jsonl").open("w") as handle:
        handle.writelines(json.dumps(asdict(file)) + "\n" for file in files)
    (HERE / "manifest.json").write_text(json.dumps([asdict(p) for p in packages], indent=1) + "\n")
    for split in ("train", "heldout"):
        chosen = [f for f in files if f.split == split]
        print(
            split,
            len({f.package for f in chosen}),
            "packages",
            len(chosen),
            "files",
            sum(len(f.text.encode()) for f in chosen),
            "bytes",
        )


if __name__ == "__main__":
    main()
