"""Files that only their owner may read, written whole or not at all. Knows nothing of what is in them."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Put `text` where `path` is, mode 0600; a reader sees the old text or the new one. Raises OSError."""
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    half.unlink(missing_ok=True)  # of a process that was killed and had this number
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise
