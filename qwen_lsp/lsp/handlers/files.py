"""workspace/didChangeWatchedFiles: what the editor saw on the disk. Hints for the index, nothing more."""

from lsprotocol import types as t

from qwen_lsp.index.scan import IGNORE_FILES
from qwen_lsp.lsp import convert
from qwen_lsp.lsp.session import Session


def did_change_watched_files(session: Session, params: t.DidChangeWatchedFilesParams) -> None:
    """Files came, went or changed; which of these does not matter."""
    paths = [convert.path_of(event.uri) for event in params.changes]
    session.hint([path for path in paths if path is not None])
    if any(path is not None and path.name in IGNORE_FILES for path in paths):
        session.spawn(session.judge())
