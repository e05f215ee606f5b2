"""Made-up workspaces: pieces of the standard library, each with names of its own, so that no two files are equal."""

import random
import re
import sysconfig
from pathlib import Path

LINES = 100  # per file: 100,000 files are 10 million lines
FILES_PER_FOLDER = 50
SEED = 5
_DEFINED = re.compile(r"^\s*(?:def|class) (\w+)", re.MULTILINE)


def make(root: Path, n_files: int) -> Path:
    """A folder with so many files; the same ones for the same standard library."""
    rng = random.Random(SEED)
    sources = [path.read_text("utf-8").split("\n") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    long = [lines for lines in sources if len(lines) > LINES]
    for number in range(n_files):
        folder = root / f"d{number // FILES_PER_FOLDER // 100:03}" / f"p{number // FILES_PER_FOLDER % 100:02}"
        if number % FILES_PER_FOLDER == 0:
            folder.mkdir(parents=True)
        lines = rng.choice(long)
        start = rng.randrange(len(lines) - LINES)
        text = "\n".join(lines[start : start + LINES])
        for name in set(_DEFINED.findall(text)) - {"__init__"}:
            text = re.sub(rf"\b{name}\b", f"{name}_{rng.randrange(n_files // 10 + 1)}", text)
        (folder / f"m{number}.py").write_text(
            f'"""Module {number}."""\nimport m{rng.randrange(n_files)}\n{text}\n', "utf-8"
        )
    return root
