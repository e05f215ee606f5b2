"""A folder for what a run needs only while it runs; a killed run's is removed by the next one.

Who runs holds the lock of its folder, which the system gives back when a process ends, however it ends.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qwen_lsp.index.locks import Taken, locked

PREFIX = "qwen-eval-"
LOCK = "lock"
LEFT_AFTER_S = 60.0  # a folder that has just been made has no lock yet


@contextmanager
def scratch() -> Iterator[Path]:
    """A private folder with a short path, since sockets are in it; gone at the end."""
    remove_left(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name, locked(Path(name) / LOCK):
        yield Path(name)


def remove_left(folder: Path) -> None:
    """Remove what killed runs left: nobody holds their locks. Other users' folders can not be opened."""
    for base in folder.glob(f"{PREFIX}*"):
        with suppress(OSError, Taken):
            is_begun = (base / LOCK).is_file() or time.time() - base.lstat().st_mtime > LEFT_AFTER_S
            if is_begun and base.is_dir() and not base.is_symlink():
                with locked(base / LOCK, wait=False):
                    shutil.rmtree(base, ignore_errors=True)
