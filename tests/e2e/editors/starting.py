"""An editor in the project, for one test: own folders, the scripted engine; what was said is checked at the end.

Knows no editor.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from tests.e2e.daemons import Daemons
from tests.e2e.editors import project, traffic


class Recorded(Protocol):
    """An editor window, and what was said in it."""

    @property
    def log(self) -> Path:
        """Of `tee.py`."""


# A folder for the editor's own files, the project's root, what the editor takes beside: a file, a version.
type Opens[E] = Callable[[Path, Path, str], AbstractContextManager[E]]


@contextmanager
def started[E: Recorded](daemons: Daemons, opens: Opens[E], what: str, checks: Sequence[str] = ()) -> Iterator[E]:
    """Open an editor; when it has left, every message is held against the specification. `checks`: of the user's."""
    project.settings(daemons.home, checks)
    with tempfile.TemporaryDirectory(prefix="editor-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        with opens(folder, project.make(folder), what) as editor:
            yield editor
        traffic.check(editor.log)
