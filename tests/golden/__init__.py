"""Compare a text with a file under tests/golden/; UPDATE_GOLDEN=1 rewrites the file."""

import os
from pathlib import Path

GOLDEN = Path(__file__).parent


def check_golden(name: str, text: str) -> None:
    """`text` is what the file `name` holds, byte for byte."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    assert text == path.read_bytes().decode(), f"{name} differs; UPDATE_GOLDEN=1 rewrites it"
